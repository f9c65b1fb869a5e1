"""Fixed windows: aligned to the Unix epoch, as envoyproxy/ratelimit's are."""

US = 1_000_000
"""Microseconds in a second."""

SLACK_SECONDS = 60
"""How long counters are kept beyond their use: a clock that steps back by less, or a pod whose
clock is behind, still finds what was spent."""


def window_start_seconds(now_us: int, window_seconds: int) -> int:
    """The Unix second at which the window that holds `now_us` began."""
    now_seconds = now_us // US
    return now_seconds - now_seconds % window_seconds


def seconds_until_reset(now_us: int, window_seconds: int) -> int:
    """Whole seconds until the next window: 1 to `window_seconds`, never 0."""
    return window_start_seconds(now_us, window_seconds) + window_seconds - now_us // US
