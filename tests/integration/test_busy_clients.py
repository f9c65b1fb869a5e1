"""Honest clients that cancel, ping and update windows without end are never cut off."""

import asyncio
from collections.abc import Callable

import grpc
import grpc.aio
import pytest

from serving.call import Call
from tests.attacks import WAIT
from tests.http2_frames import (
    METHOD,
    call,
    data,
    headers,
    message,
    ping,
    reset,
    window_update,
)
from tests.http2_peer import connected, fast_engine

CALLS, AT_ONCE = 10_000, 100


def echo(body: bytes, _: Call) -> bytes:
    return body


async def wait(_: bytes, __: Call) -> bytes:
    await asyncio.Event().wait()
    return b""


def as_grpc_core(stream: int) -> bytes:
    """Windows twice a call, and pings to measure the bandwidth."""
    updates = window_update(stream, 5) + window_update(0, 5)
    return (
        headers(stream) + updates + data(stream, message()) + (ping() if stream % 16 == 1 else b"")
    )


def as_envoy_whose_patience_is_short(stream: int) -> bytes:
    """Every second call is given up."""
    if stream % 4 == 1:
        return call(stream)
    return headers(stream, path=WAIT) + data(stream, message()) + reset(stream, "INTERNAL_ERROR")


def as_everything_at_once(stream: int) -> bytes:
    if stream % 8 == 5:
        return headers(stream) + window_update(0, 5) + reset(stream)
    return call(stream) + window_update(0, 5) * 2 + (ping() if stream % 8 == 1 else b"")


@pytest.mark.parametrize(
    "busy", [call, as_grpc_core, as_envoy_whose_patience_is_short, as_everything_at_once]
)
async def test_ten_thousand_calls_on_one_connection(busy: Callable[[int], bytes]) -> None:
    async with fast_engine(echo, {WAIT: wait}) as (_, port), connected(port) as peer:
        for first in range(1, 2 * CALLS, 2 * AT_ONCE):
            streams = range(first, first + 2 * AT_ONCE, 2)
            peer.send(b"".join(busy(stream) for stream in streams))
            await peer.settle()
            assert not peer.closed
            peer.answers.frames.clear()
        answered = [n for n in peer.answers.fields if peer.answers.status(n) == "200/0"]
        assert len(answered) >= CALLS // 2 - 1
        assert not peer.answers.goaways()


async def test_a_grpc_client_that_cancels_and_keeps_alive() -> None:
    options = (
        ("grpc.keepalive_time_ms", 100),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.use_local_subchannel_pool", 1),
    )
    async with (
        fast_engine(echo, {WAIT: wait}) as (engine, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel,
    ):
        take, hang = channel.unary_unary(METHOD), channel.unary_unary(WAIT)
        for _ in range(40):
            given_up = [hang(b"") for _ in range(25)]
            assert await asyncio.gather(*[take(b"abc") for _ in range(25)]) == [b"abc"] * 25
            for waiting in given_up:
                waiting.cancel()
        assert len(engine._connections) == 1
