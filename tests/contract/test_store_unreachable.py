"""A store that cannot be reached: each reason is said, and none ends the attempts."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvloop

from rls.counters.address import StoreAddress
from rls.counters.link import PROBE, Link
from serving.health import Health


def reason(health: Health) -> str:
    return health.components["store"].reason


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (StoreAddress(unix_path="/nowhere/valkey.sock"), "/nowhere/valkey.sock: "),
        (StoreAddress(unix_path="/" + "x" * 200), "xxx: "),
        (StoreAddress(host="no.such.host.invalid", port=1), "no.such.host.invalid:1: "),
        (StoreAddress(host="double..dot", port=1), "double..dot:1: "),
        (StoreAddress(host="x" * 70, port=1), "xxx:1: "),
    ],
)
def test_an_address_that_cannot_be_had_is_the_reason(
    link_to: Any, until: Any, address: StoreAddress, expected: str
) -> None:
    """On both loops: each has its own exceptions, and none may end the attempts."""

    async def attempt() -> None:
        health = Health("ratelimit")
        async with link_to(address, health=health, up=False) as link:
            await until(lambda: expected in reason(health))
            assert not link.up

    for loop_factory in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(attempt())


@contextmanager
def listening(backlog: int) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(backlog)
        yield listener


async def test_a_port_that_nobody_answers_is_the_reason(link_to: Any, until: Any) -> None:
    health = Health("ratelimit")
    with listening(backlog=5) as listener:
        address = StoreAddress(host="127.0.0.1", port=listener.getsockname()[1])
        async with link_to(address, health=health, up=False):
            await until(lambda: "did not answer in time" in reason(health))


async def test_connecting_takes_no_longer_than_it_may(until: Any) -> None:
    health = Health("ratelimit")
    with listening(backlog=0) as listener, socket.create_connection(listener.getsockname()):
        # The queue of the listener is full now, and the kernel drops who else wants in.
        link = Link(
            StoreAddress(host="127.0.0.1", port=listener.getsockname()[1]),
            connect_timeout_seconds=0.05,
            op_timeout_seconds=1,
            scripts=[],
            health=health,
        )
        keeping_up = asyncio.ensure_future(link.keep_up())
        await until(lambda: "connecting took too long" in reason(health))
        keeping_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping_up


async def test_a_connection_lost_with_its_last_greeting_is_not_taken_for_one(until: Any) -> None:
    async def say_too_much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(PROBE)
        writer.write(b"+OK\r\n+OK\r\n")
        await reader.read()
        writer.close()

    health = Health("ratelimit")
    async with await asyncio.start_server(say_too_much, "127.0.0.1", 0) as server:
        link = Link(
            StoreAddress(host="127.0.0.1", port=server.sockets[0].getsockname()[1]),
            connect_timeout_seconds=1,
            op_timeout_seconds=1,
            scripts=[],
            health=health,
        )
        keeping_up = asyncio.ensure_future(link.keep_up())
        await until(lambda: "unasked" in reason(health))
        assert (link.up, link.generation) == (False, 0)
        keeping_up.cancel()
        await asyncio.gather(keeping_up, return_exceptions=True)
