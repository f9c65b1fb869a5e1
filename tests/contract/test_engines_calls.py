"""Every engine: deadlines, cancellation, isolation, compression, limits, many calls on one line."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from serving.call import Call, Engine

Serve = Callable[..., AbstractAsyncContextManager[Any]]
METHOD = "/tollhouse.test.Toll/Take"
LIMIT = 10_000


class Waiting:
    """A handler that waits for ever, and knows when it was entered and cancelled."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, body: bytes, _: Call) -> bytes:
        if body == b"at once":
            return body
        self.entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b"never"


async def test_a_deadline_ends_the_call_and_cancels_the_handler(serve: Serve) -> None:
    waiting = Waiting()
    async with serve(waiting) as client:
        code, _text = await client.failure(deadline_seconds=0.1)
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        await waiting.cancelled.wait()
        assert await client.call(b"at once", deadline_seconds=20) == b"at once"


async def test_a_call_that_its_client_cancels_is_cancelled_in_the_handler(serve: Serve) -> None:
    waiting = Waiting()
    async with serve(waiting) as client:
        call = client.call(b"")
        await waiting.entered.wait()
        call.cancel()
        await waiting.cancelled.wait()
        assert await client.call(b"at once") == b"at once"


async def test_a_connection_that_is_lost_cancels_its_calls(serve: Serve) -> None:
    waiting = Waiting()
    async with serve(waiting) as client:
        call = client.call(b"")
        await waiting.entered.wait()
        await client.channel.close()
        await waiting.cancelled.wait()
    assert call.cancelled()


async def test_a_future_that_is_cancelled_under_its_handler_is_unavailable(serve: Serve) -> None:
    def give_up(_: bytes, __: Call) -> Awaitable[bytes]:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.cancel)
        return future

    async with serve(give_up) as client:
        assert await client.failure() == (
            grpc.StatusCode.UNAVAILABLE,
            "the answer was cancelled",
        )


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("reply", [None, "text", 7, bytearray(b"x")])
async def test_an_answer_that_is_no_bytes_is_a_fault_of_that_call_alone(
    serve: Serve, late: bool, reply: object
) -> None:
    async def answer_later() -> object:
        return reply

    def answer(body: bytes, _: Call) -> Any:
        if body == b"good":
            return body
        return answer_later() if late else reply

    async with serve(answer) as client:
        with capture_logs() as lines:
            found = await client.failure()
        assert found == (grpc.StatusCode.INTERNAL, "internal fault")
        assert [line["event"] for line in lines] == ["handler failed"]
        assert await client.call(b"good") == b"good"


async def test_a_fault_ends_its_own_call_and_no_other_on_the_connection(serve: Serve) -> None:
    release = asyncio.Event()

    async def answer(body: bytes, _: Call) -> bytes:
        if body == b"bad":
            raise ValueError("only here")
        await release.wait()
        return body

    async with serve(answer) as client:
        good = [client.call(b"%d" % number) for number in range(20)]
        with capture_logs():
            for _ in range(5):
                assert (await client.failure(b"bad"))[0] is grpc.StatusCode.INTERNAL
        release.set()
        assert await asyncio.gather(*good) == [b"%d" % number for number in range(20)]


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.NoCompression])
async def test_the_message_limit_counts_what_a_message_is_and_not_how_it_came(
    serve: Serve, compression: grpc.Compression
) -> None:
    sizes: list[int] = []

    def measure(body: bytes, _: Call) -> bytes:
        sizes.append(len(body))
        return b""

    async with serve(measure, grpc_max_message_bytes=LIMIT) as client:
        await client.call(bytes(LIMIT), compression=compression)
        for excess in (1, LIMIT, 100 * LIMIT):
            code, _text = await client.failure(bytes(LIMIT + excess), compression=compression)
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        await client.call(b"", compression=compression)
    assert sizes == [LIMIT, 0]


async def test_the_message_limit_holds_no_answer_back(serve: Serve) -> None:
    async with serve(lambda _, __: bytes(3 * LIMIT), grpc_max_message_bytes=LIMIT) as client:
        assert await client.call() == bytes(3 * LIMIT)


async def test_two_thousand_calls_go_over_one_connection(serve: Serve) -> None:
    peers: set[str] = set()

    def take(body: bytes, call: Call) -> bytes:
        peers.add(call.peer)
        return body

    async with serve(take) as client:
        for _ in range(20):
            bodies = [b"%d" % number * 40 for number in range(100)]
            assert await asyncio.gather(*map(client.call, bodies)) == bodies
    assert len(peers) == 1


async def test_more_calls_than_the_stream_limit_take_turns_and_none_is_lost(serve: Serve) -> None:
    at_once, most, full = 0, 0, asyncio.Event()

    async def take(body: bytes, _: Call) -> bytes:
        nonlocal at_once, most
        at_once, most = at_once + 1, max(most, at_once + 1)
        if body and at_once == 8:
            full.set()
        if body:
            await full.wait()
            await asyncio.sleep(0)
        at_once -= 1
        return body

    async with serve(take, grpc_max_concurrent_streams=8) as client:
        await client.call()  # the client knows our SETTINGS now
        bodies = [b"%d" % number for number in range(200)]
        assert await asyncio.gather(*map(client.call, bodies)) == bodies
    assert most == 8


async def test_a_synchronous_client_is_served_alike(
    make_engine: Callable[..., Engine],
) -> None:
    def ask(port: int) -> tuple[list[bytes], grpc.StatusCode]:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            method = channel.unary_unary(METHOD)
            answers = [method(b"%d" % number, timeout=20) for number in range(50)]
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary("/tollhouse.test.Toll/Give")(b"", timeout=20)
            return answers, caught.value.code()

    engine = make_engine("127.0.0.1", 0, {METHOD: lambda body, _: body})
    answers, code = await asyncio.to_thread(ask, await engine.start())
    await engine.stop(0)
    assert answers == [b"%d" % number for number in range(50)]
    assert code is grpc.StatusCode.UNIMPLEMENTED


async def test_metadata_is_what_the_caller_sent_and_nothing_of_the_protocol(serve: Serve) -> None:
    seen: list[Call] = []

    def keep(_: bytes, call: Call) -> bytes:
        seen.append(call)
        return b""

    async with serve(keep) as client:
        await client.call(metadata=(("x-one", "1"),), deadline_seconds=20)
    (call,) = seen
    assert [name for name, _ in call.metadata] == ["user-agent", "x-one"]
