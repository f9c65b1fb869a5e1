"""
Tokens: whatever the text, the reader answers; whatever it accepts, other libraries accept too.

PyJWT and joserfc are the witnesses. They judge form and signature; time is turned off in them,
because they read the wall clock.
"""

import json
import warnings
from typing import Any

import jwt
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt
from joserfc.errors import SecurityWarning

from authz.keys.jwks import KeySet, read_inline_key_set
from authz.keys.key_fetch import KeyFetcher
from authz.keys.key_ring import KeyRing
from authz.request import Deny, Request
from authz.tokens.authenticate import Authenticated, Authenticator
from authz.tokens.jwt_rule import JwtRule
from authz.tokens.refusal import Failure
from authz.tokens.strict_json import read_object
from authz.tokens.token import Token, read_token
from serving.problems import Place
from tests.token_mint import ISSUER, NOW, b64, key, key_set, mint

NAMES = {
    "rsa": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "p256": ("ES256",),
    "p384": ("ES384",),
    "p521": ("ES512",),
    "ed25519": ("EdDSA",),
    "secret": ("HS256", "HS384", "HS512"),
}
SIGNERS = [(name, alg) for name, algs in NAMES.items() for alg in algs]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
odd = st.one_of(
    values,
    st.sampled_from([0, 1, NOW, NOW + 60, 2**63, 2**64, -1, 1.5, "1", ISSUER, [ISSUER], {}, True]),
)
times = st.integers(0, 2 * NOW) | st.floats(0, 2 * NOW)
well_typed = st.fixed_dictionaries(
    {},
    optional={
        "exp": times,
        "nbf": times,
        "iat": times,
        "aud": texts | st.lists(texts, max_size=3),
        "sub": texts,
        "jti": texts,
        "scope": values,
        "x": values,
    },
)
claims = well_typed | st.dictionaries(
    st.sampled_from(["exp", "nbf", "iat", "aud", "sub", "iss", "jti", "cnf", "x"]), odd, max_size=2
)
headers = st.fixed_dictionaries(
    {}, optional={"typ": st.sampled_from(["JWT", "at+jwt"]), "x": values}
) | st.dictionaries(
    st.sampled_from(["kid", "typ", "cty", "crit", "b64", "zip", "jku", "x5c", "exp"]),
    odd | st.sampled_from(["JWT", "at+jwt", "logout+jwt", "rsa"]),
    max_size=2,
)

RS256 = b64(b'{"alg":"RS256"}')
DEEP_HEADER = b64(b'{"alg":' + b"[" * 4000 + b"]" * 4000 + b"}")
HUGE_EXP = b64(b'{"exp":1' + b"0" * 5000 + b"}")
INFINITE_EXP = b64(b'{"exp":1e999}')


def an_authenticator() -> Authenticator:
    keys = read_inline_key_set(key_set(*NAMES))
    assert isinstance(keys, KeySet)
    rule = JwtRule(place=Place("a.yaml", 1, 1, ""), issuer=ISSUER, jwks=keys)
    return Authenticator([rule], KeyRing(KeyFetcher()), 60)


AUTHENTICATOR = an_authenticator()


def outcome_of(token: str) -> Authenticated | Deny:
    headers = {"authorization": (f"Bearer {token}",)}
    request = Request("GET", "h", "/", headers, "", "", "", 80, "", "")
    outcome = AUTHENTICATOR.authenticate(request, NOW)
    assert isinstance(outcome, Authenticated | Deny)
    return outcome


def witnesses_accept(token: str, name: str, alg: str) -> None:
    """Fails unless both libraries take the token by the same key and read the same claims."""
    payload = json.loads(jwt.utils.base64url_decode(token.split(".")[1].rstrip("=")))
    public = jwt.PyJWK(key(name).jwk, algorithm=alg)
    options: Any = {f"verify_{each}": False for each in ("exp", "nbf", "iat", "aud", "sub", "jti")}
    assert jwt.decode(token, public, algorithms=[alg], options=options) == payload
    # joserfc takes no padding, and no header member that it does not know.
    if "=" not in token and jwt.get_unverified_header(token).keys() <= {"alg", "kid", "typ"}:
        imported = joserfc_jwk.import_key(key(name).jwk)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # it wishes for RFC 9864's names
            assert joserfc_jwt.decode(token, imported, algorithms=[alg]).claims == payload


@given(st.text())
@example("." * 20_000)
@example("a.b.c")
@example("\udcff.\udcff.\udcff")
@example(f"{b64(b'[' * 9000)}.e30.AA")
@example(f"{DEEP_HEADER}.e30.AA")
@example(f"{RS256}.{HUGE_EXP}.AA")
@example(f"{RS256}.{INFINITE_EXP}.AA")
def test_any_text_gets_an_answer(text: str) -> None:
    assert isinstance(read_token(text), Failure)
    outcome = outcome_of(text)
    assert isinstance(outcome, Deny) or outcome.identity is None


@given(st.binary(), st.binary(), st.binary())
def test_any_three_parts_get_an_answer(header: bytes, payload: bytes, signature: bytes) -> None:
    text = ".".join(map(b64, (header, payload, signature)))
    assert isinstance(read_token(text), Token | Failure)
    assert isinstance(outcome_of(text), Deny)


@given(st.binary())
@example(b'{"a":1,"a":1}')
def test_json_is_read_as_the_standard_library_reads_it_or_not_at_all(raw: bytes) -> None:
    found = read_object(raw)
    if found is not None:
        assert found == json.loads(raw)


@given(st.dictionaries(texts, values, max_size=5))
def test_json_that_a_program_writes_is_read(value: dict[str, Any]) -> None:
    assume("inf" not in str(value))  # Python writes it, and it is not JSON
    assert read_object(json.dumps(value).encode()) == value
    assert read_object(json.dumps(value, ensure_ascii=False).encode()) == value


@given(
    st.sampled_from(SIGNERS),
    claims,
    headers,
    st.booleans(),
    st.sampled_from(["", "", "", "none", "HS256", "RS256", "ES256"]),
)
def test_what_we_accept_others_accept(
    signer: tuple[str, str],
    extra_claims: dict[str, Any],
    extra_header: dict[str, Any],
    padded: bool,
    claimed_alg: str,
) -> None:
    name, alg = signer
    assume("inf" not in str((extra_claims, extra_header)))
    token = mint(
        extra_claims,
        by=name,
        alg=claimed_alg or alg,
        sign_as=alg,
        header=extra_header,
        padded=padded,
    )
    outcome = outcome_of(token)
    if isinstance(outcome, Authenticated):
        witnesses_accept(token, name, alg)


@pytest.mark.parametrize(("name", "alg"), SIGNERS)
def test_a_good_token_of_each_algorithm_is_good_for_all(name: str, alg: str) -> None:
    token = mint({"aud": ["a"], "exp": NOW, "x": {"y": [1, None, "é"]}}, by=name, alg=alg)
    assert isinstance(outcome_of(token), Authenticated)
    witnesses_accept(token, name, alg)


@pytest.mark.parametrize(("name", "alg"), SIGNERS)
@pytest.mark.parametrize("padded", [False, True])
def test_a_token_with_one_changed_character_is_refused(name: str, alg: str, padded: bool) -> None:
    """Every character once, by one that base64url has and one that it has not."""
    token = mint({"sub": name, "a": "b"}, by=name, alg=alg, padded=padded)
    assert isinstance(outcome_of(token), Authenticated)
    for index, character in enumerate(token):
        following = ALPHABET[(ALPHABET.find(character) + 1) % len(ALPHABET)]
        for other in {following, "=", ".", "+", " "} - {character}:
            changed = f"{token[:index]}{other}{token[index + 1 :]}"
            assert isinstance(outcome_of(changed), Deny), (index, other)


@given(
    st.sampled_from(SIGNERS),
    st.booleans(),
    st.integers(0, 10_000),
    st.characters() | st.sampled_from(ALPHABET + "=.+/ \t\n\0"),
)
def test_a_changed_character_is_refused_whatever_it_becomes(
    signer: tuple[str, str], padded: bool, index: int, other: str
) -> None:
    token = MINTED[signer, padded]
    index %= len(token)
    assume(token[index] != other)
    changed = f"{token[:index]}{other}{token[index + 1 :]}"
    assert isinstance(outcome_of(changed), Deny)


@given(
    st.sampled_from(SIGNERS),
    st.booleans(),
    st.integers(0, 10_000),
    st.text(st.sampled_from(ALPHABET + "=. "), min_size=1, max_size=4),
)
def test_nothing_can_be_put_into_a_token_or_left_out(
    signer: tuple[str, str], padded: bool, index: int, more: str
) -> None:
    token = MINTED[signer, padded]
    index %= len(token) + 1
    longer = f"{token[:index]}{more}{token[index:]}"
    shorter = f"{token[:index]}{token[index + len(more) :]}"
    for changed in {longer, shorter} - {token}:
        # The exact padding of the signature is the one thing in a token that is not signed;
        # blanks in front belong to the header.
        same = changed.lstrip(" ").rstrip("=") == token.rstrip("=")
        assert isinstance(outcome_of(changed), Deny) or same, changed


MINTED = {
    (signer, padded): mint({"a": "bc"}, by=signer[0], alg=signer[1], padded=padded)
    for signer in SIGNERS
    for padded in (False, True)
}
