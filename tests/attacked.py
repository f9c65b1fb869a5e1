"""
A server to attack: `python -m tests.attacked CONNECTIONS` prints its port and ends with its input.

It runs as the services do, on uvloop, with an echo, a call that waits until it is cancelled, a
stream that takes nothing, one that echoes, and one that sends for ever.
"""

import asyncio
import sys
from collections.abc import AsyncIterator

import uvloop

from serving.call import Call, Streaming
from serving.fast_engine import FastEngine
from serving.logs import configure_logs
from tests.attacks import ECHO_STREAM, ENDLESS, SINK, WAIT
from tests.http2_frames import METHOD


def echo(body: bytes, _: Call) -> bytes:
    return body


async def wait(body: bytes, _: Call) -> bytes:
    await asyncio.Event().wait()
    return body


async def sink(_: AsyncIterator[bytes], __: Call) -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


async def echo_stream(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
    async for body in requests:
        yield body


async def endless(_: AsyncIterator[bytes], __: Call) -> AsyncIterator[bytes]:
    while True:
        yield bytes(10_000)


METHODS = {
    METHOD: echo,
    WAIT: wait,
    SINK: Streaming(sink),
    ECHO_STREAM: Streaming(echo_stream),
    ENDLESS: Streaming(endless),
}


async def main() -> None:
    configure_logs("ERROR", "text", "attacked")
    engine = FastEngine("127.0.0.1", 0, METHODS, max_connections=int(sys.argv[1]))
    print(await engine.start(), flush=True)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    await engine.stop(0)


if __name__ == "__main__":
    uvloop.run(main())
