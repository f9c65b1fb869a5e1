"""
Counters: shared, atomic, self-expiring.

`memory` is the specification: short, obvious, one process. `valkey` does the same in Redis or
Valkey over one pipelined `connection`.
"""

from collections.abc import Awaitable, Sequence
from typing import NamedTuple, Protocol

from rls.limits import RateLimit
from serving.call import Unavailable


class Counter(NamedTuple):
    """A limit bound to the values of a descriptor."""

    key: bytes
    """A bucket's key in the store, or the stem of its windows' keys."""
    limit: RateLimit


class Hit(NamedTuple):
    """What a request does to one counter."""

    counter: Counter
    addend: int
    """0 looks and leaves no trace."""


Spent = list[float]
"""For each hit, in order: the hits in the window or the tokens out of the bucket, this hit and
the earlier ones of the same request among them. More than the limit's capacity means over; a
refused hit stays counted in a window and takes nothing from a bucket."""


class CounterStore(Protocol):
    """Where counters live."""

    def hit(self, hits: Sequence[Hit], now_us: int) -> Spent | Awaitable[Spent]:
        """
        Do every hit and say what is spent: at once, or as an awaitable.

        Args:
            hits: at least one; the same counter may occur twice.
            now_us: Unix time in microseconds; the store itself reads no clock.

        Raises:
            StoreUnavailable: now or from the awaitable. Nothing is known about any counter.
        """
        ...


class StoreUnavailable(Unavailable):
    """
    The counters cannot be had.

    UNAVAILABLE and not UNKNOWN: Envoy's filter counts it as an error, so `failure_mode_deny`
    decides about the request, and a client of the call knows that trying again makes sense.
    """
