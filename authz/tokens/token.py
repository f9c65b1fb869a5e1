"""
The compact form of a signed JWT, read strictly; nothing in it is believed yet.

Order of the tests: length, form, header, payload, claims. Each ends in a `Failure`, never in an
exception, whatever the client sent. Keys and places of keys that a header offers (`jwk`, `jku`,
`x5c`, `x5u`) are not looked at: a token that names its own key proves nothing.

Stricter than Envoy's jwt_authn, which ignores `crit`, accepts `b64: false`, blanks and left-over
bits in base64url, and does not tell a logout token from an access token. As lenient as Istio's
users expect: a token may lack `exp`, an `iat` in the future is not compared, exact padding passes.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from authz.tokens.base64url import decode
from authz.tokens.refusal import Failure
from authz.tokens.strict_json import read_object

MAX_CHARACTERS = 16_384
ALGORITHMS = frozenset(
    {f"{family}{bits}" for family in ("RS", "PS", "ES", "HS") for bits in (256, 384, 512)}
    | {"EdDSA"}
)
UNSUPPORTED_MEMBERS = ("crit", "b64", "zip", "enc")
"""RFC 7515 4.1.11 (we understand no extension, so every `crit` names one too many), RFC 7797,
RFC 7516: each changes what the signed bytes mean."""
ACCESS_TOKEN_TYPES = frozenset(("at+jwt", "application/at+jwt"))
"""RFC 9068. Any other type that ends in `+jwt` says of itself that it is something else: a logout
token, a DPoP proof, a security event (RFC 8725 section 3.11)."""
LATEST = 2**64
"""Times must be below it, as in Envoy."""


class Header(NamedTuple):
    """What the JOSE header says of the signature."""

    algorithm: str
    kid: str | None


class Token(NamedTuple):
    """A JWT as it was sent; only its form has been checked."""

    algorithm: str
    kid: str | None
    issuer: str
    """`iss`, empty when there is none."""
    subject: str
    audiences: tuple[str, ...]
    expires_seconds: float | None
    not_before_seconds: float | None
    claims: Mapping[str, Any]
    payload: str
    """The middle part without padding."""
    signed: bytes
    """What the signature covers: the first two parts exactly as sent."""
    signature: bytes

    def check_time(self, now_seconds: float, leeway_seconds: float) -> Failure | None:
        """
        Whether the token is valid now, clocks differing by at most the leeway.

        The last valid moment is just before `exp + leeway`: at it the token has expired (RFC 7519
        section 4.1.4: "on or after"). The first is `nbf - leeway` itself.
        """
        if (
            self.expires_seconds is not None
            and now_seconds - leeway_seconds >= self.expires_seconds
        ):
            return Failure.EXPIRED
        if (
            self.not_before_seconds is not None
            and now_seconds + leeway_seconds < self.not_before_seconds
        ):
            return Failure.NOT_YET_VALID
        return None


def read_token(text: str) -> Token | Failure:
    """The token that `text` is, exactly."""
    parts = text.split(".") if len(text) <= MAX_CHARACTERS else ()
    if len(parts) != 3 or not all(parts):
        return Failure.MALFORMED
    header = _read_header(parts[0])
    if isinstance(header, Failure):
        return header
    claims, signature = _read_claims(parts[1]), decode(parts[2])
    if isinstance(claims, Failure) or signature is None:
        return claims if isinstance(claims, Failure) else Failure.MALFORMED
    audience = claims.get("aud", ())
    return Token(
        algorithm=header.algorithm,
        kid=header.kid,
        issuer=claims.get("iss", ""),
        subject=claims.get("sub", ""),
        audiences=(audience,) if isinstance(audience, str) else tuple(audience),
        expires_seconds=claims.get("exp"),
        not_before_seconds=claims.get("nbf"),
        claims=claims,
        payload=parts[1].rstrip("="),
        signed=text[: text.rindex(".")].encode(),
        signature=signature,
    )


@lru_cache(maxsize=256)
def _read_header(part: str) -> Header | Failure:
    """Remembered: an issuer writes the same header into every token until it changes its key."""
    header = _read_part(part)
    if header is None:
        return Failure.MALFORMED
    algorithm, kid, kind = header.get("alg"), header.get("kid", ""), header.get("typ", "")
    if not (isinstance(algorithm, str) and isinstance(kid, str) and isinstance(kind, str)):
        return Failure.MALFORMED
    if any(member in header for member in UNSUPPORTED_MEMBERS):
        return Failure.UNSUPPORTED_HEADER
    if algorithm not in ALGORITHMS:
        return Failure.UNSUPPORTED_ALGORITHM
    if kind.lower().endswith("+jwt") and kind.lower() not in ACCESS_TOKEN_TYPES:
        return Failure.WRONG_TYPE
    return Header(algorithm, kid or None)


def _read_claims(part: str) -> dict[str, Any] | Failure:
    claims = _read_part(part)
    if claims is None or not _are_well_typed(claims):
        return Failure.MALFORMED
    return Failure.SENDER_CONSTRAINED if "cnf" in claims else claims


def _read_part(part: str) -> dict[str, Any] | None:
    raw = decode(part)
    return None if raw is None else read_object(raw)


def _are_well_typed(claims: Mapping[str, Any]) -> bool:
    """Registered claims have the types of RFC 7519 section 4.1; a claim that is there is one."""
    audience = claims.get("aud", "")
    return (
        all(isinstance(claims.get(name, ""), str) for name in ("iss", "sub", "jti"))
        and all(_is_time(claims[name]) for name in ("exp", "nbf", "iat") if name in claims)
        and (
            isinstance(audience, str)
            or (isinstance(audience, list) and all(isinstance(item, str) for item in audience))
        )
    )


def _is_time(value: object) -> bool:
    """A NumericDate: whole or with a fraction; a boolean is a number to Python alone."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < LATEST
