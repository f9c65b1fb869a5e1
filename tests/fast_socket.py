"""The fast engine's connection without a socket: octets in, octets out, and the time passed in."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from serving.call import Handler, Streaming
from serving.deadlines import Deadlines
from serving.fast_connection import FastConnection
from serving.http2_limits import Http2Limits
from tests.http2_frames import HELLO, METHOD, Answers, Frame


class Socket(asyncio.Transport):
    """What a connection is given by the loop; keeps what was written."""

    def __init__(self, peername: Any = ("192.0.2.1", 4711)) -> None:
        super().__init__({"peername": peername})
        self.written: list[bytes] = []
        self.closed = self.aborted = self.paused = False

    def write(self, data: Any) -> None:
        assert data, "a write of nothing"
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Clock:
    """The loop as a connection uses it, but for its time: that passes when the test says so."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.call_soon = loop.call_soon
        self.now = loop.time()

    def time(self) -> float:
        return self.now


class Server:
    """
    An engine with one connection.

    Args:
        methods: a handler of METHOD, or a table.
        room: False refuses the connection.
    """

    def __init__(
        self,
        methods: Handler | Streaming | Mapping[str, Any],
        limits: Http2Limits = Http2Limits(),  # noqa: B008 - frozen
        room: bool = True,
        socket: Socket | None = None,
    ) -> None:
        table = methods if isinstance(methods, Mapping) else {METHOD: methods}
        self.methods = {path.encode(): method for path, method in table.items()}
        self.limits, self.room = limits, room
        loop = asyncio.get_running_loop()
        self.clock: Any = Clock(loop)
        self.deadlines = Deadlines(loop)
        self.open: list[FastConnection] = []
        self.answers = Answers()
        self.socket = socket or Socket()
        self.connection = FastConnection(self, self.clock)
        self.connection.connection_made(self.socket)
        self._taken = 0

    def opened(self, connection: FastConnection) -> bool:
        if self.room:
            self.open.append(connection)
        return self.room

    def closed(self, connection: FastConnection) -> None:
        if connection in self.open:
            self.open.remove(connection)

    def receive(self, octets: bytes) -> list[Frame]:
        """What the server sends at once when these octets come."""
        self.connection.data_received(octets)
        return self.take()

    def take(self) -> list[Frame]:
        """What the server has sent since the last time."""
        fresh = b"".join(self.socket.written[self._taken :])
        self._taken = len(self.socket.written)
        return self.answers.take(fresh)

    def greet(self) -> "Server":
        self.receive(HELLO)
        return self

    async def until(self, done: Callable[[Answers], object]) -> None:
        """Let the loop turn until the server has sent what is waited for."""
        async with asyncio.timeout(20):
            while not done(self.answers):
                await asyncio.sleep(0)
                self.take()

    async def turn(self, times: int = 3) -> None:
        """Let callbacks and tasks that are ready have their turn."""
        for _ in range(times):
            await asyncio.sleep(0)
        self.take()


class Sweeps:
    """Sweeps of a server's connection, every other second, from now on."""

    def __init__(self, server: Server) -> None:
        self._server, self._start = server, server.clock.now

    def until(self, seconds: float) -> None:
        clock = self._server.clock
        while clock.now + 2 <= self._start + seconds:
            clock.now += 2
            self._server.connection.sweep(clock.now)

    def aborts_between(self, lower: float, upper: float) -> bool:
        self.until(lower)
        before = self._server.socket.aborted
        self.until(upper)
        return not before and self._server.socket.aborted
