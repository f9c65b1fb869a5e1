"""The nouns of the rate limit service."""

import pytest

from protos.service_ratelimit_v3_pb2 import RateLimitResponse
from protos.type_v3_pb2 import RateLimitUnit
from rls.limits import Algorithm, Code, Entry, RateLimit, Unit, Wildcard

DAY = 24 * 60 * 60


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [
        (Unit.SECOND, 1),
        (Unit.MINUTE, 60),
        (Unit.HOUR, 60 * 60),
        (Unit.DAY, DAY),
        (Unit.WEEK, 7 * DAY),
        (Unit.MONTH, 30 * DAY),
        (Unit.YEAR, 365 * DAY),
    ],
)
def test_a_unit_has_the_length_that_envoyproxy_ratelimit_counts(unit: Unit, seconds: int) -> None:
    assert unit.seconds == seconds


@pytest.mark.parametrize("unit", Unit)
def test_a_unit_has_envoys_number(unit: Unit) -> None:
    assert RateLimitResponse.RateLimit.Unit.Value(unit.name) == unit.number
    if unit is not Unit.WEEK:  # the enum of overrides has no week
        assert RateLimitUnit.Value(unit.name) == unit.number


@pytest.mark.parametrize("code", Code)
def test_a_code_has_envoys_number(code: Code) -> None:
    assert RateLimitResponse.Code.Value(code.name) == code


def test_capacity_is_the_burst_of_a_bucket_and_the_rate_of_a_window() -> None:
    assert RateLimit(10, Unit.SECOND).capacity == 10
    assert RateLimit(10, Unit.SECOND, Algorithm.TOKEN_BUCKET, burst=25).capacity == 25


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("*", "", True),
        ("*", "anything", True),
        ("a*", "a", True),
        ("a*", "ba", False),
        ("*a", "ba", True),
        ("*a", "ab", False),
        ("a*b", "ab", True),
        ("a*b", "a--b", True),
        ("a*b", "a", False),
        ("ab*bc", "abc", False),  # prefix and suffix do not overlap
        ("ab*bc", "abbc", True),
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "acb", False),
        ("a*bb*b", "abb", False),  # nothing is left for the last literal
        ("a**c", "ac", True),
        ("a*.*c", "abc", False),  # a dot is a dot
        ("/api/*/items", "/api/v1/items", True),
        ("A*", "a", False),
    ],
)
def test_each_star_stands_for_zero_or_more_characters(
    pattern: str, value: str, matches: bool
) -> None:
    wildcard = Wildcard("key", tuple(pattern.split("*")))
    assert wildcard.matches(Entry("key", value)) is matches


def test_a_wildcard_is_for_its_own_key() -> None:
    assert not Wildcard("key", ("", "")).matches(Entry("other", "value"))
