"""Token buckets, as plain arithmetic."""

import pytest

from rls.bucket import FULL, Bucket, seconds_to_return, spend
from rls.limits import Algorithm, RateLimit, Unit
from rls.window import US

LIMIT = RateLimit(10, Unit.SECOND, Algorithm.TOKEN_BUCKET, burst=5)
NOW_US = 1_700_000_000 * US


def test_a_full_bucket_gives_its_burst_at_once() -> None:
    bucket, spent = spend(FULL, LIMIT, 5, NOW_US)
    assert (bucket, spent) == (Bucket(5.0, NOW_US), 5.0)


def test_a_refused_hit_leaves_the_bucket_as_it_was() -> None:
    bucket = Bucket(3.0, NOW_US)
    assert spend(bucket, LIMIT, 3, NOW_US) == (bucket, 6.0)


def test_a_look_leaves_the_bucket_as_it_was() -> None:
    bucket = Bucket(3.0, NOW_US)
    assert spend(bucket, LIMIT, 0, NOW_US + US // 10) == (bucket, 2.0)


def test_tokens_come_back_at_the_rate() -> None:
    bucket, spent = spend(Bucket(5.0, NOW_US), LIMIT, 1, NOW_US + US // 4)
    assert (bucket, spent) == (Bucket(3.5, NOW_US + US // 4), 3.5)


def test_no_more_comes_back_than_was_spent() -> None:
    assert spend(Bucket(5.0, NOW_US), LIMIT, 0, NOW_US + 60 * US)[1] == 0.0


def test_a_clock_that_steps_back_returns_nothing_and_is_not_remembered() -> None:
    bucket, spent = spend(Bucket(4.0, NOW_US), LIMIT, 1, NOW_US - 3600 * US)
    assert (bucket, spent) == (Bucket(5.0, NOW_US), 5.0)


@pytest.mark.parametrize(("tokens", "seconds"), [(0, 0), (5, 0.5), (10, 1), (0.5, 0.05)])
def test_how_long_tokens_take_to_come_back(tokens: float, seconds: float) -> None:
    assert seconds_to_return(tokens, LIMIT) == pytest.approx(seconds)
