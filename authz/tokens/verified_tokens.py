"""
Tokens whose signature has been verified, by digest of their text.

What is remembered is only that: this text is a token, and this key set made its signature. Time,
audience and the choice of rule are judged afresh for each request, and another key set (the
issuer's keys have changed) has to verify again. Only verified tokens get in, so a stranger cannot
fill it.
"""

from hashlib import sha256
from typing import NamedTuple

from authz.keys.jwks import KeySet
from authz.request import JwtIdentity
from authz.tokens.claim_headers import Headers
from authz.tokens.provider import Provider
from authz.tokens.token import Token


class Verified(NamedTuple):
    """A token, who verified it, and what it means under the provider that took it."""

    token: Token
    keys: KeySet
    provider: Provider
    identity: JwtIdentity
    headers: Headers


class VerifiedTokens:
    """
    A bounded memory; the oldest entry goes first.

    Args:
        capacity: how many tokens at most; one of 500 characters takes about 3 kB.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._tokens: dict[bytes, Verified] = {}

    def find(self, digest: bytes) -> Verified | None:
        return self._tokens.get(digest)

    def add(self, digest: bytes, verified: Verified) -> None:
        self._tokens[digest] = verified
        if len(self._tokens) > self._capacity:
            del self._tokens[next(iter(self._tokens))]

    def forget(self, digest: bytes) -> None:
        """Drop a token, if it is here."""
        self._tokens.pop(digest, None)


def digest_of(text: str) -> bytes:
    """Distinguishes any two texts, those that are no UTF-8 too."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
