"""`python -m authz serve` as a real process, from its first document to its drain."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from deploy.local import services
from deploy.local.ports import LOOPBACK, reserved
from deploy.local.processes import Process, http_answers
from protos.service_auth_v3_pb2 import CheckRequest, CheckResponse
from tests.token_mint import key_set, mint

CHECK = "/envoy.service.auth.v3.Authorization/Check"

ALLOW_GET = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reads, namespace: default}
spec: {rules: [{to: [{operation: {methods: [GET]}}]}]}
"""
TOKENS = """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: default}
spec: {jwtRules: [{issuer: "https://id.example", jwksUri: KEYS_URL}]}
"""
NEEDS_TOKEN = ALLOW_GET.replace("to: [{operation: {methods: [GET]}}]", "from: [{source: WHO}]")
NEEDS_TOKEN = NEEDS_TOKEN.replace("WHO", '{requestPrincipals: ["*"]}')
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n"


class Authz:
    """A running service and how it is asked."""

    def __init__(self, process: Process, ports: services.ServicePorts, channel: grpc.Channel):
        self.process = process
        self.admin = f"http://{LOOPBACK}:{ports.admin}"
        self._channel = channel

    def check(self, method: str = "GET", token: str = "") -> CheckResponse:
        request = CheckRequest()
        http = request.attributes.request.http
        http.method, http.path, http.host = method, "/", "shop"
        if token:
            http.header_map.headers.add(key="authorization", raw_value=f"Bearer {token}".encode())
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(CHECK)
        body = call(request.SerializeToString(), timeout=10, wait_for_ready=True)
        return CheckResponse.FromString(body)

    def status(self, method: str = "GET", token: str = "") -> int:
        """200, or the HTTP status of the refusal."""
        return self.check(method, token).denied_response.status.code or 200

    def ready(self) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"{self.admin}/readyz") as answer:
                return answer.status, json.load(answer)["components"]
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)["components"]

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.admin}/metrics") as answer:
            text: str = answer.read().decode()
        return text


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    return folder


@pytest.fixture
def authz(tmp_path: Path, policies: Path, request: pytest.FixtureRequest) -> Iterator[Authz]:
    settings = getattr(request, "param", {})
    with reserved(2) as numbers:
        ports = services.ServicePorts(*numbers)
        with (
            services.authz(tmp_path, ports, policies, settings=settings) as process,
            grpc.insecure_channel(f"{LOOPBACK}:{ports.grpc}") as channel,
        ):
            process.wait_until(http_answers(ports.admin, "/healthz"))
            yield Authz(process, ports, channel)


def test_an_empty_folder_serves_and_allows(authz: Authz) -> None:
    assert authz.status() == 200
    assert authz.ready() == (
        200,
        {"keys": {"ready": True, "reason": ""}, "policies": {"ready": True, "reason": ""}},
    )


def test_documents_are_taken_over_and_a_broken_one_changes_nothing(
    authz: Authz, policies: Path
) -> None:
    (policies / "a.yaml").write_text(f"{ALLOW_GET}---\n{CONFIG_MAP}")
    authz.process.wait_until(lambda: authz.status("POST") == 403)
    assert authz.status("GET") == 200
    assert "ConfigMap of v1: not for this service" in authz.process.log.read_text()
    (policies / "b.yaml").write_text(ALLOW_GET.replace("rules", "ruels").replace("reads", "typo"))
    refused = 'tollhouse_config_loads_total{kind="policies",result="error"} 1.0'
    authz.process.wait_until(lambda: refused in authz.metrics())
    assert (authz.status("GET"), authz.status("POST")) == (200, 403)
    assert authz.ready()[0] == 200
    log = authz.process.log.read_text()
    assert "b.yaml:5:8: spec.ruels: unknown key 'ruels'" in log
    assert "did you mean 'rules'?" in log
    allowed = 'verdicts_total{policy="default/reads",reason="",verdict="allow"}'
    assert allowed in authz.metrics()


@pytest.mark.parametrize("authz", [{"JWKS_ALLOW_HTTP": "true"}], indirect=True)
async def test_keys_that_cannot_be_had_are_shown_and_come_by_themselves(
    authz: Authz, policies: Path
) -> None:
    online = asyncio.Event()

    async def keys(_: web.Request) -> web.Response:
        return web.json_response(text=key_set("rsa"), status=200 if online.is_set() else 500)

    application = web.Application()
    application.router.add_get("/keys", keys)
    token = mint({"exp": 4_000_000_000})
    async with TestServer(application, host=LOOPBACK) as server:
        document = TOKENS.replace("KEYS_URL", str(server.make_url("/keys")))
        (policies / "a.yaml").write_text(f"{document}---\n{NEEDS_TOKEN}")

        def lacking() -> bool:
            return authz.ready()[1]["keys"]["ready"] is False

        def refused() -> bool:
            return authz.status(token=token) == 503

        def passes() -> bool:
            return authz.status(token=token) == 200

        await asyncio.to_thread(authz.process.wait_until, lacking)
        assert await asyncio.to_thread(authz.status) == 403
        await asyncio.to_thread(authz.process.wait_until, refused)
        online.set()
        await asyncio.to_thread(authz.process.wait_until, passes)
        assert (await asyncio.to_thread(authz.ready))[0] == 200
    assert 'key_fetches_total{result="failed"}' in authz.metrics()


def test_a_taken_port_ends_it_with_a_message(tmp_path: Path, policies: Path, authz: Authz) -> None:
    taken = services.ServicePorts(0, int(authz.admin.rpartition(":")[2]))
    folder = tmp_path / "second"
    folder.mkdir()
    with services.authz(folder, taken, policies) as second:
        while second.running:
            second.wait_until(lambda: not second.running)
        assert "authz: " in second.log.read_text()
