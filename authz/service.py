"""Check: one request's journey."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog

from authz.codec import Wire, decode, encode
from authz.policies.policy import Policy
from authz.request import Allow, Deny, Reason, Request, Verdict
from authz.statistics import Statistics
from authz.tokens.authenticate import Authenticated, Authenticator, missing_token_challenge
from serving.call import Call, MethodTable

log = structlog.get_logger()

RESERVE = 0.8
"""Share of the caller's deadline that waiting for keys may use: a refusal that arrives late is an
error to Envoy, and an error obeys `failure_mode_allow`."""

KEYS_LATE = Deny(503, Reason.KEYS_UNAVAILABLE)
NOT_READY = Deny(503, Reason.NOT_READY)
INTERNAL = Deny(500, Reason.INTERNAL)


class Documents(NamedTuple):
    """Everything that a set of policy documents compiles to."""

    authenticator: Authenticator
    policy: Policy


class AuthorizationService:
    """
    Envoy's ext_authz Authorization v3. Every refusal and every fault is a CheckResponse.

    Args:
        wire: how the proxy in front fills a CheckRequest.
        now_seconds: the wall clock; read once a request.
        statistics: told every verdict.
    """

    def __init__(
        self, wire: Wire, now_seconds: Callable[[], float], statistics: Statistics
    ) -> None:
        self._wire, self._now_seconds, self._statistics = wire, now_seconds, statistics
        self._documents: Documents | None = None

    def publish(self, documents: Documents) -> None:
        """Judge by these documents from now on; calls in flight finish under the old ones."""
        self._documents = documents

    def methods(self) -> MethodTable:
        return {"/envoy.service.auth.v3.Authorization/Check": self.check}

    def check(self, body: bytes, call: Call) -> bytes | Awaitable[bytes]:
        """Answer a CheckRequest: at once, unless keys have to be fetched first. Never raises."""
        try:
            verdict = self._judge(body, call)
        except Exception:
            log.exception("check failed")
            verdict = INTERNAL
        if isinstance(verdict, (Allow, Deny)):
            return self._answer(verdict)
        return self._answer_later(verdict)

    def _judge(self, body: bytes, call: Call) -> Verdict | Awaitable[Verdict]:
        documents = self._documents
        if documents is None:
            return NOT_READY
        request = decode(body, self._wire)
        if isinstance(request, Deny):
            return request
        outcome = documents.authenticator.authenticate(request, self._now_seconds())
        if isinstance(outcome, Deny):
            return outcome
        if isinstance(outcome, Authenticated):
            return decide(documents, request, outcome)
        return _judge_later(documents, request, outcome, call)

    async def _answer_later(self, waiting: Awaitable[Verdict]) -> bytes:
        try:
            verdict = await waiting
        except Exception:
            log.exception("check failed")
            verdict = INTERNAL
        return self._answer(verdict)

    def _answer(self, verdict: Verdict) -> bytes:
        self._statistics.count(verdict)
        if isinstance(verdict, Deny):
            log.debug(
                "refused", status=verdict.status, reason=verdict.reason, policy=verdict.policy
            )
        return encode(verdict)


async def _judge_later(
    documents: Documents,
    request: Request,
    waiting: Awaitable[Authenticated | Deny],
    call: Call,
) -> Verdict:
    limit = None if call.timeout_seconds is None else call.timeout_seconds * RESERVE
    try:
        async with asyncio.timeout(limit):
            outcome = await waiting
    except TimeoutError:
        return KEYS_LATE
    return outcome if isinstance(outcome, Deny) else decide(documents, request, outcome)


def decide(documents: Documents, request: Request, authenticated: Authenticated) -> Verdict:
    """
    Policy over an authenticated request.

    Istio's proxy answers 403 without a challenge when a policy refuses a request that brought no
    token. The status stays; RFC 6750 section 3 asks for the challenge, so it is added wherever a
    token could have helped.
    """
    verdict = documents.policy.decide(request, authenticated.identity)
    if isinstance(verdict, Allow):
        return verdict._replace(
            set_headers=authenticated.set_headers,
            remove_headers=authenticated.remove_headers,
            remove_params=authenticated.remove_params,
        )
    if authenticated.had_token or not documents.authenticator.expects_tokens:
        return verdict
    challenge = missing_token_challenge(request)
    return verdict._replace(reason=Reason.MISSING_TOKEN, challenge=challenge)
