"""
One pipelined connection to Redis or Valkey.

Every command asked for in one turn of the event loop leaves in one write; replies come back in
order, so a queue of waiting batches is all the bookkeeping there is. Nobody waits long: a batch
without its replies after the time-out fails, and until the store has caught up every new one fails
at once, so a dead store costs Envoy microseconds instead of a timeout each. A batch that failed or
whose caller left keeps its place in the queue: its replies, when they come, are nobody else's.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any, cast

import hiredis

from rls.counters import StoreUnavailable

Reply = int | bytes | str | None | list["Reply"] | hiredis.HiredisError
Replies = list[Reply]
Arrived = Callable[[Replies], None]

TICKS = 4
"""An operation's time-out in turns of the watch: only time in which the loop really ran counts,
so a stall of our own process is not taken for one of the store."""
SHORTEST_TICK_SECONDS = 0.001
"""uvloop's timers count whole milliseconds: less is rounded to none, and the watch would spin."""
HOPELESS_SECONDS = 0.25
"""After this much silence, or two time-outs' worth, the connection is given up and made anew."""


def packed(*words: bytes | str | int) -> bytes:
    """One command as it goes over the wire."""
    # hiredis takes any tuple; its annotations say a tuple of one.
    return cast(bytes, hiredis.pack_command(cast(Any, words)))


class Batch:
    """Commands that belong together; `replies` fills up in their order."""

    __slots__ = ("arrived", "expected", "future", "replies", "tick")

    def __init__(
        self, expected: int, tick: int, future: "asyncio.Future[Replies]", arrived: Arrived | None
    ) -> None:
        self.expected, self.tick, self.future, self.arrived = expected, tick, future, arrived
        self.replies: Replies = []


class Connection(asyncio.Protocol):
    """
    A connected socket.

    Args:
        op_timeout_seconds: how long one batch may take, give or take a quarter.
        on_lost: called once, when the connection is gone for whatever reason.
    """

    def __init__(self, op_timeout_seconds: float, on_lost: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._waiting: deque[Batch] = deque()
        self._out: list[bytes] = []
        self._tick = 0
        self._watch: asyncio.TimerHandle | None = None
        self.expect_within(op_timeout_seconds)
        self._on_lost = on_lost
        self.lost = ""
        """Why the connection is gone; empty while it is there."""
        self._behind = False
        self._transport: asyncio.Transport | None = None
        self.writes = 0
        """How many writes went out, for the metrics: commands ÷ writes is the batching."""

    def expect_within(self, op_timeout_seconds: float) -> None:
        """Change the time-out; to be called while nothing waits."""
        self._tick_seconds = max(op_timeout_seconds / TICKS, SHORTEST_TICK_SECONDS)
        self._late_ticks = ceil(op_timeout_seconds / self._tick_seconds)
        self._hopeless_ticks = max(ceil(HOPELESS_SECONDS / self._tick_seconds), 2 * TICKS)
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def send(
        self, commands: Sequence[bytes], arrived: Arrived | None = None
    ) -> "asyncio.Future[Replies]":
        """
        Queue packed commands, at least one; the future gives their replies, errors among them.

        Args:
            commands: they leave together with all others of this turn of the loop.
            arrived: called with the replies, however late, whether or not anybody still waits.

        Raises:
            StoreUnavailable: at once when the store is behind or gone; else from the future.
        """
        if self.lost or self._behind:
            raise StoreUnavailable(self.lost or "counter store does not answer in time")
        return self._queue(commands, arrived)

    def tell(self, commands: Sequence[bytes]) -> None:
        """Queue commands whose replies do not matter, even while the store is behind."""
        if not self.lost:
            self._queue(commands, None).cancel()

    def close(self, reason: str) -> None:
        """Drop the connection; everything that waits fails with `reason`."""
        if self._transport is not None:
            self._transport.abort()
        self._fail(reason)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                if not self._waiting:
                    # What it answers is unknown, so every later reply might be another's count.
                    self.close(f"counter store spoke unasked: {reply!r}")
                    return
                self._resolve(reply)
        except hiredis.ProtocolError as error:
            self.close(f"counter store speaks no RESP: {error}")
        self._behind = self._behind and bool(self._waiting)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"connection to the counter store lost: {exc or 'closed by the store'}")

    def _queue(
        self, commands: Sequence[bytes], arrived: Arrived | None
    ) -> "asyncio.Future[Replies]":
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.extend(commands)
        future: asyncio.Future[Replies] = self._loop.create_future()
        self._waiting.append(Batch(len(commands), self._tick, future, arrived))
        if self._watch is None:
            self._watch = self._loop.call_later(self._tick_seconds, self._look)
        return future

    def _flush(self) -> None:
        if self._transport is not None and not self.lost:
            self.writes += 1
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _resolve(self, reply: Reply) -> None:
        batch = self._waiting[0]
        batch.replies.append(reply)
        if len(batch.replies) == batch.expected:
            self._waiting.popleft()
            if not batch.future.done():  # it timed out, or its caller left
                batch.future.set_result(batch.replies)
            if batch.arrived is not None:
                batch.arrived(batch.replies)

    def _look(self) -> None:
        """Every tick while something waits: fail what waited for too long."""
        self._tick += 1
        self._watch = None
        if not self._waiting:
            return
        if self._tick - self._waiting[0].tick > self._hopeless_ticks:
            self.close("counter store stopped answering")
            return
        for batch in self._waiting:
            if self._tick - batch.tick <= self._late_ticks:
                break
            self._behind = True
            if not batch.future.done():
                batch.future.set_exception(StoreUnavailable("counter store did not answer in time"))
        self._watch = self._loop.call_later(self._tick_seconds, self._look)

    def _fail(self, reason: str) -> None:
        if self.lost:
            return
        self.lost = reason
        if self._watch is not None:
            self._watch.cancel()
        for batch in self._waiting:
            if not batch.future.done():
                batch.future.set_exception(StoreUnavailable(reason))
        self._waiting.clear()
        self._on_lost(reason)
