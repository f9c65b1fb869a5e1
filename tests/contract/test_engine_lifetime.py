"""Every engine listens, refuses an address that is taken, and leaves without losing a call."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import grpc.aio
import pytest

from serving.call import Call, Engine, MethodTable

EngineFactory = Callable[[str, int, MethodTable], Engine]
Serve = Callable[..., AbstractAsyncContextManager[Any]]


async def test_an_ipv6_host_is_served(serve: Serve) -> None:
    async with serve(lambda body, _: body, host="::1") as client:
        assert await client.call(b"six") == b"six"


async def test_a_port_that_another_program_has_is_an_os_error(make_engine: EngineFactory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=str(port)):
            await make_engine("127.0.0.1", port, {}).start()


async def test_two_engines_never_share_a_port(make_engine: EngineFactory) -> None:
    first = make_engine("127.0.0.1", 0, {})
    port = await first.start()
    with pytest.raises(OSError, match=str(port)):
        await make_engine("127.0.0.1", port, {}).start()
    await first.stop(0)


async def test_a_port_is_free_again_after_stop(make_engine: EngineFactory) -> None:
    first = make_engine("127.0.0.1", 0, {})
    port = await first.start()
    await first.stop(0)
    second = make_engine("127.0.0.1", port, {})
    assert await second.start() == port
    await second.stop(0)


async def test_stop_without_start_does_nothing(make_engine: EngineFactory) -> None:
    await make_engine("127.0.0.1", 0, {}).stop(1)


class Gate:
    """A handler that waits until it is opened; what is late is let through."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, body: bytes, _: Call) -> bytes:
        if body != b"late":
            self.entered.set()
            await self.opened.wait()
        return body


async def _call_until_refused(client: Any) -> None:
    """The fast engine answers what a client has sent before it knew."""
    while True:
        await client.call(b"late")


async def test_stop_lets_a_call_in_flight_finish_and_takes_no_new_one(serve: Serve) -> None:
    gate = Gate()
    async with serve(gate) as client:
        call = client.call(b"in flight")
        await gate.entered.wait()
        stopping = asyncio.create_task(client.engine.stop(20))
        await asyncio.sleep(0)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _call_until_refused(client)
        assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert not stopping.done()
        gate.opened.set()
        assert await call == b"in flight"
        await stopping


async def test_stop_ends_a_call_that_outlasts_its_grace(serve: Serve) -> None:
    gate = Gate()
    async with serve(gate) as client:
        call = client.call(b"for ever")
        await gate.entered.wait()
        await client.engine.stop(0.05)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
