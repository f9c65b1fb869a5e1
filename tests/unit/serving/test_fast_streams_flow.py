"""Streaming calls wait for windows, sockets and handlers, and hold no more than they may."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from serving.call import Call, Streaming
from serving.http2_limits import Http2Limits
from tests.fast_socket import Server
from tests.http2_frames import (
    HELLO,
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


async def endless(_: AsyncIterator[bytes], __: Call) -> AsyncIterator[bytes]:
    for _number in range(100_000):
        yield bytes(10_000)
    raise AssertionError("it was never made to wait")


async def test_an_answer_waits_for_the_stream_s_window() -> None:
    server = Server(Streaming(endless))
    server.receive(PREFACE + settings({4: 50_000}) + window_update(0, 1 << 30))
    server.receive(headers(1))
    await server.turn(50)
    assert len(server.answers.bodies[1]) == 50_000
    queued = server.connection._http2.queued_bytes()
    assert 65_536 < queued < 80_000
    server.receive(window_update(1, 100_000))
    await server.turn(50)
    assert len(server.answers.bodies[1]) == 150_000
    assert 65_536 < server.connection._http2.queued_bytes() < 80_000


async def test_all_answers_of_a_connection_wait_together() -> None:
    server = Server(Streaming(endless))
    server.receive(PREFACE + settings({4: 0}))
    server.receive(b"".join(headers(stream) for stream in range(1, 401, 2)))
    await server.turn(50)
    assert 1 << 20 < server.connection._http2.queued_bytes() < (1 << 20) + 200 * 10_100


async def test_an_answer_waits_for_the_socket() -> None:
    server = Server(Streaming(endless))
    server.receive(WIDE + headers(1))
    server.connection.pause_writing()
    await server.turn(50)
    sent = len(server.answers.bodies.get(1, b""))
    assert sent <= 10_005
    server.connection.resume_writing()
    await server.turn(50)
    assert len(server.answers.bodies[1]) > sent


async def test_a_message_larger_than_what_may_be_queued_goes_out() -> None:
    async def large(_: AsyncIterator[bytes], __: Call) -> AsyncIterator[bytes]:
        yield bytes(1_000_000)
        yield b"last"

    server = Server(Streaming(large))
    server.receive(WIDE + headers(1) + data(1))
    await server.turn(20)
    assert server.answers.status(1) == "200/0"
    assert [len(body) for body in messages(server.answers.bodies[1])] == [1_000_000, 4]


async def test_what_a_handler_does_not_take_keeps_the_window_closed() -> None:
    asked = asyncio.Event()

    async def waits(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
        await asked.wait()
        async for _body in requests:
            pass
        yield b"done"

    limits = Http2Limits(max_message_bytes=65_536)
    server = serving(waits, limits)
    server.receive(settings(flags=1) + headers(1))
    part = message(bytes(16_000))
    for _ in range(limits.stream_window_bytes // len(part)):
        server.receive(data(1, part, 0))
    assert not [got for got in server.answers.of("WINDOW_UPDATE") if got.stream == 1]
    asked.set()
    await server.turn(30)
    assert [got for got in server.answers.of("WINDOW_UPDATE") if got.stream == 1]
    server.receive(data(1))
    await server.until(lambda got: got.ended(1))
    assert server.answers.status(1) == "200/0"


async def test_streams_that_hold_too_much_between_them_are_refused() -> None:
    async def waits(_: AsyncIterator[bytes], __: Call) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    limits = Http2Limits(max_message_bytes=10_000)
    server = serving(waits, limits)
    for stream in (1, 3, 5, 7):
        server.receive(headers(stream) + data(stream, message(bytes(9_000)), 0))
    await server.until(lambda got: got.ended(7))
    assert server.answers.status(7) == "200/8"
    assert [server.answers.ended(stream) for stream in (1, 3, 5)] == [False] * 3
    server.receive(reset(1))
    server.receive(headers(9) + data(9, message(bytes(9_000)), 0))
    assert not server.answers.ended(9)


async def test_a_handler_that_never_waits_lets_others_have_their_turn() -> None:
    server = serving(count)
    server.receive(headers(1) + data(1, message() * 3_000))
    turns = 0
    while not server.answers.ended(1):
        await asyncio.sleep(0)
        server.take()
        turns += 1
    assert turns >= 3_000
    assert server.answers.bodies[1] == message(b"3000")


async def test_a_handler_that_ends_early_ends_the_call_and_the_rest_is_taken() -> None:
    async def first_only(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
        yield await anext(requests)

    limits = Http2Limits(max_message_bytes=16_384)
    server = serving(first_only, limits)
    server.receive(headers(1) + data(1, message(b"a") + message(b"b"), 0))
    await server.turn(6)
    assert server.answers.status(1) == "200/0"
    assert messages(server.answers.bodies[1]) == [b"a"]
    for _ in range(20):
        server.receive(data(1, message(bytes(10_000)), 0))
    assert not server.answers.goaways()
    assert server.connection._http2._core.local_window_size >= limits.window_bytes // 2
    server.receive(data(1))
    assert not server.connection._dispatch.calls


async def test_a_stream_of_a_connection_that_greets_late() -> None:
    server = Server(Streaming(echo))
    octets = HELLO + headers(1) + data(1, message(b"early"))
    for at in range(0, len(octets), 3):
        server.receive(octets[at : at + 3])
    await server.until(lambda got: got.ended(1))
    assert messages(server.answers.bodies[1]) == [b"early"]
