"""Deadlines of many calls at the price of one timer: a wheel of coarse ticks."""

import asyncio
from collections.abc import Callable

TICK_SECONDS = 0.01
"""A call ends up to a tick late; Envoy, which has its own timer, has then given up anyway."""


class Deadlines:
    """Calls that must end; the timer runs only while there are any."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[int, list[Callable[[], None]]] = {}
        self._tick = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, seconds: float, expire: Callable[[], None]) -> None:
        """Call `expire` after `seconds`; it must do nothing for a call that is over by then."""
        if self._timer is None:
            self._tick = int(self._loop.time() / TICK_SECONDS)
            self._timer = self._loop.call_later(TICK_SECONDS, self._turn)
        tick = int((self._loop.time() + seconds) / TICK_SECONDS) + 1
        self._due.setdefault(tick, []).append(expire)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due.clear()

    def _turn(self) -> None:
        now = int(self._loop.time() / TICK_SECONDS)
        if now - self._tick > len(self._due):
            due = sorted(tick for tick in self._due if tick <= now)
        else:
            due = [tick for tick in range(self._tick, now + 1) if tick in self._due]
        self._tick = now
        for tick in due:
            for expire in self._due.pop(tick):
                expire()
        self._timer = self._loop.call_later(TICK_SECONDS, self._turn) if self._due else None
