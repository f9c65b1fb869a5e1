"""One request's journey: what the service makes of authentication, policy, faults and deadlines."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from authz.codec import Wire
from authz.keys.key_fetch import KeyFetcher
from authz.keys.key_ring import KeyRing
from authz.policies.policy import Policy, TrustDomains, compile_policy
from authz.policy_file import read_policies
from authz.request import JwtIdentity, Request, Verdict
from authz.service import AuthorizationService, Documents
from authz.settings import Settings
from authz.statistics import Statistics
from authz.tokens.authenticate import Authenticator
from protos.service_auth_v3_pb2 import CheckRequest, CheckResponse
from serving.call import Call
from serving.reload import File
from tests.token_mint import NOW, key_set, mint

CALL = Call((), None, "test")

TOKENS = """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: default}
spec:
  jwtRules:
    - issuer: https://id.example
      KEYS
      outputClaimToHeaders: [{header: x-user, claim: sub}]
"""
CALLERS = """
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: callers, namespace: default}
spec:
  rules: [{from: [{source: {requestPrincipals: ["https://id.example/alice"]}}]}]
"""


def check_body(token: str | None = None) -> bytes:
    request = CheckRequest()
    http = request.attributes.request.http
    http.method, http.path, http.host = "GET", "/", "shop"
    if token is not None:
        http.header_map.headers.add(key="authorization", raw_value=f"Bearer {token}".encode())
    return request.SerializeToString()


def documents(keys: KeyRing, *texts: str, allow_http: bool = False) -> Documents:
    configuration = read_policies([File("a.yaml", "".join(texts))], allow_http=allow_http)
    rules = [rule for each in configuration.request_authentications for rule in each.jwt_rules]
    keys.use(rules)
    policy = compile_policy(configuration, Settings().workload, TrustDomains("cluster.local", ()))
    return Documents(Authenticator(rules, keys, 60), policy)


def make_service(now: Callable[[], float] = lambda: NOW) -> AuthorizationService:
    return AuthorizationService(Wire(0), now, Statistics(dict))


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing(KeyFetcher(allow_http=True))


@pytest.fixture
def service(keys: KeyRing) -> AuthorizationService:
    service = make_service()
    inline = TOKENS.replace("KEYS", f"jwks: {json.dumps(key_set('rsa'))}")
    service.publish(documents(keys, inline, CALLERS))
    return service


def answered(reply: bytes | Awaitable[bytes]) -> CheckResponse:
    assert isinstance(reply, bytes)
    return CheckResponse.FromString(reply)


def reason(response: CheckResponse) -> str:
    found: str = json.loads(response.denied_response.body)["reason"]
    return found


def headers(response: CheckResponse) -> dict[str, str]:
    return {o.header.key: o.header.value for o in response.denied_response.headers}


async def test_a_good_token_passes_at_once_with_its_headers(service: AuthorizationService) -> None:
    response = answered(service.check(check_body(mint()), CALL))
    assert response.status.code == 0
    [user] = response.ok_response.headers
    assert (user.header.key, user.header.value) == ("x-user", "alice")
    assert list(response.ok_response.headers_to_remove) == ["authorization"]


async def test_a_refused_request_without_token_is_403_with_a_challenge(
    service: AuthorizationService,
) -> None:
    response = answered(service.check(check_body(), CALL))
    assert response.denied_response.status.code == 403
    assert reason(response) == "missing_token"
    assert headers(response)["www-authenticate"] == 'Bearer realm="shop"'


async def test_a_refused_request_with_a_good_token_gets_no_challenge(
    service: AuthorizationService,
) -> None:
    response = answered(service.check(check_body(mint({"sub": "bob"})), CALL))
    assert response.denied_response.status.code == 403
    assert reason(response) == "no_policy_allows"
    assert "www-authenticate" not in headers(response)


async def test_where_no_token_is_expected_none_is_asked_for(keys: KeyRing) -> None:
    service = make_service()
    service.publish(documents(keys, CALLERS))
    response = answered(service.check(check_body(), CALL))
    assert reason(response) == "no_policy_allows"
    assert "www-authenticate" not in headers(response)


async def test_a_bad_token_is_401_with_its_error(service: AuthorizationService) -> None:
    response = answered(service.check(check_body("a.b.c"), CALL))
    assert response.denied_response.status.code == 401
    assert 'error="invalid_token"' in headers(response)["www-authenticate"]


async def test_without_documents_everything_is_refused() -> None:
    response = answered(make_service().check(check_body(), CALL))
    assert response.denied_response.status.code == 503
    assert reason(response) == "not_ready"


async def test_an_empty_set_of_documents_allows(keys: KeyRing) -> None:
    service = make_service()
    service.publish(documents(keys))
    assert answered(service.check(check_body(), CALL)).status.code == 0


async def test_what_is_no_check_request_is_refused(service: AuthorizationService) -> None:
    assert answered(service.check(b"\xff", CALL)).denied_response.status.code == 400


async def test_refusals_are_logged_at_debug_with_the_policy(keys: KeyRing) -> None:
    service = make_service()
    deny = CALLERS.replace("rules:", "action: DENY\n  rules:").replace('"https', '"*", "https')
    inline = TOKENS.replace("KEYS", f"jwks: {json.dumps(key_set('rsa'))}")
    service.publish(documents(keys, inline, deny))
    with capture_logs() as lines:
        service.check(check_body(mint()), CALL)
    assert [line for line in lines if line["event"] == "refused"] == [
        {
            "event": "refused",
            "log_level": "debug",
            "policy": "default/callers",
            "reason": "denied_by_policy",
            "status": 403,
        }
    ]


async def test_a_fault_of_ours_is_a_refusal_and_no_rpc_error(keys: KeyRing) -> None:
    class Broken(Policy):
        def decide(self, request: Request, identity: JwtIdentity | None) -> Verdict:
            raise RuntimeError("broken")

    service = make_service()
    service.publish(Documents(Authenticator([], keys, 60), Broken((), None)))
    with capture_logs() as lines:
        response = answered(service.check(check_body(), CALL))
    assert response.denied_response.status.code == 500
    assert reason(response) == "internal"
    assert [line["event"] for line in lines] == ["check failed", "refused"]


class Issuer:
    """A key server on the loopback that answers when it is told to."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        application = web.Application()
        application.router.add_get("/keys", self._answer)
        self.server = TestServer(application)

    async def _answer(self, _: web.Request) -> web.Response:
        await self.open.wait()
        return web.json_response(text=key_set("rsa"))

    def rules(self) -> str:
        return TOKENS.replace("KEYS", f"jwksUri: {self.server.make_url('/keys')}")


@pytest.fixture
async def issuer() -> Any:
    issuer = Issuer()
    async with issuer.server:
        yield issuer
        issuer.open.set()


async def test_the_first_request_of_an_issuer_waits_for_its_keys(
    issuer: Issuer, keys: KeyRing
) -> None:
    service = make_service()
    service.publish(documents(keys, issuer.rules(), CALLERS, allow_http=True))
    waiting = service.check(check_body(mint()), CALL)
    assert not isinstance(waiting, bytes)
    issuer.open.set()
    assert CheckResponse.FromString(await waiting).status.code == 0
    assert answered(service.check(check_body(mint()), CALL)).status.code == 0


async def test_a_late_key_is_a_refusal_within_the_callers_deadline(
    issuer: Issuer, keys: KeyRing
) -> None:
    service = make_service()
    service.publish(documents(keys, issuer.rules(), CALLERS, allow_http=True))
    waiting = service.check(check_body(mint()), Call((), 0.25, "test"))
    assert not isinstance(waiting, bytes)
    began = time.monotonic()
    response = CheckResponse.FromString(await waiting)
    assert time.monotonic() - began >= 0.2
    assert response.denied_response.status.code == 503
    assert reason(response) == "keys_unavailable"


async def test_a_bad_token_is_refused_after_the_wait_too(issuer: Issuer, keys: KeyRing) -> None:
    service = make_service()
    service.publish(documents(keys, issuer.rules(), CALLERS, allow_http=True))
    waiting = service.check(check_body(mint(by="rsa-2", header={"kid": "rsa"})), CALL)
    assert not isinstance(waiting, bytes)
    issuer.open.set()
    assert CheckResponse.FromString(await waiting).denied_response.status.code == 401


async def test_a_fault_during_the_wait_is_a_refusal(issuer: Issuer, keys: KeyRing) -> None:
    service = make_service()
    rules = documents(keys, issuer.rules(), CALLERS, allow_http=True)

    class Broken(Policy):
        def decide(self, request: Request, identity: JwtIdentity | None) -> NoReturn:
            raise RuntimeError("broken")

    service.publish(rules._replace(policy=Broken((), None)))
    waiting = service.check(check_body(mint()), CALL)
    assert not isinstance(waiting, bytes)
    issuer.open.set()
    with capture_logs():
        response = CheckResponse.FromString(await waiting)
    assert reason(response) == "internal"
