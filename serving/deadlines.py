"""Deadlines of many calls at the price of one timer: coarse ticks, and a call that ends leaves."""

import asyncio
from typing import Protocol

TICK_SECONDS = 0.01
"""A call ends up to a tick late; Envoy, which has its own timer, has then given up anyway."""


class Expiring(Protocol):
    """What has a deadline. Hashable by identity."""

    due_tick: int | None
    """Kept here; None while no deadline is set."""

    def expire(self) -> None:
        """The deadline has come. Must not raise."""
        ...


class Deadlines:
    """
    Calls that must end.

    One timer, set to the earliest of them. Whoever ends earlier must `drop` its deadline: callers
    choose how far away it is (`grpc-timeout` reaches 11,000 years), so it must not hold the call.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[int, set[Expiring]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0

    def __len__(self) -> int:
        return sum(map(len, self._due.values()))

    def add(self, call: Expiring, at: float) -> None:
        """Expire `call` at a time of the loop's clock, never before it."""
        tick = call.due_tick = int(at / TICK_SECONDS) + 1
        calls = self._due.get(tick)
        if calls is not None:
            calls.add(call)
            return
        self._due[tick] = {call}
        if self._timer is None or tick < self._wakes_at:
            self._wake_at(tick)

    def drop(self, call: Expiring) -> None:
        """The call is over; nothing happens to one that had no deadline."""
        tick, call.due_tick = call.due_tick, None
        if tick is not None and (calls := self._due.get(tick)) is not None:
            calls.discard(call)
            if not calls:
                del self._due[tick]

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due.clear()

    def _wake_at(self, tick: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = tick
        self._timer = self._loop.call_at(tick * TICK_SECONDS, self._wake)

    def _wake(self) -> None:
        now = self._loop.time()
        self._timer = None
        for tick in [tick for tick in self._due if tick * TICK_SECONDS <= now]:
            for call in self._due.pop(tick, ()):
                call.expire()
        if self._due:
            self._wake_at(min(self._due))
