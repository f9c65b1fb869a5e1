"""Unary calls that are cancelled, late, lost, or too many at a time."""

import asyncio
from collections.abc import Awaitable

import pytest
from structlog.testing import capture_logs

from serving.call import Call
from serving.deadlines import TICK_SECONDS
from serving.http2_limits import Http2Limits
from tests.fast_socket import Server
from tests.http2_frames import (
    END_HEADERS,
    END_STREAM,
    call,
    data,
    headers,
    message,
    reset,
    settings,
    window_update,
)

CLOSING = END_HEADERS | END_STREAM


def echo(body: bytes, _: Call) -> bytes:
    return body


class Desk:
    """A handler whose answers are given later, by the test."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answers: list[asyncio.Future[bytes]] = []

    def __call__(self, _: bytes, call: Call) -> Awaitable[bytes]:
        self.calls.append(call)
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]


async def test_a_reset_cancels_the_handler() -> None:
    desk = Desk()
    server = Server(desk).greet()
    server.receive(call(1) + call(3))
    server.receive(reset(1))
    assert desk.answers[0].cancelled()
    assert not desk.answers[1].done()
    await server.turn()
    assert not server.answers.of("HEADERS")


async def test_a_reset_in_the_chunk_of_its_call_cancels_the_handler() -> None:
    desk = Desk()
    server = Server(desk).greet()
    server.receive(call(1) + reset(1) + call(3))
    assert desk.answers[0].cancelled()
    desk.answers[1].set_result(b"")
    await server.turn()
    assert server.answers.status(3) == "200/0"
    assert not server.answers.fields.get(1)


async def test_an_answer_in_the_turn_of_the_reset_is_nobody_s() -> None:
    desk = Desk()
    server = Server(desk).greet()
    server.receive(call(1))
    desk.answers[0].set_result(b"late")
    server.receive(reset(1))
    await server.turn()
    assert not server.answers.of("HEADERS")


async def test_a_handler_that_fails_after_the_reset_is_nobody_s() -> None:
    desk = Desk()
    server = Server(desk).greet()
    server.receive(call(1))
    desk.answers[0].set_exception(KeyError("late"))
    server.receive(reset(1))
    with capture_logs() as logs:
        await server.turn()
    assert not server.answers.of("HEADERS")
    assert logs == []


async def test_a_deadline_that_passes_is_told_and_cancels_the_handler() -> None:
    desk = Desk()
    server = Server(desk).greet()
    server.receive(call(1, grpc_timeout="1m") + call(3, grpc_timeout="1H"))
    await server.until(lambda got: got.ended(1))
    assert server.answers.status(1) == "200/4"
    assert desk.answers[0].cancelled()
    assert len(server.deadlines) == 1


async def test_calls_that_are_over_leave_no_deadline() -> None:
    desk = Desk()
    server = Server(desk).greet()
    server.receive(b"".join(call(stream, grpc_timeout="99999999H") for stream in (1, 3, 5)))
    assert len(server.deadlines) == 3
    desk.answers[0].set_result(b"")
    await server.turn()
    assert len(server.deadlines) == 2
    server.receive(reset(3))
    assert len(server.deadlines) == 1
    server.connection.connection_lost(None)
    assert len(server.deadlines) == 0


async def test_a_deadline_counts_from_the_headers() -> None:
    server = Server(Desk()).greet()
    opened = server.clock.now
    server.receive(headers(1, grpc_timeout="1S"))
    server.clock.now += 0.7
    server.receive(data(1, message()))
    due = server.connection._dispatch.calls[1].due_tick
    assert due is not None
    assert opened + 1 <= due * TICK_SECONDS <= opened + 1 + 1.5 * TICK_SECONDS


async def test_a_deadline_of_a_call_that_was_just_answered_does_nothing() -> None:
    desk = Desk()
    server = Server(desk, limits=Http2Limits()).greet()
    server.receive(call(1, grpc_timeout="1S"))
    waiting = server.connection._dispatch.calls[1]
    desk.answers[0].set_result(b"")
    await server.turn()
    waiting.expire()
    await server.turn()
    assert server.answers.status(1) == "200/0"


@pytest.mark.parametrize("how", ["lost", "aborted"])
async def test_a_connection_that_is_gone_is_not_written_to(how: str) -> None:
    desk = Desk()
    server = Server(desk).greet()
    server.receive(call(1) + call(3))
    desk.answers[1].set_result(b"late")
    if how == "lost":
        server.connection.connection_lost(ConnectionResetError())
        assert desk.answers[0].cancelled()
        assert server.open == []
    else:
        server.connection.abort()
    written = len(server.socket.written)
    await server.turn()
    assert len(server.socket.written) == written


async def test_unfinished_messages_share_what_a_connection_may_hold() -> None:
    limits = Http2Limits(max_message_bytes=10_000)
    server = Server(echo, limits).greet()
    part = message(bytes(10_000))[:8_000]
    for stream in (1, 3, 5):
        server.receive(headers(stream) + data(stream, part, 0))
    server.receive(headers(7) + data(7, part, 0))
    assert server.answers.status(7) == "200/8"
    assert server.answers.resets() == {7: "NO_ERROR"}
    for stream in (1, 3, 5):
        server.receive(data(stream, bytes(2_005)))
    assert [server.answers.status(stream) for stream in (1, 3, 5)] == ["200/0"] * 3
    for stream in (9, 11, 13):
        server.receive(headers(stream) + data(stream, part, 0) + data(stream, bytes(2_005)))
        assert server.answers.status(stream) == "200/0"


async def test_what_a_cancelled_call_held_is_free_again() -> None:
    limits = Http2Limits(max_message_bytes=10_000)
    server = Server(echo, limits).greet()
    part = message(bytes(10_000))[:9_000]
    for stream in range(1, 201, 2):
        server.receive(headers(stream) + data(stream, part, 0) + reset(stream))
    server.receive(headers(201) + data(201, part, 0) + data(201, bytes(1_005)))
    assert server.answers.status(201) == "200/0"


async def test_large_messages_never_wait_for_each_other_s_windows() -> None:
    """Twelve megabytes in turns, from a client that keeps to the windows it was given."""
    server = Server(echo).greet()
    server.receive(settings({4: 5 << 20}, 0) + window_update(0, 64 << 20))
    request = message(bytes((4 << 20) - 100))
    for _ in range(3):
        at = 0
        stream = 2 * len(server.answers.of("HEADERS")) + 1
        streams = [stream, stream + 2]
        server.receive(b"".join(headers(stream) for stream in streams))
        while at < len(request):
            for stream in streams:
                assert room(server) >= 16_384
                server.receive(data(stream, request[at : at + 16_384], 0))
            at += 16_384
        server.receive(b"".join(data(stream) for stream in streams))
        assert [server.answers.status(stream) for stream in streams] == ["200/0"] * 2


def room(server: Server) -> int:
    """The server's window as its client must see it."""
    core = server.connection._http2._core
    return core.local_window_size


@pytest.mark.parametrize("cancelled", [True, False])
async def test_the_window_never_leaks(cancelled: bool) -> None:
    desk = Desk()
    server = Server(desk, Http2Limits(max_message_bytes=16_384)).greet()
    for n in range(200):
        server.receive(call(2 * n + 1, bytes(10_000)))
        if cancelled:
            server.receive(reset(2 * n + 1))
        else:
            desk.answers[-1].set_result(b"")
            await server.turn()
        assert room(server) >= server.limits.window_bytes // 2
