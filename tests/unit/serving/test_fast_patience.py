"""How long a slow, silent or unreading peer is borne with. The time is passed in."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
from structlog.testing import capture_logs

from serving.call import Call, Streaming
from tests.fast_socket import Server, Sweeps
from tests.http2_frames import (
    HELLO,
    PREFACE,
    data,
    frame,
    headers,
    message,
    ping,
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


def say_something(server: Server) -> None:
    """So that a peer is not silent."""
    server.receive(frame("PRIORITY", 1, b"\0\0\0\0\1"))
    server.receive(window_update(0, 1))


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
