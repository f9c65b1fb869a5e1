"""Tokens of the demo's issuer, as PyJWT reads them."""

import json
from typing import Any

import jwt
import pytest

from deploy.local.tokens import Issuer

NAME = "https://issuer.example"
ISSUER = Issuer(NAME)
NOW = 1_795_608_000
BIG_LEEWAY = 10**10  # the tokens are of a fixed time; their times are looked at separately


def read(token: str, issuer: Issuer = ISSUER) -> dict[str, Any]:
    key = jwt.PyJWK(json.loads(issuer.key_set())["keys"][0])
    claims: dict[str, Any] = jwt.decode(
        token, key, algorithms=["RS256"], issuer=NAME, audience="httpbin", leeway=BIG_LEEWAY
    )
    return claims


def test_a_token_verifies_with_the_published_keys():
    token = ISSUER.token({"sub": "alice", "aud": "httpbin"}, NOW, ttl_seconds=60)
    times = {"iat": NOW, "exp": NOW + 60}
    assert read(token) == {"iss": NAME, "sub": "alice", "aud": "httpbin", **times}
    assert jwt.get_unverified_header(token)["kid"] == json.loads(ISSUER.key_set())["keys"][0]["kid"]


def test_a_stranger_of_the_same_name_does_not_verify():
    token = Issuer(NAME).token({"aud": "httpbin"}, NOW)
    with pytest.raises(jwt.InvalidSignatureError):
        read(token)


def test_only_the_public_half_is_published():
    (key,) = json.loads(ISSUER.key_set())["keys"]
    assert key.keys() == {"kty", "use", "alg", "kid", "n", "e"}


def test_a_claim_can_replace_what_is_added():
    token = ISSUER.token({"exp": NOW - 1, "aud": "httpbin"}, NOW)
    assert read(token)["exp"] == NOW - 1
