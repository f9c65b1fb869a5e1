"""How much of each flood is taken: counted unit by unit, in a second that does not pass."""

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest

from serving.call import Call, Streaming
from serving.deadlines import Deadlines
from serving.fast_dispatch import Dispatch
from serving.http2_limits import Http2Limits
from tests.attacks import FLOODS, SINK, WAIT, Flood
from tests.http2_frames import HELLO, METHOD, Answers


def wait(_: bytes, __: Call) -> Awaitable[bytes]:
    return asyncio.get_running_loop().create_future()


async def sink(_: AsyncIterator[bytes], __: Call) -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


class Served:
    """A method that echoes, one that waits, one that takes nothing."""

    def __init__(self) -> None:
        self.methods = {
            METHOD.encode(): lambda body, _: body,
            WAIT.encode(): wait,
            SINK.encode(): Streaming(sink),
        }
        self.limits = Http2Limits()
        self.deadlines = Deadlines(asyncio.get_running_loop())


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_a_flood_ends_within_its_limit(flood: Flood) -> None:
    dispatch = Dispatch(Served(), "peer", 0.0, lambda: None)
    http2, answers = dispatch.http2, Answers()
    taken = 0
    octets = HELLO + flood.first
    while not http2.ended and taken <= flood.limit:
        answers.take(http2.receive(octets, 0.0) + http2.output())
        octets = flood.unit(taken)
        taken += 1
    taken -= 1
    assert http2.ended
    assert answers.goaways()[-1] == flood.error
    assert answers.frames[-1].type == "GOAWAY"
    assert answers.whole
    assert flood.limit * 0.9 < taken <= flood.limit or flood.limit <= 10
    dispatch.cancel()
    await asyncio.sleep(0)
