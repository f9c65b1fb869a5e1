"""An issuer of JSON Web Tokens: its key pair, its published key set, the tokens it signs."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

KEY_BITS = 2048
KEY_ID = "demo"


class Issuer:
    """Signs RS256 tokens (RFC 7515, RFC 7518 section 3.3) with a key of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._key = rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS)

    def key_set(self) -> str:
        """The public key as a JWK Set (RFC 7517), as JSON."""
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID}
        return json.dumps({"keys": [{**key, "n": _number(numbers.n), "e": _number(numbers.e)}]})

    def token(self, claims: Mapping[str, Any], now_seconds: int, ttl_seconds: int = 3_600) -> str:
        """
        A signed token; `iss`, `iat` and `exp` are added.

        Args:
            claims: the others, and whichever of these three should differ.
            now_seconds: time of issue, Unix seconds.
            ttl_seconds: lifetime; negative for a token that has expired.
        """
        times = {"iat": now_seconds, "exp": now_seconds + ttl_seconds}
        header = _json({"alg": "RS256", "typ": "JWT", "kid": KEY_ID})
        signed = f"{header}.{_json({'iss': self.name, **times, **claims})}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64url(signature)}"


def _json(value: Mapping[str, Any]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _number(value: int) -> str:
    return _base64url(value.to_bytes((value.bit_length() + 7) // 8))


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
