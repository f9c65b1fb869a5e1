"""What of a token its reader hands on; the cases under `tests/cases/authz/tokens` do the rest."""

from authz.tokens.refusal import Failure
from authz.tokens.token import MAX_CHARACTERS, Token, read_token
from tests.token_mint import ISSUER, b64, mint


def test_everything_a_verifier_needs_is_there() -> None:
    text = mint({"exp": 5, "nbf": 4.5, "aud": ["a", "b"], "x": [1]}, padded=True)
    token = read_token(text)
    header, payload, signature = text.split(".")
    assert isinstance(token, Token)
    assert token[:7] == ("RS256", "rsa", ISSUER, "alice", ("a", "b"), 5, 4.5)
    assert token.claims == {
        "iss": ISSUER, "sub": "alice", "exp": 5, "nbf": 4.5, "aud": ["a", "b"], "x": [1],
    }  # fmt: skip
    assert token.payload == payload.rstrip("=")
    assert token.signed == f"{header}.{payload}".encode()
    assert b64(token.signature, padded=True) == signature


def test_what_is_not_there_is_empty() -> None:
    token = read_token(mint({"iss": ..., "sub": ...}, header={"kid": ...}))
    assert isinstance(token, Token)
    assert token[1:7] == (None, "", "", (), None, None)


def test_one_audience_is_a_list_of_one() -> None:
    token = read_token(mint({"aud": "a"}))
    assert isinstance(token, Token)
    assert token.audiences == ("a",)


def test_a_token_may_be_so_long_and_no_longer() -> None:
    texts = [mint({"x": "a" * size}, by="secret") for size in range(12_000, 12_300)]
    assert len(texts[0]) < MAX_CHARACTERS < len(texts[-1])
    for text in texts:
        found = read_token(text)
        if len(text) <= MAX_CHARACTERS:
            assert isinstance(found, Token)
        else:
            assert found is Failure.MALFORMED
