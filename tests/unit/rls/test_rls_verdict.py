"""Limits and what is spent of them → the answer."""

import pytest

from rls.limits import Algorithm, Answer, Code, DescriptorStatus, RateLimit, Unit
from rls.verdict import NO_LIMIT, answer, status
from rls.window import US

WINDOW = RateLimit(10, Unit.MINUTE)
BUCKET = RateLimit(2, Unit.SECOND, Algorithm.TOKEN_BUCKET, burst=10)
NOW_US = 90 * US


@pytest.mark.parametrize(
    ("limit", "spent", "code", "remaining", "reset_seconds"),
    [
        (WINDOW, 1, Code.OK, 9, 30),
        (WINDOW, 10, Code.OK, 0, 30),
        (WINDOW, 11, Code.OVER_LIMIT, 0, 30),
        (BUCKET, 1, Code.OK, 9, 0.5),
        (BUCKET, 0, Code.OK, 10, 0),
        (BUCKET, 9.5, Code.OK, 0, 4.75),  # half a token is none
        (BUCKET, 10, Code.OK, 0, 5),
        (BUCKET, 10.5, Code.OVER_LIMIT, 0, 0.25),  # when the missing half is back
    ],
)
def test_status(
    limit: RateLimit, spent: float, code: Code, remaining: int, reset_seconds: float
) -> None:
    assert status(limit, spent, NOW_US) == DescriptorStatus(code, limit, remaining, reset_seconds)


def test_one_descriptor_over_its_limit_is_enough() -> None:
    over = DescriptorStatus(Code.OVER_LIMIT, WINDOW)
    assert answer([NO_LIMIT, over]) == Answer(Code.OVER_LIMIT, (NO_LIMIT, over))


def test_nothing_over_is_ok() -> None:
    assert answer([NO_LIMIT, NO_LIMIT]) == Answer(Code.OK, (NO_LIMIT, NO_LIMIT))
