"""Every engine does the same with a call: what a client sees, what a handler is given."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from serving.call import (
    Call,
    Engine,
    Handler,
    InvalidArgument,
    Metadata,
    MethodTable,
    NotFound,
    RpcError,
    Unavailable,
)

Serve = Callable[..., AbstractAsyncContextManager[Any]]
METHOD = "/tollhouse.test.Toll/Take"
MAX_BODY = 4 << 20


def echo(body: bytes, _: Call) -> bytes:
    return body


async def echo_later(body: bytes, _: Call) -> bytes:
    await asyncio.sleep(0)
    return body


def echo_future(body: bytes, _: Call) -> Awaitable[bytes]:
    future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, body)
    return future


def echo_done(body: bytes, _: Call) -> Awaitable[bytes]:
    future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    future.set_result(body)
    return future


@pytest.mark.parametrize("handler", [echo, echo_later, echo_future, echo_done])
@pytest.mark.parametrize(
    "body", [b"", b"\x00", bytes(range(256)), b"x" * 100_000], ids=["0", "1", "256", "100000"]
)
async def test_a_body_comes_in_and_goes_out_unchanged(
    serve: Serve, handler: Handler, body: bytes
) -> None:
    async with serve(handler) as client:
        assert await client.call(body) == body
        assert await client.call(body) == body


async def test_a_body_larger_than_four_megabytes_is_refused(serve: Serve) -> None:
    sizes: list[int] = []

    def measure(body: bytes, _: Call) -> bytes:
        sizes.append(len(body))
        return b""

    async with serve(measure) as client:
        await client.call(bytes(MAX_BODY))
        code, _text = await client.failure(bytes(MAX_BODY + 1))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        await client.call(b"still there")
    assert sizes == [MAX_BODY, 11]


async def test_calls_are_answered_as_they_are_ready_and_not_in_turn(serve: Serve) -> None:
    release = asyncio.Event()

    async def answer(body: bytes, _: Call) -> bytes:
        if body == b"slow":
            await release.wait()
        return body

    async with serve(answer) as client:
        slow = client.call(b"slow")
        quick = [client.call(str(number).encode()) for number in range(50)]
        assert await asyncio.gather(*quick) == [str(number).encode() for number in range(50)]
        assert not slow.done()
        release.set()
        assert await slow == b"slow"


def failing(error: Exception, *, late: bool) -> Handler:
    """Raises at once or from its awaitable, unless the body is `good`."""

    async def raise_later() -> bytes:
        await asyncio.sleep(0)
        raise error

    def fail(body: bytes, _: Call) -> bytes | Awaitable[bytes]:
        if body == b"good":
            return body
        if late:
            return raise_later()
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RpcError("we do not know"), grpc.StatusCode.UNKNOWN),
        (InvalidArgument("not a request"), grpc.StatusCode.INVALID_ARGUMENT),
        (NotFound("no such thing"), grpc.StatusCode.NOT_FOUND),
        (Unavailable("store away: 100 % gone, naïve ✓"), grpc.StatusCode.UNAVAILABLE),
        (Unavailable(), grpc.StatusCode.UNAVAILABLE),
    ],
)
@pytest.mark.parametrize("late", [False, True])
async def test_a_fault_reaches_the_caller_as_its_status_and_message(
    serve: Serve, error: RpcError, code: grpc.StatusCode, late: bool
) -> None:
    async with serve(failing(error, late=late)) as client:
        assert await client.failure() == (code, str(error))


@pytest.mark.parametrize("late", [False, True])
async def test_an_unforeseen_exception_is_internal_and_its_text_is_only_in_the_log(
    serve: Serve, late: bool
) -> None:
    async with serve(failing(ValueError("password is hunter2"), late=late)) as client:
        with capture_logs() as lines:
            found = await client.failure()
        assert found == (grpc.StatusCode.INTERNAL, "internal fault")
        assert await client.call(b"good") == b"good"
    (line,) = lines
    assert (line["event"], line["method"], line["log_level"]) == ("handler failed", METHOD, "error")
    assert line["exc_info"]


async def test_a_handler_that_answers_no_bytes_is_an_internal_fault(serve: Serve) -> None:
    def nothing(_: bytes, __: Call) -> bytes:
        return None  # type: ignore[return-value]

    async with serve(nothing) as client:
        with capture_logs():
            code, _text = await client.failure()
    assert code is grpc.StatusCode.INTERNAL


@pytest.mark.parametrize(
    "path", ["/tollhouse.test.Toll/Give", "/tollhouse.test.Gate/Take", METHOD.lower()]
)
async def test_an_unknown_method_is_unimplemented(serve: Serve, path: str) -> None:
    async with serve(echo) as client:
        code, _text = await client.failure(path=path)
        assert code is grpc.StatusCode.UNIMPLEMENTED
        assert await client.call(b"known") == b"known"


async def call_seen(serve: Serve, deadline_seconds: float | None = None) -> Call:
    seen: list[Call] = []

    def keep(_: bytes, call: Call) -> bytes:
        seen.append(call)
        return b""

    async with serve(keep) as client:
        await client.call(deadline_seconds=deadline_seconds)
    (call,) = seen
    return call


async def test_a_deadline_is_the_time_left(serve: Serve) -> None:
    call = await call_seen(serve, deadline_seconds=100)
    assert call.timeout_seconds is not None
    assert 80 < call.timeout_seconds < 103  # the client rounds the header up by a percent or two


async def test_no_deadline_is_none(serve: Serve) -> None:
    assert (await call_seen(serve)).timeout_seconds is None


async def test_the_peer_is_the_address_of_the_caller(serve: Serve) -> None:
    assert "127.0.0.1" in (await call_seen(serve)).peer


METADATA = (
    ("x-first", "1"),
    ("x-bin", b"\x00\xff"),
    ("x-first", "2"),
    ("x-empty", ""),
    ("x-text", "100 %, a=b"),
    ("x-empty-bin", b""),
)


async def test_metadata_keeps_its_order_and_binary_values_are_bytes(
    make_engine: Callable[[str, int, MethodTable], Engine],
) -> None:
    seen: list[Metadata] = []

    def keep(_: bytes, call: Call) -> bytes:
        seen.append(call.metadata)
        return b""

    def ask(port: int) -> None:
        # Not the asyncio client: it gathers equal names together before it sends.
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            channel.unary_unary(METHOD)(b"", metadata=METADATA, timeout=20)  # type: ignore[arg-type]

    engine = make_engine("127.0.0.1", 0, {METHOD: keep})
    await asyncio.to_thread(ask, await engine.start())
    await engine.stop(0)
    (metadata,) = seen
    assert tuple(pair for pair in metadata if pair[0].startswith("x-")) == METADATA
    assert "user-agent" in dict(metadata)
