"""A connection's life: refused, slow, silent, unread, lost. The time is passed in."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
from structlog.testing import capture_logs

from serving.call import Call, Streaming
from serving.fast_connection import FastConnection
from serving.http2_limits import Http2Limits
from tests.fast_socket import Server, Socket, Sweeps
from tests.http2_frames import (
    call,
    data,
    frame,
    headers,
    message,
    ping,
    reset,
)


def echo(body: bytes, _: Call) -> bytes:
    return body


def never(_: bytes, __: Call) -> Awaitable[bytes]:
    return asyncio.get_running_loop().create_future()


async def watch(_: AsyncIterator[bytes], __: Call) -> AsyncIterator[bytes]:
    yield b"watching"
    await asyncio.Event().wait()


METHODS: dict[str, Any] = {
    "/toll/Echo": echo,
    "/toll/Never": never,
    "/toll/Watch": Streaming(watch),
}


def start(stream: int, path: str, **more: str) -> bytes:
    return headers(stream, path=f"/toll/{path}", **more)


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


async def test_octets_behind_the_end_put_nothing_off() -> None:
    server = Server(METHODS).greet()
    server.receive(frame("PING", 1, bytes(8)))
    sweeps = Sweeps(server)
    for seconds in range(2, 16, 2):
        server.receive(ping())
        sweeps.until(seconds)
    assert server.socket.aborted


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
