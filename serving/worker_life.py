"""What the end of a worker's process means, and how long to wait before the next."""

import signal
from typing import NamedTuple

STEADY_SECONDS = 10.0
"""A worker that has answered for so long has started well; what ends it later is another matter."""

REFUSALS = (1, 2)
"""Exit statuses of a process that can do nothing with what it was given: `serving.command`."""


class Life(NamedTuple):
    """One run of a worker's process that is over."""

    status: int | None
    """Exit status, negative for a signal; None when there was no process to be had."""

    up_seconds: float
    """How long it answered; 0 when it never did."""

    @property
    def steady(self) -> bool:
        return self.up_seconds >= STEADY_SECONDS

    @property
    def refused(self) -> bool:
        """Of a first life: the next would end the same way."""
        return not self.steady and (self.status is None or self.status in REFUSALS)

    @property
    def drained(self) -> bool:
        """Told to stop, it lost nothing. Before it answers, a signal ends it without ado."""
        return self.status == 0 or (self.status == -signal.SIGTERM and self.up_seconds == 0)


class Backoff(NamedTuple):
    """How long a worker that does not stay up is left dead."""

    first_seconds: float = 0.5
    longest_seconds: float = 30.0

    def delay_seconds(self, quick_ends: int) -> float:
        """`quick_ends` counts the last lives in a row that never became steady: 0 means at once."""
        if quick_ends == 0:
            return 0.0
        return min(self.first_seconds * 2.0 ** min(quick_ends - 1, 32), self.longest_seconds)


class Page(NamedTuple):
    """What a worker's admin port said; 502 and 504 are ours, as a gateway's (RFC 9110 15.6)."""

    status: int
    text: str
