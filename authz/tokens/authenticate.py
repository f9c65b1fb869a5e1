"""
Request → who sent it, as its token proves, or a refusal.

The semantics are Istio's, those of the jwt_authn filter that istiod generates
(`pilot/pkg/security/authn/policy_applier.go`): a request without a token passes, without an
identity; one with a token must have a good one. The issuer of the token picks the rules that look
where it was found; the first that takes it wins, and if none does the last one's reason is the
answer, unless a rule's keys could not be had: then it is not known whether the token is good, and
the answer must not tell the client to throw it away. In a rule the cheap tests come first, as in
Envoy: time, audience, signature.

Headers that any rule may set are taken from the client's request in every case.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import NamedTuple

from authz.keys.key_ring import Flight, KeyRing
from authz.request import Deny, JwtIdentity, Request
from authz.tokens.credentials import Credential, CredentialFinder
from authz.tokens.header_changes import Outputs
from authz.tokens.jwt_rule import JwtRule
from authz.tokens.provider import Provider, Providers
from authz.tokens.refusal import Failure, missing_token_challenge, refuse
from authz.tokens.token import Token, read_token
from authz.tokens.verified_tokens import Verified, VerifiedTokens, digest_of

__all__ = ["Authenticated", "Authenticator", "missing_token_challenge"]

REMEMBERED_TOKENS = 10_000


class Authenticated(NamedTuple):
    """A request whose token, if it has one, is good."""

    identity: JwtIdentity | None
    had_token: bool
    set_headers: tuple[tuple[str, str], ...] = ()
    remove_headers: tuple[str, ...] = ()
    """None of those that are set: Envoy removes after it has set."""
    remove_params: tuple[str, ...] = ()
    """Query parameters that held the token."""


class _Refused(NamedTuple):
    """No provider takes the token."""

    failure: Failure
    kid: str | None = None
    lacking: tuple[Provider, ...] = ()
    """Providers that newer keys might make take it."""


class Authenticator:
    """
    The rules of one workload.

    Args:
        rules: every jwtRule that governs it.
        keys: where fetched keys are; it must `use` these rules.
        leeway_seconds: how far the clocks of issuer and verifier may differ.
        remembered_tokens: how many verified tokens are kept in mind.
    """

    def __init__(
        self,
        rules: Sequence[JwtRule],
        keys: KeyRing,
        leeway_seconds: int,
        remembered_tokens: int = REMEMBERED_TOKENS,
    ) -> None:
        self._keys, self._leeway_seconds = keys, leeway_seconds
        self._providers = Providers(rules)
        self._finder = CredentialFinder(self._providers.places)
        self._verified = VerifiedTokens(remembered_tokens)
        self._outputs = Outputs(rules)
        self.expects_tokens = bool(rules)
        """Whether a token could make a difference."""

    def authenticate(
        self, request: Request, now_seconds: float
    ) -> Authenticated | Deny | Awaitable[Authenticated | Deny]:
        """
        Judge a request's token at `now_seconds`, the wall clock.

        The answer is awaitable only if keys have to be fetched first; it then comes within the
        `timeout` of the rules in question.
        """
        credential = None if _is_preflight(request) else self._finder.find(request)
        if credential is None:
            return Authenticated(None, False, remove_headers=self._outputs.spoofed(request))
        if isinstance(credential, Failure):
            return refuse(credential, request)
        outcome = self._judge(request, credential, now_seconds)
        if isinstance(outcome, Authenticated):
            return outcome
        flights = self._seek(outcome)
        if not flights:
            return refuse(outcome.failure, request)
        timeout_seconds = max(provider.rule.timeout_seconds for provider in outcome.lacking)
        return self._judge_again(request, credential, now_seconds, flights, timeout_seconds)

    def _seek(self, refused: _Refused) -> frozenset[Flight]:
        flights = (
            self._keys.seek(provider.source, refused.kid)
            for provider in refused.lacking
            if provider.source is not None
        )
        return frozenset(flight for flight in flights if flight is not None)

    async def _judge_again(
        self,
        request: Request,
        credential: Credential,
        now_seconds: float,
        flights: Iterable[Flight],
        timeout_seconds: float,
    ) -> Authenticated | Deny:
        """Judge by the keys that are here after the wait, whatever became of the fetch."""
        await asyncio.wait(flights, timeout=timeout_seconds)
        outcome = self._judge(request, credential, now_seconds)
        if isinstance(outcome, Authenticated):
            return outcome
        return refuse(outcome.failure, request)

    def _judge(
        self, request: Request, credential: Credential, now_seconds: float
    ) -> Authenticated | _Refused:
        digest = digest_of(credential.text)
        seen = self._verified.find(digest)
        token = read_token(credential.text) if seen is None else seen.token
        if isinstance(token, Failure):
            return _Refused(token)
        providers = self._providers.of(credential.places, token.issuer)
        if not providers:
            return _Refused(Failure.UNKNOWN_ISSUER)
        failure = token.check_time(now_seconds, self._leeway_seconds)
        if failure is not None:
            self._verified.forget(digest)
            return _Refused(failure)
        outcome = self._try_all(providers, token, seen)
        if isinstance(outcome, _Refused):
            return outcome
        if outcome is not seen:
            self._verified.add(digest, outcome)
        changes = self._outputs.changes(request, credential.places, outcome)
        return Authenticated(outcome.identity, True, *changes)

    def _try_all(
        self, providers: Iterable[Provider], token: Token, seen: Verified | None
    ) -> Verified | _Refused:
        failures: list[Failure] = []
        lacking: list[Provider] = []
        for provider in providers:
            outcome = self._try(provider, token, seen)
            if isinstance(outcome, Verified):
                return outcome
            failures.append(outcome.failure)
            lacking.extend(outcome.lacking)
        unknown = Failure.KEYS_UNAVAILABLE in failures
        failure = Failure.KEYS_UNAVAILABLE if unknown else failures[-1]
        return _Refused(failure, token.kid, tuple(lacking))

    def _try(self, provider: Provider, token: Token, seen: Verified | None) -> Verified | _Refused:
        failure = provider.check_audience(token)
        if failure is not None:
            return _Refused(failure)
        source = provider.source
        keys = provider.rule.jwks if source is None else self._keys.keys(source)
        if keys is None:
            return _Refused(Failure.KEYS_UNAVAILABLE, lacking=(provider,))
        if seen is not None and seen.keys is keys:
            if seen.provider is provider:
                return seen
        elif failure := keys.check_signature(token):
            stale = source is not None and not keys.has(token.kid)
            return _Refused(failure, lacking=(provider,) if stale else ())
        return Verified(token, keys, provider, provider.identity(token), provider.headers(token))


def _is_preflight(request: Request) -> bool:
    """A browser asks with it whether it may ask, and must not send a token (Fetch, CORS)."""
    headers = request.headers
    return (
        request.method == "OPTIONS"
        and "origin" in headers
        and "access-control-request-method" in headers
    )
