"""Every engine: a method with a stream on either side."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from serving.call import Call, NotFound, Streaming, Unavailable

Serve = Callable[..., AbstractAsyncContextManager[Any]]
Until = Callable[[Callable[[], object]], Any]
METHOD = "/tollhouse.test.Toll/Take"
LIMIT = 10_000


async def doubled(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
    async for body in requests:
        yield body * 2


async def counted(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
    """Answers one number with as many messages: a server-streaming method."""
    async for body in requests:
        for number in range(int(body)):
            yield b"%d" % number


async def read_all(call: Any) -> list[bytes]:
    """What is left of it; not by iteration, which grpcio does not let follow upon `read`."""
    messages = []
    while (message := await call.read()) is not grpc.aio.EOF:
        messages.append(message)
    return messages


async def code_of(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await read_all(call)
    return caught.value.code(), caught.value.details() or ""


async def test_messages_go_both_ways_in_turn(serve: Serve) -> None:
    async with serve(Streaming(doubled)) as client:
        call = client.stream()
        for number in range(200):
            await call.write(b"%d." % number)
            assert await call.read() == b"%d.%d." % (number, number)
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


@pytest.mark.parametrize("count", [0, 1, 5_000])
async def test_one_request_has_many_answers(serve: Serve, count: int) -> None:
    async with serve(Streaming(counted)) as client:
        call = client.channel.unary_stream(METHOD)(b"%d" % count)
        assert await read_all(call) == [b"%d" % number for number in range(count)]


async def test_many_requests_have_one_answer(serve: Serve) -> None:
    async def joined(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
        yield b"".join([body async for body in requests])

    async def parts() -> AsyncIterator[bytes]:
        for number in range(1_000):
            yield b"%d " % number

    async with serve(Streaming(joined)) as client:
        answer = await client.channel.stream_unary(METHOD)(parts())
    assert answer == b"".join([b"%d " % number for number in range(1_000)])


async def test_messages_may_be_larger_than_a_frame_and_than_a_window(serve: Serve) -> None:
    async with serve(Streaming(doubled)) as client:
        call = client.stream()
        for size in (16_384, 65_536, 1_000_000):
            await call.write(b"x" * size)
            assert await call.read() == b"xx" * size
        await call.done_writing()
        assert await read_all(call) == []


async def test_a_stream_whose_client_sends_nothing_ends_well(serve: Serve) -> None:
    async with serve(Streaming(doubled)) as client:
        call = client.stream()
        await call.done_writing()
        assert await read_all(call) == []
        assert await call.code() is grpc.StatusCode.OK


@pytest.mark.parametrize("said", [0, 3])
async def test_a_fault_ends_the_stream_after_what_was_said(serve: Serve, said: int) -> None:
    async def fail(_: AsyncIterator[bytes], __: Call) -> AsyncIterator[bytes]:
        for number in range(said):
            yield b"%d" % number
        raise NotFound("no more: 100 %")

    async with serve(Streaming(fail)) as client:
        call = client.stream()
        await call.done_writing()
        heard = [await call.read() for _ in range(said)]
        assert heard == [b"%d" % number for number in range(said)]
        assert await code_of(call) == (grpc.StatusCode.NOT_FOUND, "no more: 100 %")


async def test_a_fault_before_the_client_has_finished_reaches_it(serve: Serve) -> None:
    async def fail(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
        yield await anext(requests)
        raise Unavailable("stopping")

    async with serve(Streaming(fail)) as client:
        call = client.stream()
        await call.write(b"first")
        assert await call.read() == b"first"
        assert await code_of(call) == (grpc.StatusCode.UNAVAILABLE, "stopping")


async def test_an_unforeseen_exception_is_internal_and_only_this_stream_ends(serve: Serve) -> None:
    async def fail(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
        async for body in requests:
            yield b"%d" % (100 // int(body))

    async with serve(Streaming(fail)) as client:
        other = client.stream()
        await other.write(b"50")
        assert await other.read() == b"2"
        with capture_logs() as lines:
            call = client.stream()
            await call.write(b"0")
            assert await code_of(call) == (grpc.StatusCode.INTERNAL, "internal fault")
        assert [(line["event"], line["method"]) for line in lines] == [("handler failed", METHOD)]
        await other.write(b"25")
        assert await other.read() == b"4"


class Open:
    """A stream that stays open, and knows when it began and ended."""

    def __init__(self) -> None:
        self.begun, self.ended = asyncio.Event(), asyncio.Event()

    async def __call__(self, _: AsyncIterator[bytes], __: Call) -> AsyncIterator[bytes]:
        self.begun.set()
        try:
            yield b"hello"
            await asyncio.Event().wait()
        finally:
            self.ended.set()


async def test_a_stream_that_its_client_cancels_ends_in_the_handler(serve: Serve) -> None:
    handler = Open()
    async with serve(Streaming(handler)) as client:
        call = client.stream()
        assert await call.read() == b"hello"
        call.cancel()
        await handler.ended.wait()


async def test_a_deadline_ends_a_stream(serve: Serve) -> None:
    handler = Open()
    async with serve(Streaming(handler)) as client:
        call = client.stream(deadline_seconds=0.1)
        assert (await code_of(call))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
        if handler.begun.is_set():  # a busy machine may let the deadline pass before
            await handler.ended.wait()


async def test_a_handler_that_ends_early_ends_the_call(serve: Serve) -> None:
    async def once(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
        yield await anext(requests)

    async with serve(Streaming(once)) as client:
        call = client.stream()
        await call.write(b"one")
        assert await read_all(call) == [b"one"]
        assert await call.code() is grpc.StatusCode.OK


async def test_a_message_over_the_limit_ends_the_stream(serve: Serve) -> None:
    async with serve(Streaming(doubled), grpc_max_message_bytes=LIMIT) as client:
        call = client.stream()
        await call.write(bytes(LIMIT))
        assert await call.read() == bytes(2 * LIMIT)
        await call.write(bytes(LIMIT + 1))
        assert (await code_of(call))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_handler_waits_for_a_reader_that_is_slow(serve: Serve, until: Until) -> None:
    """32 MB for a client that reads nothing yet: what it has not asked for is not produced."""
    total, message = 1_000, bytes(32_768)
    produced = 0

    async def pour(_: AsyncIterator[bytes], __: Call) -> AsyncIterator[bytes]:
        nonlocal produced
        for _number in range(total):
            produced += 1
            yield message

    async with serve(Streaming(pour)) as client:
        call = client.channel.unary_stream(METHOD)(b"")
        assert await call.read() == message
        await _still(lambda: produced)
        assert produced < total // 2
        rest = await read_all(call)
        assert len(rest) == total - 1
        assert set(rest) == {message}


async def test_a_client_waits_for_a_handler_that_is_slow(serve: Serve) -> None:
    total, message = 1_000, bytes(32_768)
    sent = 0
    taking = asyncio.Event()

    async def sip(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
        yield b"begun"
        await taking.wait()
        yield b"%d" % len([body async for body in requests])

    async def pour(call: Any) -> None:
        nonlocal sent
        for _number in range(total):
            await call.write(message)
            sent += 1
        await call.done_writing()

    async with serve(Streaming(sip)) as client:
        call = client.stream()
        assert await call.read() == b"begun"
        pouring = asyncio.create_task(pour(call))
        await _still(lambda: sent)
        assert sent < total // 2
        taking.set()
        assert await read_all(call) == [b"%d" % total]
        await pouring


async def test_a_reader_that_stands_still_holds_up_nobody_else(serve: Serve) -> None:
    async def pour(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
        async for _body in requests:
            for _number in range(200):
                yield bytes(32_768)

    async with serve({METHOD: Streaming(pour), "/toll/Echo": lambda body, _: body}) as client:
        call = client.stream()
        await call.write(b"go")
        assert await call.read() == bytes(32_768)
        for number in range(50):
            assert await client.call(b"%d" % number, path="/toll/Echo") == b"%d" % number
        await call.done_writing()
        assert len(await read_all(call)) == 199


async def _still(count: Callable[[], int]) -> None:
    """Wait until a count has not moved for a while; there is no event for what does not happen."""
    before, same = -1, 0
    while same < 10:
        await asyncio.sleep(0.01)
        same = same + 1 if count() == before else 0
        before = count()
