"""Key sets: the usable keys of a document, and what is said of the others."""

import json

import pytest

from authz.keys.jwk import Unusable
from authz.keys.jwks import MAX_KEYS, KeySet, read_fetched_key_set, read_inline_key_set
from authz.tokens.refusal import Failure
from authz.tokens.token import Token, read_token
from tests.token_mint import key, key_set, mint

RSA, WEAK, FOREIGN = key("rsa").jwk, key("rsa1024").jwk, {"kty": "future", "kid": "f"}


def inline(*keys: object) -> KeySet:
    found = read_inline_key_set(json.dumps({"keys": keys}))
    assert isinstance(found, KeySet)
    return found


def token(text: str) -> Token:
    found = read_token(text)
    assert isinstance(found, Token)
    return found


def test_a_set_and_a_bare_key_are_read() -> None:
    assert [each.kid for each in inline(RSA, key("p256").jwk).keys] == ["rsa", "p256"]
    bare = read_inline_key_set(json.dumps(RSA))
    assert isinstance(bare, KeySet)
    assert [each.kid for each in bare.keys] == ["rsa"]


@pytest.mark.parametrize("text", ['{"keys": []}', '{"keys": null}'])
def test_an_empty_inline_set_is_taken_and_verifies_nothing(text: str) -> None:
    found = read_inline_key_set(text)
    assert isinstance(found, KeySet)
    assert found.check_signature(token(mint())) is Failure.NO_KEY


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not one JSON object"),
        ("[]", "not one JSON object"),
        ("null", "not one JSON object"),
        ('{"keys": []} {}', "not one JSON object"),
        ('{"keys": [], "keys": []}', "not one JSON object"),
        ('{"a": "\ud800"}', "not one JSON object"),
        ("{}", "keys[0]: kty None is not one of RSA, EC, OKP, oct"),
        ('{"keys": {}}', "'keys' is not a list"),
        ('{"keys": "x"}', "'keys' is not a list"),
        (json.dumps({"keys": [RSA] * (MAX_KEYS + 1)}), "101 keys; at most 100"),
        (
            json.dumps({"keys": [RSA, FOREIGN]}),
            "keys[1]: kty 'future' is not one of RSA, EC, OKP, oct",
        ),
        (json.dumps({"keys": [5, RSA, {}]}), "keys[0]: not a JSON object; keys[2]: kty None"),
        (json.dumps(WEAK), "keys[0]: RSA of 1024 bits; 2048 to 8192 are used"),
        (
            json.dumps({"keys": [WEAK, {**RSA, "use": "enc"}]}),
            "2048 to 8192 are used; keys[1]: use 'enc'",
        ),
    ],
)
def test_an_inline_set_is_refused_with_the_reason(text: str, reason: str) -> None:
    found = read_inline_key_set(text)
    assert isinstance(found, Unusable)
    assert reason in found.reason


def test_a_weak_key_beside_a_good_one_is_left_out_with_a_remark() -> None:
    found = inline(WEAK, RSA)
    assert [each.kid for each in found.keys] == ["rsa"]
    assert found.remarks == ("keys[0]: RSA of 1024 bits; 2048 to 8192 are used",)


def test_private_keys_and_secrets_are_used_with_a_remark() -> None:
    found = inline({**RSA, "d": "AQ"}, key("secret").jwk)
    assert [each.kid for each in found.keys] == ["rsa", "secret"]
    assert [remark[:7] for remark in found.remarks] == ["keys[0]", "keys[1]"]


def test_of_a_fetched_set_everything_usable_is_taken() -> None:
    keys = [FOREIGN, 5, WEAK, key("secret").jwk, RSA]
    found = read_fetched_key_set(json.dumps({"keys": keys}).encode())
    assert isinstance(found, KeySet)
    assert [each.kid for each in found.keys] == ["rsa"]
    assert len(found.remarks) == 4
    assert "keys[3]: a secret in a fetched key set is not used" in found.remarks


def test_a_fetched_set_without_a_usable_key_is_a_set() -> None:
    found = read_fetched_key_set(b'{"keys": []}')
    assert isinstance(found, KeySet)
    assert found.keys == ()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"<html>", "not one JSON object with 'keys'"),
        (json.dumps(RSA).encode(), "not one JSON object with 'keys'"),
        (b"{}", "not one JSON object with 'keys'"),
        (b'{"keys": null}', "'keys' is not a list"),
        (json.dumps({"keys": [FOREIGN] * 101}).encode(), "101 keys; at most 100"),
    ],
)
def test_what_is_no_fetched_set(raw: bytes, reason: str) -> None:
    assert read_fetched_key_set(raw) == Unusable(reason, malformed=True)


@pytest.mark.parametrize(
    ("keys", "by", "kid", "failure"),
    [
        (["rsa", "rsa-2"], "rsa", "rsa", None),
        (["rsa", "rsa-2"], "rsa", "rsa-2", Failure.BAD_SIGNATURE),
        (["rsa", "rsa-2"], "rsa", "rsa-3", Failure.NO_KEY),
        (["rsa-2", "rsa"], "rsa", ..., None),
        (["rsa-2"], "rsa", ..., Failure.BAD_SIGNATURE),
        (["p256"], "rsa", ..., Failure.NO_KEY),
        (["p256"], "rsa", "p256", Failure.NO_KEY),
    ],
)
def test_kid_and_algorithm_pick_the_keys(
    keys: list[str], by: str, kid: object, failure: Failure | None
) -> None:
    found = inline(*(key(name).jwk for name in keys))
    assert found.check_signature(token(mint(by=by, header={"kid": kid}))) is failure


def test_a_key_without_a_name_is_tried_for_every_name() -> None:
    nameless = {name: value for name, value in RSA.items() if name != "kid"}
    found = inline(key("rsa-2").jwk, nameless)
    assert found.check_signature(token(mint(header={"kid": "rsa-2"}))) is None
    assert found.check_signature(token(mint(header={"kid": "other"}))) is None
    assert not found.has("other")


def test_keys_of_one_name_are_all_tried() -> None:
    found = inline({**key("rsa-2").jwk, "kid": "rsa"}, RSA)
    assert found.check_signature(token(mint())) is None


def test_a_set_knows_its_names() -> None:
    found = inline(RSA)
    assert found.has("rsa")
    assert not found.has("other")
    assert not found.has(None)


def test_no_two_sets_are_equal() -> None:
    assert read_inline_key_set(key_set("rsa")) != read_inline_key_set(key_set("rsa"))
