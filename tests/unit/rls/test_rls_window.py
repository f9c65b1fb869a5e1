"""Fixed windows."""

import pytest

from rls.window import US, seconds_until_reset, window_start_seconds


@pytest.mark.parametrize(
    ("now_us", "window_seconds", "start", "left"),
    [
        (0, 60, 0, 60),
        (59_999_999, 60, 0, 1),
        (60 * US, 60, 60, 60),
        (1_700_000_000 * US, 1, 1_700_000_000, 1),
        (1_700_000_000 * US + 999_999, 1, 1_700_000_000, 1),
        (1_700_000_000 * US, 60, 1_699_999_980, 40),
        (1_700_000_000 * US, 604_800, 1_699_488_000, 92_800),  # 9 November 2023, a Thursday
    ],
)
def test_windows_are_aligned_to_the_epoch(
    now_us: int, window_seconds: int, start: int, left: int
) -> None:
    assert window_start_seconds(now_us, window_seconds) == start
    assert seconds_until_reset(now_us, window_seconds) == left
