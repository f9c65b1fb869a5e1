"""Calls that are opened, fed, reset, answered and forgotten in any order end once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable

from hypothesis import given, settings
from hypothesis import strategies as st

from serving.call import Call, Streaming, Unavailable
from serving.http2_limits import Http2Limits
from tests.fast_socket import Server
from tests.http2_frames import METHOD, Frame, data, headers, message, ping, reset

ECHO_STREAM = "/toll/EchoStream"
LIMITS = Http2Limits(max_concurrent_streams=50, max_message_bytes=5_000)


async def echo_stream(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
    async for body in requests:
        yield body


class Play:
    """A client and a handler that do what they are told; the handler answers when it is told to."""

    def __init__(self, method: str) -> None:
        methods = {METHOD: self.take, ECHO_STREAM: Streaming(echo_stream)}
        self.server = Server(methods, LIMITS).greet()
        self._method = method
        self._sending: list[int] = []
        self._taken: list[asyncio.Future[bytes]] = []
        self.opened: list[int] = []
        self.given_up: set[int] = set()

    def take(self, _: bytes, __: Call) -> Awaitable[bytes]:
        self._taken.append(asyncio.get_running_loop().create_future())
        return self._taken[-1]

    @property
    def waiting(self) -> list[asyncio.Future[bytes]]:
        return [future for future in self._taken if not future.done()]

    def act(self, what: str, which: int) -> None:
        """One act; nothing when there is no call that it could be done to."""
        if what in ("open", "sweep", "stall"):
            getattr(self, what)(which)
        elif what in ("part", "end", "reset") and self._sending:
            getattr(self, what)(which, self._sending[which % len(self._sending)])
        elif what in ("answer", "fail", "abandon") and self.waiting:
            getattr(self, what)(self.waiting[which % len(self.waiting)])

    def open(self, _: int) -> None:
        stream = 2 * len(self.opened) + 1
        self.opened.append(stream)
        self._sending.append(stream)
        self.server.receive(headers(stream, path=self._method, grpc_timeout="1H"))

    def sweep(self, which: int) -> None:
        self.server.clock.now += 2 * which
        self.server.connection.sweep(self.server.clock.now)

    def stall(self, _: int) -> None:
        self.server.connection.pause_writing()
        self.server.connection.resume_writing()

    def part(self, which: int, stream: int) -> None:
        self.server.receive(data(stream, message(bytes(3))[:which], 0))

    def end(self, which: int, stream: int) -> None:
        self._sending.remove(stream)
        self.server.receive(data(stream, message(bytes(which)) if which % 2 else b""))

    def reset(self, _: int, stream: int) -> None:
        self._sending.remove(stream)
        self.given_up.add(stream)
        self.server.receive(reset(stream))

    def answer(self, future: asyncio.Future[bytes]) -> None:
        future.set_result(b"answer")

    def fail(self, future: asyncio.Future[bytes]) -> None:
        future.set_exception(Unavailable("away"))

    def abandon(self, future: asyncio.Future[bytes]) -> None:
        future.cancel()

    def answer_pings(self) -> None:
        for got in self.server.answers.of("PING"):
            self.server.receive(ping(got.payload, flags=1))
            self.server.answers.frames.remove(got)

    async def end_all(self) -> None:
        for stream in list(self._sending):
            self.end(0, stream)
        for future in self.waiting:
            self.answer(future)
        await self.server.turn(10)


ACTS = ("open", "part", "end", "reset", "answer", "fail", "abandon", "sweep", "stall")


@settings(max_examples=200)
@given(
    acts=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 8)), max_size=60),
    method=st.sampled_from([METHOD, ECHO_STREAM]),
)
def test_every_call_ends_once_and_leaves_nothing(acts: list[tuple[str, int]], method: str) -> None:
    async def play() -> None:
        stage = Play(method)
        for what, which in acts:
            stage.act(what, which)
            await stage.server.turn(1 + which)
            stage.answer_pings()
        await stage.end_all()
        server = stage.server
        for stream in stage.opened:
            ends = [got for got in server.answers.frames if ends_stream(got, stream)]
            assert len(ends) == 1 or (stream in stage.given_up and not ends)
        dispatch = server.connection._dispatch
        assert len(server.deadlines) == dispatch._held == len(dispatch.calls) == 0
        assert not server.answers.goaways()
        assert dispatch.http2._core.local_window_size >= LIMITS.window_bytes // 2

    asyncio.run(play())


def ends_stream(got: Frame, stream: int) -> bool:
    return got.stream == stream and got.type in ("HEADERS", "DATA") and bool(got.flags & 1)
