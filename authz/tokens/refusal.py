"""
Why a credential is refused, and what the client is told.

Texts are constant for each reason: nothing of a token reaches the client or a log. Statuses are
Istio's: 403 for another audience, 401 for everything else that the client can mend. Keys that
cannot be had are our fault, 503, and carry no challenge: the token may well be good.
"""

import re
from enum import Enum

from authz.request import Deny, Reason, Request


class Failure(Enum):
    """What is wrong with a credential; the value is RFC 6750's error_description."""

    AMBIGUOUS = "more than one token was sent"
    MALFORMED = "the token is not a signed JWT in compact form"
    UNSUPPORTED_HEADER = "the token's header asks for something that is not supported"
    UNSUPPORTED_ALGORITHM = "the token's algorithm is not supported"
    WRONG_TYPE = "the token is of another type than an access token"
    SENDER_CONSTRAINED = "the token is bound to a proof that is not checked here"
    EXPIRED = "the token has expired"
    NOT_YET_VALID = "the token is not valid yet"
    UNKNOWN_ISSUER = "the token's issuer is not known here"
    WRONG_AUDIENCE = "the token is for another audience"
    NO_KEY = "no key of the issuer fits the token"
    BAD_SIGNATURE = "the token's signature is wrong"
    KEYS_UNAVAILABLE = "the keys of the token's issuer cannot be had now"


REASONS = {
    Failure.EXPIRED: Reason.EXPIRED_TOKEN,
    Failure.UNKNOWN_ISSUER: Reason.UNKNOWN_ISSUER,
    Failure.WRONG_AUDIENCE: Reason.WRONG_AUDIENCE,
    Failure.KEYS_UNAVAILABLE: Reason.KEYS_UNAVAILABLE,
}
STATUSES = {Failure.WRONG_AUDIENCE: 403, Failure.KEYS_UNAVAILABLE: 503}

HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")


def refuse(failure: Failure, request: Request) -> Deny:
    """The answer to a request whose credential failed."""
    challenge = ""
    if failure is not Failure.KEYS_UNAVAILABLE:
        realm = missing_token_challenge(request)
        challenge = f'{realm}, error="invalid_token", error_description="{failure.value}"'
    return Deny(
        STATUSES.get(failure, 401), REASONS.get(failure, Reason.INVALID_TOKEN), challenge=challenge
    )


def missing_token_challenge(request: Request) -> str:
    """
    The challenge for a request that brought no token: realm alone (RFC 6750 section 3.1).

    Envoy's realm is the whole URL as the client sent it. A path can hold secrets and quotes, so
    ours is the host, and only when it looks like one.
    """
    realm = request.host if HOST.fullmatch(request.host) else "tollhouse"
    return f'Bearer realm="{realm}"'
