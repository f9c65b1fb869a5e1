"""What a worker's end means, and the wait that follows it."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.worker_life import STEADY_SECONDS, Backoff, Life


@pytest.mark.parametrize(
    ("quick_ends", "seconds"),
    [(0, 0), (1, 0.5), (2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 30), (8, 30), (10**9, 30)],
)
def test_each_quick_end_doubles_the_wait_up_to_half_a_minute(
    quick_ends: int, seconds: float
) -> None:
    assert Backoff().delay_seconds(quick_ends) == seconds


@given(
    first=st.floats(0.001, 10), longest=st.floats(0.001, 1_000), quick_ends=st.integers(1, 10**6)
)
def test_the_wait_grows_is_never_nothing_and_never_longer_than_the_longest(
    first: float, longest: float, quick_ends: int
) -> None:
    backoff = Backoff(first, longest)
    wait, next_wait = (backoff.delay_seconds(ends) for ends in (quick_ends, quick_ends + 1))
    assert 0 < wait <= next_wait <= longest


SHORT, LONG = STEADY_SECONDS / 2, STEADY_SECONDS


@pytest.mark.parametrize(
    ("status", "up_seconds", "steady", "refused", "drained"),
    [
        (0, 0.0, False, False, True),
        (0, LONG, True, False, True),
        (1, 0.0, False, True, False),
        (1, SHORT, False, True, False),
        (1, LONG, True, False, False),
        (2, 0.0, False, True, False),
        (3, 0.0, False, False, False),
        (None, 0.0, False, True, False),
        (-signal.SIGTERM, 0.0, False, False, True),
        (-signal.SIGTERM, SHORT, False, False, False),
        (-signal.SIGKILL, 0.0, False, False, False),
        (-signal.SIGSEGV, LONG, True, False, False),
    ],
)
def test_status_and_time_tell_refusal_crash_and_drain_apart(
    status: int | None, up_seconds: float, steady: bool, refused: bool, drained: bool
) -> None:
    life = Life(status, up_seconds)
    assert (life.steady, life.refused, life.drained) == (steady, refused, drained)
