"""Refusals: status, reason and challenge of each; nothing of the request but its host."""

import re

import pytest

from authz.request import Deny, Reason, Request
from authz.tokens.refusal import Failure, missing_token_challenge, refuse

REQUEST = Request("GET", "shop.example:8080", "/secret?token=x", {}, "", "", "", 80, "", "")

EXPECTED = {
    Failure.AMBIGUOUS: (401, Reason.INVALID_TOKEN),
    Failure.MALFORMED: (401, Reason.INVALID_TOKEN),
    Failure.UNSUPPORTED_HEADER: (401, Reason.INVALID_TOKEN),
    Failure.UNSUPPORTED_ALGORITHM: (401, Reason.INVALID_TOKEN),
    Failure.WRONG_TYPE: (401, Reason.INVALID_TOKEN),
    Failure.SENDER_CONSTRAINED: (401, Reason.INVALID_TOKEN),
    Failure.EXPIRED: (401, Reason.EXPIRED_TOKEN),
    Failure.NOT_YET_VALID: (401, Reason.INVALID_TOKEN),
    Failure.UNKNOWN_ISSUER: (401, Reason.UNKNOWN_ISSUER),
    Failure.WRONG_AUDIENCE: (403, Reason.WRONG_AUDIENCE),
    Failure.NO_KEY: (401, Reason.INVALID_TOKEN),
    Failure.BAD_SIGNATURE: (401, Reason.INVALID_TOKEN),
    Failure.KEYS_UNAVAILABLE: (503, Reason.KEYS_UNAVAILABLE),
}


@pytest.mark.parametrize("failure", Failure)
def test_each_failure_has_its_answer(failure: Failure) -> None:
    status, reason = EXPECTED[failure]
    challenge = (
        f'Bearer realm="shop.example:8080", error="invalid_token",'
        f' error_description="{failure.value}"'
    )
    if failure is Failure.KEYS_UNAVAILABLE:
        challenge = ""  # the client can mend nothing
    assert refuse(failure, REQUEST) == Deny(status, reason, challenge=challenge)


@pytest.mark.parametrize("failure", Failure)
def test_descriptions_are_of_the_characters_that_rfc_6750_allows(failure: Failure) -> None:
    assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+", failure.value)


def test_failures_can_be_told_apart_by_their_answers() -> None:
    assert len({refuse(failure, REQUEST) for failure in Failure}) == len(Failure)


def test_a_request_without_a_token_is_only_told_the_realm() -> None:
    assert missing_token_challenge(REQUEST) == 'Bearer realm="shop.example:8080"'


@pytest.mark.parametrize(
    "host", ["", 'a", error="x', "a\r\nx: y", "a b", "é", "a" * 256, "a\\", "a/b", "a@b"]
)
def test_a_host_that_does_not_look_like_one_is_not_repeated(host: str) -> None:
    request = REQUEST._replace(host=host)
    assert missing_token_challenge(request) == 'Bearer realm="tollhouse"'


def test_an_ipv6_host_is_repeated() -> None:
    request = REQUEST._replace(host="[2001:db8::1]:443")
    assert missing_token_challenge(request) == 'Bearer realm="[2001:db8::1]:443"'
