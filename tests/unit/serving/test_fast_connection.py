"""A connection's life: refused, slow, silent, unread, lost. The time is passed in."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
from structlog.testing import capture_logs

from serving.call import Call, Streaming
from serving.fast_connection import FastConnection
from serving.http2_limits import Http2Limits
from tests.fast_socket import Server, Socket
from tests.http2_frames import (
    HELLO,
    PREFACE,
    call,
    data,
    frame,
    headers,
    message,
    ping,
    reset,
    settings,
    window_update,
)


def echo(body: bytes, _: Call) -> bytes:
    return body


def never(_: bytes, __: Call) -> Awaitable[bytes]:
    return asyncio.get_running_loop().create_future()


async def watch(_: AsyncIterator[bytes], __: Call) -> AsyncIterator[bytes]:
    yield b"watching"
    await asyncio.Event().wait()


async def endless(_: AsyncIterator[bytes], __: Call) -> AsyncIterator[bytes]:
    while True:
        yield bytes(10_000)


METHODS: dict[str, Any] = {
    "/toll/Echo": echo,
    "/toll/Never": never,
    "/toll/Watch": Streaming(watch),
    "/toll/Endless": Streaming(endless),
}


def start(stream: int, path: str, **more: str) -> bytes:
    return headers(stream, path=f"/toll/{path}", **more)


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


def say_something(server: Server) -> None:
    """So that a peer is not silent."""
    server.receive(frame("PRIORITY", 1, b"\0\0\0\0\1"))
    server.receive(window_update(0, 1))


async def test_a_connection_that_there_is_no_room_for_is_closed() -> None:
    server = Server(echo, room=False)
    assert server.socket.aborted
    assert server.socket.written == []
    server.connection.connection_lost(None)


@pytest.mark.parametrize(
    ("peername", "peer"), [(("192.0.2.1", 4711), "192.0.2.1:4711"), ("", "unix"), (None, "unix")]
)
async def test_a_peer_has_a_name(peername: Any, peer: str) -> None:
    seen = []

    def look(_: bytes, call: Call) -> bytes:
        seen.append(call.peer)
        return b""

    server = Server(look, socket=Socket(peername)).greet()
    server.receive(call(1))
    assert seen == [peer]


@pytest.mark.parametrize("octets", [b"", PREFACE[:9], PREFACE, PREFACE + settings()[:5]])
async def test_a_peer_that_sends_no_settings_is_cut_off_after_ten_seconds(octets: bytes) -> None:
    server = Server(echo)
    if octets:
        server.receive(octets)
    with capture_logs() as logs:
        assert Sweeps(server).aborts_between(10, 12)
    assert logs[0]["event"] == "connection cut off"
    assert logs[0]["peer"] == "192.0.2.1:4711"


async def test_a_preface_that_drips_is_cut_off_as_well() -> None:
    server = Server(echo)
    sweeps = Sweeps(server)
    for second in range(0, 12, 2):
        server.receive(HELLO[second // 2 : second // 2 + 1])
        sweeps.until(second)
    assert not server.socket.aborted
    sweeps.until(12)
    assert server.socket.aborted


async def test_an_idle_peer_that_answers_pings_stays_for_ever() -> None:
    server = Server(echo).greet()
    sweeps = Sweeps(server)
    for seconds in range(2, 7_200, 2):
        sweeps.until(seconds)
        await server.turn()
        for got in server.answers.of("PING"):
            server.receive(ping(got.payload, flags=1))
        assert len(server.answers.frames) < 5
        server.answers.frames.clear()
    assert not server.socket.aborted


async def test_a_peer_that_died_is_pinged_and_cut_off() -> None:
    server = Server(echo).greet()
    sweeps = Sweeps(server)
    sweeps.until(30)
    await server.turn()
    assert not server.answers.of("PING")
    sweeps.until(32)
    await server.turn()
    assert len(server.answers.of("PING")) == 1
    assert sweeps.aborts_between(42, 46)
    assert len(server.answers.of("PING")) == 1


async def test_an_open_header_block_cannot_answer_a_ping() -> None:
    server = Server(METHODS).greet()
    server.receive(ping() + start(1, "Echo")[:-9])  # behind something whole: nothing drips
    assert Sweeps(server).aborts_between(40, 46)


@pytest.mark.parametrize(
    "octets",
    [start(1, "Echo") * 1, start(1, "Echo") + data(1, bytes(9_000))],
    ids=["header block", "data"],
)
async def test_what_drips_is_cut_off_after_ten_seconds(octets: bytes) -> None:
    server = Server(METHODS).greet()
    begun = len(octets) - 50
    server.receive(octets[:begun])
    sweeps = Sweeps(server)
    for second in range(0, 10, 2):
        server.receive(octets[begun + second : begun + second + 1])
        sweeps.until(second)
    assert not server.socket.aborted
    sweeps.until(14)
    assert server.socket.aborted


@pytest.mark.parametrize("begin", [b"", data(1, b"\0\0\0", 0), data(1, message(b"abc")[:-1], 0)])
@pytest.mark.parametrize("path", ["Echo", "Watch"])
async def test_half_a_request_is_refused_after_thirty_seconds(begin: bytes, path: str) -> None:
    server = Server(METHODS).greet()
    server.receive(start(1, path) + begin)
    sweeps = Sweeps(server)
    sweeps.until(28)
    await server.turn(6)
    assert b"grpc-status" not in server.answers.fields.get(1, {})
    sweeps.until(32)
    await server.turn(6)
    assert server.answers.status(1) == "200/4"
    assert not server.socket.aborted
    server.receive(start(3, "Echo") + data(3, message()))
    assert server.answers.status(3) == "200/0"


async def test_a_request_that_drips_is_refused_after_thirty_seconds() -> None:
    server = Server(METHODS).greet()
    server.receive(start(1, "Echo") + data(1, message(bytes(100))[:50], 0))
    sweeps = Sweeps(server)
    for second in range(0, 34, 2):
        server.receive(data(1, b"aa", 0))
        sweeps.until(second)
        await server.turn()
    assert server.answers.status(1) == "200/4"


async def test_a_stream_is_not_slow_between_its_messages() -> None:
    async def take(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
        async for body in requests:
            yield body

    server = Server(Streaming(take)).greet()
    server.receive(headers(1) + data(1, message(b"one"), 0))
    await server.turn(6)
    sweeps = Sweeps(server)
    sweeps.until(28)
    server.receive(data(1, message(b"two")[:3], 0))  # the second begins, and takes its time
    await server.turn(6)
    server.receive(data(1, message(b"two")[3:] + message(b"three"), 0))
    await server.turn(6)
    for seconds in range(28, 200, 2):
        say_something(server)
        sweeps.until(seconds)
    await server.turn(6)
    assert b"grpc-status" not in server.answers.fields[1]


async def test_a_handler_may_take_longer_than_any_peer() -> None:
    server = Server(METHODS).greet()
    server.receive(start(1, "Never") + data(1, message()) + start(3, "Watch") + data(3, message()))
    await server.turn(6)
    sweeps = Sweeps(server)
    for seconds in range(2, 200, 2):
        say_something(server)
        sweeps.until(seconds)
    assert not server.answers.ended(1)
    assert not server.answers.ended(3)
    assert not server.socket.aborted


@pytest.mark.parametrize("path", ["Echo", "Endless"])
async def test_an_answer_that_nobody_takes_is_dropped_after_thirty_seconds(path: str) -> None:
    server = Server(METHODS)
    server.receive(PREFACE + settings({4: 0}))
    server.receive(start(1, path) + data(1, message(b"a")))
    await server.turn(6)
    sweeps = Sweeps(server)
    for seconds in range(2, 32, 2):
        say_something(server)
        sweeps.until(seconds)
    await server.turn()
    assert not server.answers.resets()
    assert server.connection._http2.queued_bytes()
    sweeps.until(36)
    await server.turn()
    assert server.answers.resets() == {1: "CANCEL"}
    assert not server.connection._http2.queued_bytes()
    assert not server.connection._dispatch.calls
    assert not server.socket.aborted


async def test_an_answer_that_is_taken_slowly_is_not_dropped() -> None:
    server = Server(METHODS)
    server.receive(PREFACE + settings({4: 1}))
    server.receive(start(1, "Echo") + data(1, message(bytes(100))))
    sweeps = Sweeps(server)
    for second in range(2, 150, 2):
        server.receive(window_update(1, 1))
        sweeps.until(second)
    assert not server.answers.resets()


async def test_a_stream_that_was_answered_and_is_never_ended_is_ended() -> None:
    async def done(_: AsyncIterator[bytes], __: Call) -> AsyncIterator[bytes]:
        yield b"done"

    server = Server(Streaming(done)).greet()
    server.receive(headers(1))
    await server.turn(6)
    assert server.answers.status(1) == "200/0"
    sweeps = Sweeps(server)
    for seconds in range(2, 36, 2):
        say_something(server)
        sweeps.until(seconds)
    await server.turn()
    assert not server.connection._dispatch.calls
    assert not server.socket.aborted


async def test_a_peer_that_does_not_read_is_not_read_from_and_cut_off_after_ten_seconds() -> None:
    server = Server(METHODS).greet()
    server.connection.pause_writing()
    assert server.socket.paused
    assert Sweeps(server).aborts_between(10, 14)


async def test_a_peer_that_reads_again_is_read_from_again() -> None:
    server = Server(METHODS).greet()
    server.connection.pause_writing()
    sweeps = Sweeps(server)
    sweeps.until(8)
    server.connection.resume_writing()
    assert not server.socket.paused
    sweeps.until(20)
    assert not server.socket.aborted


async def test_a_broken_connection_is_closed_and_cut_off_when_its_end_is_not_read() -> None:
    server = Server(METHODS).greet()
    with capture_logs() as logs:
        server.receive(call(1) + frame("PING", 1, bytes(8)))
    assert server.answers.goaways() == ["PROTOCOL_ERROR"]
    assert server.socket.closed
    assert logs == [
        {
            "event": "connection ended",
            "log_level": "info",
            "peer": "192.0.2.1:4711",
            "http2_error": 1,
        }
    ]
    assert Sweeps(server).aborts_between(10, 14)


async def test_calls_that_end_after_the_connection_say_nothing() -> None:
    answers: list[asyncio.Future[bytes]] = []

    def later(_: bytes, __: Call) -> Awaitable[bytes]:
        answers.append(asyncio.get_running_loop().create_future())
        return answers[-1]

    server = Server(later).greet()
    server.receive(call(1) + call(3) + ping())
    server.receive(frame("PING", 1, bytes(8)))
    written = len(server.socket.written)
    answers[0].set_result(b"late")
    await server.turn()
    assert len(server.socket.written) == written
    server.connection.abort()
    answers[1].set_result(b"later")
    await server.turn()
    assert len(server.socket.written) == written


async def test_octets_behind_the_end_are_not_taken() -> None:
    server = Server(echo).greet()
    server.receive(frame("PING", 1, bytes(8)))
    written = len(server.socket.written)
    server.receive(call(1))
    assert len(server.socket.written) == written


async def test_a_connection_that_leaves_is_closed_without_a_word_in_the_log() -> None:
    server = Server(echo).greet()
    with capture_logs() as logs:
        server.receive(frame("GOAWAY", 0, bytes(8)))
    assert server.socket.closed
    assert logs == []


async def test_a_connection_is_told_to_leave_when_its_time_has_come() -> None:
    server = Server(METHODS).greet()
    server.receive(start(1, "Never") + data(1, message()))
    now = server.clock.now
    server.connection.age(now + 1_000, 60)
    server.connection.leave_after(100)
    server.connection.age(now + 99, 60)
    await server.turn()
    assert not server.answers.goaways()
    server.connection.age(now + 101, 60)
    await server.turn()
    assert [got.payload[:4] for got in server.answers.of("GOAWAY")] == [b"\x7f\xff\xff\xff"]
    for seconds in (103, 105, 160):
        server.connection.age(now + seconds, 60)
    await server.turn()
    assert [got.payload[:4] for got in server.answers.of("GOAWAY")][1:] == [b"\0\0\0\1"]
    assert not server.socket.aborted
    server.connection.age(now + 162, 60)
    assert server.socket.aborted


async def test_a_connection_whose_window_lost_bytes_is_mended_and_told_to_leave() -> None:
    limits = Http2Limits(max_message_bytes=16_384)
    server = Server(METHODS, limits).greet()
    server.receive(start(1, "Echo"))
    stream = 1
    while not server.answers.goaways():
        stream += 2
        octets = data(stream, bytes(16_000), 0)
        server.receive(start(stream, "Nowhere") + octets[:9_000])
        server.receive(octets[9_000:])
        server.clock.now += 0.01
        server.connection.sweep(server.clock.now)
        server.connection.age(server.clock.now, 60)
        await server.turn()
        assert stream < 100
    assert server.answers.goaways() == ["NO_ERROR"]
    assert [got.stream for got in server.answers.of("WINDOW_UPDATE")][-1] == 0
    server.receive(data(1, message()))
    assert server.answers.status(1) == "200/0"
    assert not server.socket.aborted


class Names:
    """A TLS that admits nobody."""

    def admits(self, _: object) -> bool:
        return False


async def test_a_peer_that_tls_does_not_admit_gets_nothing_and_no_room() -> None:
    server = Server(echo)
    before = len(server.open)
    tls: Any = Names()
    connection = FastConnection(server, server.clock, tls)
    socket = Socket()
    connection.connection_made(socket)
    assert socket.aborted
    assert socket.written == []
    assert len(server.open) == before
    connection.connection_lost(None)


async def test_much_in_one_chunk_is_answered_in_the_order_it_came() -> None:
    server = Server(METHODS).greet()
    octets = b"".join(
        start(stream, "Echo") + data(stream, message(b"%d" % stream)) for stream in range(1, 401, 2)
    )
    server.receive(octets)
    assert [got.stream for got in server.answers.of("DATA")] == list(range(1, 401, 2))
    assert server.answers.bodies[399] == message(b"399")


async def test_cancelled_and_answered_calls_of_one_chunk() -> None:
    server = Server(METHODS).greet()
    server.receive(
        start(1, "Echo")
        + data(1, message())
        + reset(1)
        + start(3, "Echo")
        + data(3, message(b"three"))
        + start(5, "Watch")
        + reset(5)
        + start(7, "Never")
        + data(7, message())
        + reset(7)
    )
    await server.turn()
    assert server.answers.bodies == {3: message(b"three")}
    assert not server.connection._dispatch.calls
