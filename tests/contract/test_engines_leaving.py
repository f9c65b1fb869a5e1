"""Every engine: connections that grow old, and servers that stop, lose no call."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import grpc.aio
import pytest

from serving import fast_engine
from serving.call import Call, Engine, Streaming
from serving.health import Health
from serving.process import drain

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeEngine = Callable[..., Engine]
Until = Callable[[Callable[[], object]], Any]
METHOD, WAIT = "/tollhouse.test.Toll/Take", "/tollhouse.test.Toll/Wait"
AGE_SECONDS = 0.2

REFUSED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
"""How a call ends that comes too late; the second is grpcio's for what it had already received."""


class Gate:
    """A handler that waits until it is opened; what is late is let through."""

    def __init__(self) -> None:
        self.entered, self.opened, self.waiting = asyncio.Event(), asyncio.Event(), 0

    async def __call__(self, body: bytes, _: Call) -> bytes:
        if body != b"late":
            self.waiting += 1
            self.entered.set()
            await self.opened.wait()
        return body


async def _call_until_refused(client: Any) -> None:
    """Until our GOAWAY has reached the client."""
    while True:
        await client.call(b"late")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast engine looks at its connections more often than every other second."""
    monkeypatch.setattr(fast_engine, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(fast_engine, "SECOND_GOAWAY_SECONDS", 0.05)


@pytest.mark.usefixtures("impatient")
async def test_connections_grow_old_and_no_call_is_lost(serve: Serve) -> None:
    """
    Eight callers without a pause while connection after connection is told to leave, and one call
    that is in flight from the first connection to the last.
    """
    gate, peers, calls = Gate(), set[str](), 0

    async def take(body: bytes, call: Call) -> bytes:
        peers.add(call.peer)
        await asyncio.sleep(0)
        return body

    async def ask(client: Any, number: int) -> None:
        nonlocal calls
        while len(peers) < 5:
            body = b"%d.%d" % (number, calls)
            assert await client.call(body) == body
            calls += 1

    methods = {METHOD: take, WAIT: gate}
    age = {"grpc_max_connection_age_seconds": AGE_SECONDS}
    async with serve(methods, **age, grpc_max_connection_age_grace_seconds=0.0) as client:
        long = client.call(b"long", path=WAIT)
        await gate.entered.wait()
        await asyncio.gather(*(ask(client, number) for number in range(8)))
        gate.opened.set()
        assert await long == b"long"
    assert calls > 100


@pytest.mark.usefixtures("impatient")
async def test_a_call_that_outlasts_the_grace_of_an_old_connection_is_ended(serve: Serve) -> None:
    gate = Gate()
    async with serve(
        gate,
        grpc_max_connection_age_seconds=AGE_SECONDS,
        grpc_max_connection_age_grace_seconds=AGE_SECONDS,
    ) as client:
        code, _text = await client.failure()
    assert code in REFUSED


@pytest.mark.usefixtures("impatient")
async def test_stop_returns_as_soon_as_the_last_call_is_answered(
    serve: Serve, until: Until
) -> None:
    gate = Gate()
    async with serve(gate) as client:
        calls = [client.call(b"%d" % number) for number in range(20)]
        # grpcio cancels what it has not handed to a handler when it is told to stop.
        await until(lambda: gate.waiting == len(calls))
        stopping = asyncio.create_task(client.engine.stop(600))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _call_until_refused(client)
        assert caught.value.code() in REFUSED
        await asyncio.sleep(0.2)  # past the second GOAWAY, for which there is no event
        assert not stopping.done()
        gate.opened.set()
        assert await asyncio.gather(*calls) == [b"%d" % number for number in range(20)]
        await stopping


@pytest.mark.usefixtures("impatient")
async def test_a_stream_is_served_to_its_end_while_the_server_stops(serve: Serve) -> None:
    async def doubled(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
        async for body in requests:
            yield body * 2

    async with serve(Streaming(doubled)) as client:
        call = client.stream()
        await call.write(b"a")
        assert await call.read() == b"aa"
        stopping = asyncio.create_task(client.engine.stop(600))
        for _ in range(50):
            await call.write(b"b")
            assert await call.read() == b"bb"
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        await stopping


@pytest.mark.usefixtures("impatient")
async def test_stop_with_idle_clients_does_not_wait_for_them(serve: Serve) -> None:
    async with serve(lambda body, _: body) as client:
        assert await client.call(b"idle from now on") == b"idle from now on"
        await client.engine.stop(600)


@pytest.mark.usefixtures("impatient")
async def test_callers_that_stay_are_served_until_they_have_moved(make_engine: MakeEngine) -> None:
    """
    Two servers; callers use the first until it says that it drains, then the second. Not one call
    fails: not before, not during the delay, not at the GOAWAY.
    """
    health = Health("toll")
    methods = {METHOD: lambda body, _: body, **health.methods()}
    first, second = make_engine("127.0.0.1", 0, methods), make_engine("127.0.0.1", 0, methods)
    ports = [await first.start(), await second.start()]
    drained, busy, calls = asyncio.Event(), asyncio.Event(), 0

    async def ask() -> None:
        nonlocal calls
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{ports[0]}") as leaving,
            grpc.aio.insecure_channel(f"127.0.0.1:{ports[1]}") as staying,
        ):
            while not drained.is_set():
                channel = leaving if health.serving else staying
                assert await channel.unary_unary(METHOD)(b"x", timeout=20) == b"x"
                calls += 1
                if calls == 200:
                    busy.set()

    async with asyncio.timeout(20), asyncio.TaskGroup() as callers:
        for _ in range(8):
            callers.create_task(ask())
        await busy.wait()
        await drain(first, health, delay_seconds=0.1, timeout_seconds=10)
        drained.set()
    await second.stop(0)


@pytest.mark.usefixtures("impatient")
async def test_a_watch_of_our_health_does_not_hold_up_a_drain(serve: Serve) -> None:
    health = Health("toll")
    async with serve(dict(health.methods())) as client:
        watch = client.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        await watch.read()
        await drain(client.engine, health, delay_seconds=0, timeout_seconds=600)
        await watch.read()  # NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch.read()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
