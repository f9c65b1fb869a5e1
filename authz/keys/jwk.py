"""
One JSON Web Key → what verifies signatures with it, or why nothing will.

The algorithms of a key follow from its type, size and curve and from its own `alg`; a token's
header only picks among them. So an RSA key is never taken for an HMAC secret.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from authz.keys.signatures import (
    Verifiers,
    ecdsa_verifiers,
    ed25519_verifiers,
    hmac_verifiers,
    rsa_verifiers,
)
from authz.tokens.base64url import decode, number

Jwk = Mapping[str, Any]

CURVES: Mapping[str, tuple[ec.EllipticCurve, str, int]] = {
    "P-256": (ec.SECP256R1(), "256", 32),
    "P-384": (ec.SECP384R1(), "384", 48),
    "P-521": (ec.SECP521R1(), "512", 66),
}
"""JWK curve → (curve, hash, bytes of a coordinate), RFC 7518 sections 3.4 and 6.2.1."""
RSA_BITS = (2048, 8192)
"""The least is RFC 7518 section 3.3's; the most bounds what one verification costs."""
MAX_EXPONENT = 2**32
"""Likewise: a huge exponent makes each verification slow."""


class Unusable(NamedTuple):
    """A key, or a key set, that cannot verify anything."""

    reason: str
    malformed: bool
    """It is no JWK at all: Istio's webhook refuses a document that has one inline."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key, or a secret, that may verify signatures."""

    kid: str | None
    verifiers: Verifiers


def read_jwk(jwk: object, *, secrets: bool) -> VerificationKey | Unusable:
    """
    Make a JWK ready.

    Args:
        jwk: parsed JSON.
        secrets: whether a symmetric key is taken: only where the operator wrote it down. A secret
            that anybody can fetch is none.
    """
    if not isinstance(jwk, dict):
        return Unusable("not a JSON object", malformed=True)
    if reason := _malformation(jwk):
        return Unusable(reason, malformed=True)
    if reason := _other_purpose(jwk, secrets):
        return Unusable(reason, malformed=False)
    verifiers = KEY_TYPES[jwk["kty"]].read(jwk)
    if isinstance(verifiers, str):
        return Unusable(verifiers, malformed=False)
    if "alg" in jwk:
        verifiers = {name: each for name, each in verifiers.items() if name == jwk["alg"]}
        if not verifiers:
            return Unusable(f"alg {jwk['alg']!r:.40} does not fit the key", malformed=False)
    return VerificationKey(jwk.get("kid") or None, verifiers)


def is_private(jwk: object) -> bool:
    """Whether a JWK has more in it than a verifier may know."""
    return isinstance(jwk, dict) and ("d" in jwk or jwk.get("kty") == "oct")


def _malformation(jwk: Jwk) -> str:
    kty = jwk.get("kty")
    if not isinstance(kty, str) or kty not in KEY_TYPES:
        return f"kty {kty!r:.40} is not one of {', '.join(KEY_TYPES)}"
    for name in KEY_TYPES[kty].members:
        if not isinstance(jwk.get(name), str):
            return f"{name!r} is missing or not text"
    for name in ("kid", "use", "alg"):
        if not isinstance(jwk.get(name, ""), str):
            return f"{name!r} is not text"
    operations = jwk.get("key_ops", [])
    if not isinstance(operations, list) or not all(isinstance(each, str) for each in operations):
        return "'key_ops' is not a list of texts"
    return ""


def _other_purpose(jwk: Jwk, secrets: bool) -> str:
    if jwk["kty"] == "oct" and not secrets:
        return "a secret in a fetched key set is not used"
    if jwk.get("use", "sig") != "sig":
        return f"use {jwk['use']!r:.40}: not for signatures"
    if "verify" not in jwk.get("key_ops", ["verify"]):
        return "'key_ops' does not list verify"
    return ""


def _read_rsa(jwk: Jwk) -> Verifiers | str:
    modulus, exponent = number(jwk["n"]), number(jwk["e"])
    if modulus is None or exponent is None:
        return "'n' or 'e' is not base64url"
    low, high = RSA_BITS
    if not low <= modulus.bit_length() <= high:
        return f"RSA of {modulus.bit_length()} bits; {low} to {high} are used"
    if not 3 <= exponent <= MAX_EXPONENT or exponent % 2 == 0 or modulus % 2 == 0:
        return "an RSA modulus or exponent that no sound key has"
    return rsa_verifiers(rsa.RSAPublicNumbers(exponent, modulus).public_key())


def _read_ec(jwk: Jwk) -> Verifiers | str:
    if jwk["crv"] not in CURVES:
        return f"crv {jwk['crv']!r:.40} is not one of {', '.join(CURVES)}"
    curve, bits, size = CURVES[jwk["crv"]]
    x, y = decode(jwk["x"]), decode(jwk["y"])
    if x is None or y is None or not len(x) == len(y) == size:
        return f"'x' and 'y' must be base64url of {size} bytes"
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\4" + x + y)
    except ValueError:
        return "the point is not on the curve"
    return ecdsa_verifiers(key, bits, size)


def _read_okp(jwk: Jwk) -> Verifiers | str:
    x = decode(jwk["x"])
    if jwk["crv"] != "Ed25519":
        return f"crv {jwk['crv']!r:.40} is not Ed25519"
    if x is None or len(x) != 32:
        return "'x' must be base64url of 32 bytes"
    return ed25519_verifiers(ed25519.Ed25519PublicKey.from_public_bytes(x))


def _read_oct(jwk: Jwk) -> Verifiers | str:
    secret = decode(jwk["k"])
    if secret is None:
        return "'k' is not base64url"
    return hmac_verifiers(secret) or f"a secret of {len(secret)} bytes; HS256 needs 32"


class KeyType(NamedTuple):
    """One `kty`: the members it must have, and how they are read."""

    members: tuple[str, ...]
    read: Callable[[Jwk], Verifiers | str]


KEY_TYPES = {
    "RSA": KeyType(("n", "e"), _read_rsa),
    "EC": KeyType(("crv", "x", "y"), _read_ec),
    "OKP": KeyType(("crv", "x"), _read_okp),
    "oct": KeyType(("k",), _read_oct),
}
