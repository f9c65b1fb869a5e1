"""
Keys made per run, and tokens minted with them, good and bad ones.

Written against the RFCs and `cryptography` alone: it shares nothing with what it tests.
"""

import hashlib
import hmac
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

NOW = 1_000_000
"""What time it is in every test."""
ISSUER = "https://id.example"
CLAIMS: Mapping[str, Any] = {"iss": ISSUER, "sub": "alice"}

HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
CURVES = {
    "p256": ("P-256", ec.SECP256R1(), 32, "ES256"),
    "p384": ("P-384", ec.SECP384R1(), 48, "ES384"),
    "p521": ("P-521", ec.SECP521R1(), 66, "ES512"),
}


def b64(raw: bytes, *, padded: bool = False) -> str:
    text = urlsafe_b64encode(raw).decode()
    return text if padded else text.rstrip("=")


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Key:
    """A private key or secret by name: `rsa`, `rsa-2`, `p256`, `ed25519`, `secret`, …"""

    def __init__(self, name: str) -> None:
        self.name = name
        family = name.partition("-")[0]
        if family.startswith("rsa"):
            bits = int(family[3:] or 2048)
            self.private: Any = rsa.generate_private_key(65537, bits)
            self.alg = "RS256"
        elif family in CURVES:
            self.private = ec.generate_private_key(CURVES[family][1])
            self.alg = CURVES[family][3]
        elif family == "ed25519":
            self.private = ed25519.Ed25519PrivateKey.generate()
            self.alg = "EdDSA"
        else:
            assert family == "secret", name
            self.private = secrets.token_bytes(64)
            self.alg = "HS256"

    @property
    def jwk(self) -> dict[str, Any]:
        """What an issuer publishes; for a secret, the secret."""
        named = {"kid": self.name}
        if isinstance(self.private, bytes):
            return {"kty": "oct", "k": b64(self.private), **named}
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e), **named}
        if isinstance(public, ec.EllipticCurvePublicKey):
            crv, _, size, _ = CURVES[self.name.partition("-")[0]]
            point = public.public_numbers()
            x, y = (b64(each.to_bytes(size, "big")) for each in (point.x, point.y))
            return {"kty": "EC", "crv": crv, "x": x, "y": y, **named}
        raw = public.public_bytes_raw()
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(raw), **named}

    @property
    def pem(self) -> bytes:
        public: bytes = self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return public

    def sign(self, alg: str, signed: bytes) -> bytes:
        """A signature by this key in the manner of `alg`; nothing for `none`."""
        family, bits = alg[:2], alg[2:]
        if family == "HS":
            secret = self.private if isinstance(self.private, bytes) else self.pem
            return hmac.digest(secret, signed, hashlib.new(f"sha{bits}").name)
        if family == "RS":
            return bytes(self.private.sign(signed, padding.PKCS1v15(), HASHES[bits]))
        if family == "PS":
            digest = HASHES[bits]
            scheme = padding.PSS(padding.MGF1(digest), digest.digest_size)
            return bytes(self.private.sign(signed, scheme, digest))
        if family == "ES":
            size = (self.private.curve.key_size + 7) // 8
            halves = decode_dss_signature(self.private.sign(signed, ec.ECDSA(HASHES[bits])))
            return b"".join(half.to_bytes(size, "big") for half in halves)
        return bytes(self.private.sign(signed)) if alg == "EdDSA" else b""


@cache
def key(name: str) -> Key:
    """The key of that name, the same one for the whole run."""
    return Key(name)


def key_set(*names: str, **members: Any) -> str:
    """A JWKS with these keys; `members` are put into each."""
    return json.dumps({"keys": [{**key(name).jwk, **members} for name in names]})


def mint(
    claims: Mapping[str, Any] | None = None,
    *,
    by: str = "rsa",
    alg: str = "",
    sign_as: str = "",
    header: Mapping[str, Any] | None = None,
    header_text: str | None = None,
    payload_text: str | None = None,
    padded: bool = False,
    text: str = "{header}.{payload}.{signature}",
    edit: Callable[[bytes], bytes] = bytes,
) -> str:
    """
    Make a token; by default a good one.

    Args:
        claims: laid over `CLAIMS`; a claim that is `...` is left out.
        by: name of the signing key.
        alg: what the header says; the key's own unless given.
        sign_as: how it is signed; as the header says unless given.
        header: laid over `{"alg": …, "kid": …, "typ": "JWT"}`, with `...` as above.
        header_text, payload_text: the JSON itself.
        padded: keep base64's padding, under the signature too.
        text: how the parts become the token.
        edit: changes the signature.
    """
    signer = key(by)
    alg = alg or signer.alg
    parts = []
    for own, given, base in (
        (header_text, header, {"alg": alg, "kid": by, "typ": "JWT"}),
        (payload_text, claims, CLAIMS),
    ):
        members = {k: v for k, v in {**base, **(given or {})}.items() if v is not ...}
        raw = json.dumps(members) if own is None else own
        parts.append(b64(raw.encode("utf-8", "surrogateescape"), padded=padded))
    signed = ".".join(parts).encode()
    signature = b64(edit(signer.sign(sign_as or alg, signed)), padded=padded)
    return text.format(header=parts[0], payload=parts[1], signature=signature)
