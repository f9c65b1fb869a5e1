"""Streaming calls on a connection without a socket: octets in, octets out."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from serving.call import Call, Streaming, Unavailable
from serving.http2_limits import Http2Limits
from tests.fast_socket import Server
from tests.http2_frames import (
    END_HEADERS,
    END_STREAM,
    PREFACE,
    data,
    headers,
    message,
    reset,
    settings,
    window_update,
)

WIDE = PREFACE + settings({4: 1 << 30}) + window_update(0, 1 << 30)


async def echo(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
    async for body in requests:
        yield body


async def count(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
    """One answer at the end: how many there were."""
    yield b"%d" % len([body async for body in requests])


def serving(handle: Any, limits: Http2Limits = Http2Limits()) -> Server:  # noqa: B008 - frozen
    return Server(Streaming(handle), limits).greet()


def messages(got: bytes) -> list[bytes]:
    found = []
    while got:
        size = 5 + int.from_bytes(got[1:5])
        found.append(got[5:size])
        got = got[size:]
    return found


async def test_messages_are_answered_as_they_come() -> None:
    server = serving(echo)
    server.receive(headers(1))
    for body in (b"one", b"", b"three"):
        server.receive(data(1, message(body), 0))
        await server.turn(6)
        assert messages(server.answers.bodies[1])[-1] == body
    assert not server.answers.ended(1)
    server.receive(data(1))
    await server.turn(6)
    assert server.answers.status(1) == "200/0"
    assert messages(server.answers.bodies[1]) == [b"one", b"", b"three"]


@pytest.mark.parametrize("size", [1, 4, 7, 1_000])
async def test_messages_may_be_cut_anywhere(size: int) -> None:
    server = serving(count)
    octets = b"".join(message(bytes(n)) for n in range(20))
    server.receive(headers(1))
    for at in range(0, len(octets), size):
        server.receive(data(1, octets[at : at + size], 0))
    server.receive(data(1))
    await server.until(lambda got: got.ended(1))
    assert server.answers.bodies[1] == message(b"20")


async def test_a_stream_of_no_messages_either_way() -> None:
    server = serving(echo)
    server.receive(headers(1, flags=END_HEADERS | END_STREAM))
    await server.turn(6)
    assert server.answers.status(1) == "200/0"
    assert server.answers.bodies == {}


async def test_gzip() -> None:
    server = serving(echo)
    server.receive(headers(1, grpc_encoding="gzip") + data(1, message(gzip.compress(b"abc"), 1)))
    await server.turn(6)
    assert messages(server.answers.bodies[1]) == [b"abc"]


@pytest.mark.parametrize(
    ("octets", "ended", "status"),
    [
        (b"\0\0\0\0\x65", False, "8"),
        (b"\0\0\0\0\5ab", True, "13"),
        (b"\0\0", True, "13"),
        (b"\1\0\0\0\1a", False, "13"),
        (b"\2\0\0\0\1a", False, "13"),
    ],
)
@pytest.mark.parametrize("first", [b"", message(b"good")])
async def test_what_is_no_message_ends_the_call_behind_those_that_were(
    first: bytes, octets: bytes, ended: bool, status: str
) -> None:
    server = serving(echo, Http2Limits(max_message_bytes=100))
    server.receive(headers(1) + data(1, first + octets, 1 if ended else 0))
    await server.until(lambda got: b"grpc-status" in got.fields.get(1, {}))
    assert server.answers.status(1) == "200/" + status
    assert messages(server.answers.bodies.get(1, b"")) == ([b"good"] if first else [])
    assert not server.connection._dispatch.calls or server.connection._dispatch.calls[1].over


async def fail(_: AsyncIterator[bytes], __: Call) -> AsyncIterator[bytes]:
    raise Unavailable("away")
    yield b""


async def fail_later(_: AsyncIterator[bytes], __: Call) -> AsyncIterator[bytes]:
    yield b"one"
    raise KeyError("secret")


async def be_cancelled(_: AsyncIterator[bytes], __: Call) -> AsyncIterator[bytes]:
    yield b"one"
    raise asyncio.CancelledError


async def give_text(_: AsyncIterator[bytes], __: Call) -> AsyncIterator[Any]:
    yield "text"


@pytest.mark.parametrize(
    ("handle", "status", "bodies"),
    [
        (fail, "200/14", []),
        (fail_later, "200/13", [b"one"]),
        (be_cancelled, "200/14", [b"one"]),
        (give_text, "200/13", []),
    ],
)
async def test_a_fault_of_a_handler(handle: Any, status: str, bodies: list[bytes]) -> None:
    server = serving(handle)
    with capture_logs():
        server.receive(headers(1) + data(1, message()))
        await server.until(lambda got: got.ended(1))
    assert server.answers.status(1) == status
    assert messages(server.answers.bodies.get(1, b"")) == bodies


class Watcher:
    """A handler that says one word and waits; knows how it ended."""

    def __init__(self) -> None:
        self.ended = ""

    async def __call__(self, requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
        try:
            yield b"watching"
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise


@pytest.mark.parametrize("how", ["reset", "lost"])
async def test_a_caller_that_leaves_cancels_the_handler(how: str) -> None:
    watcher = Watcher()
    server = serving(watcher)
    server.receive(headers(1))
    await server.turn(6)
    assert messages(server.answers.bodies[1]) == [b"watching"]
    if how == "reset":
        server.receive(reset(1))
    else:
        server.connection.connection_lost(None)
    await server.turn(6)
    assert watcher.ended == "cancelled"
    assert not server.connection._dispatch.calls


async def test_a_handler_that_breaks_while_it_is_cancelled_is_nobody_s() -> None:
    async def stubborn(_: AsyncIterator[bytes], __: Call) -> AsyncIterator[bytes]:
        try:
            await asyncio.Event().wait()
        finally:
            raise KeyError("in the way out")
        yield b""

    server = serving(stubborn)
    server.receive(headers(1))
    await server.turn()
    with capture_logs() as logs:
        server.receive(reset(1))
        await server.turn(6)
    assert logs == []
    assert not server.answers.of("HEADERS")


@pytest.mark.parametrize("ended", [True, False])
async def test_a_handler_that_goes_on_after_the_reset_gets_and_sends_nothing(ended: bool) -> None:
    taken: list[bytes] = []
    done = asyncio.Event()

    async def deaf(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        yield b"to nobody"
        taken.extend([body async for body in requests])
        yield b"to nobody"
        done.set()

    server = serving(deaf)
    server.receive(headers(1) + data(1, message() * 5, int(ended)))
    await server.turn()
    server.receive(reset(1))
    async with asyncio.timeout(20):
        await done.wait()
    await server.turn()
    assert taken == []
    assert not server.answers.of("DATA")


async def test_a_deadline_ends_a_stream() -> None:
    watcher = Watcher()
    server = serving(watcher)
    server.receive(headers(1, grpc_timeout="1m"))
    await server.until(lambda got: b"grpc-status" in got.fields.get(1, {}))
    assert server.answers.status(1) == "200/4"
    assert watcher.ended == "cancelled"
    assert len(server.deadlines) == 0
