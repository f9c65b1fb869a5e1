"""Key sets from strangers: whatever they hold, the reader answers, and so does every key."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from authz.keys.jwk import Unusable, VerificationKey, read_jwk
from authz.keys.jwks import KeySet, read_fetched_key_set, read_inline_key_set
from tests.token_mint import b64, key

NAMES = ("rsa", "p256", "p384", "p521", "ed25519", "secret")
GOOD = [key(name).jwk for name in NAMES]

numbers = st.binary(min_size=0, max_size=300).map(b64)
odd = st.one_of(
    st.none(),
    st.integers(),
    st.text(max_size=5),
    numbers,
    st.lists(st.sampled_from(["verify", "sign", 1]), max_size=2),
    st.sampled_from(["RSA", "EC", "OKP", "oct", "P-256", "P-521", "Ed25519", "sig", "RS256"]),
)
members = st.sampled_from(["kty", "n", "e", "crv", "x", "y", "k", "kid", "use", "alg", "key_ops"])
jwks = st.builds(
    lambda base, changes: {**base, **changes},
    st.sampled_from([*GOOD, {}]),
    st.dictionaries(members, odd, max_size=3),
)


@given(jwks | odd, st.booleans())
def test_any_jwk_gets_an_answer(jwk: Any, secrets: bool) -> None:
    found = read_jwk(jwk, secrets=secrets)
    if isinstance(found, Unusable):
        assert found.reason
    else:
        assert found.verifiers


@given(jwks, st.binary(max_size=600), st.binary(max_size=50))
def test_a_key_never_raises_and_takes_no_invented_signature(
    jwk: Any, signature: bytes, signed: bytes
) -> None:
    found = read_jwk(jwk, secrets=True)
    if isinstance(found, VerificationKey):
        for verify in found.verifiers.values():
            assert not verify(signature, signed)


@given(st.lists(jwks | odd, max_size=5) | odd)
def test_any_key_set_gets_an_answer(keys: Any) -> None:
    text = json.dumps({"keys": keys})
    for found in (read_fetched_key_set(text.encode()), read_inline_key_set(text)):
        assert isinstance(found, KeySet | Unusable)


@given(st.binary())
def test_any_bytes_get_an_answer(raw: bytes) -> None:
    assert isinstance(read_fetched_key_set(raw), KeySet | Unusable)
    assert isinstance(
        read_inline_key_set(raw.decode("utf-8", "surrogateescape")), KeySet | Unusable
    )
