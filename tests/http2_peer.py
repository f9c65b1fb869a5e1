"""A fast engine on the loopback, and connections to it that send whatever a test likes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from serving.fast_engine import FastEngine
from tests.http2_frames import HELLO, METHOD, Answers, call, ping

PATIENCE_SECONDS = 20.0


class Peer:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.answers = Answers()
        self.closed = False
        """The server has ended the connection."""

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def until(self, done: Callable[[Answers], object], seconds: float = 0) -> bool:
        """Read until `done`, or until the server closes; True when done."""
        async with asyncio.timeout(seconds or PATIENCE_SECONDS):
            while not done(self.answers):
                if not await self.read():
                    return bool(done(self.answers))
        return True

    async def read(self) -> bool:
        """Read once; False when there is nothing more to come."""
        try:
            octets = await self.reader.read(1 << 16)
        except ConnectionError:
            octets = b""
        self.answers.take(octets)
        self.closed = self.closed or not octets
        return not self.closed

    async def until_closed(self) -> None:
        await self.until(lambda _: False)

    async def settle(self) -> None:
        """Until the server has worked off all that was sent, or has closed."""
        token = len(self.answers.of("PING")).to_bytes(8, "big")
        with suppress(ConnectionError):
            self.send(ping(token))
        await self.until(lambda got: any(frame.payload == token for frame in got.of("PING")))

    async def call(self, stream: int, body: bytes = b"", **more: str) -> str:
        """Make a whole call; returns its status."""
        self.send(call(stream, body, **more))
        await self.until(lambda got: got.ended(stream))
        return self.answers.status(stream)

    async def flood(self, octets: bytes, times: int) -> int:
        """Send octets again and again until the server ends the connection; how often that was."""
        for sent in range(times):
            try:
                self.send(octets)
                await self.writer.drain()
            except ConnectionError:
                self.closed = True
            if self.closed or self.reader.at_eof() or self.reader.exception():
                return sent
        return times


@asynccontextmanager
async def fast_engine(
    handler: Any, methods: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[FastEngine, int]]:
    """A running engine over one handler, and its port."""
    engine = FastEngine("127.0.0.1", 0, {METHOD: handler, **(methods or {})}, **options)
    port = await engine.start()
    try:
        yield engine, port
    finally:
        await engine.stop(0)


@asynccontextmanager
async def connected(port: int, first: bytes = HELLO) -> AsyncIterator[Peer]:
    """A connection that has sent `first`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    peer = Peer(reader, writer)
    peer.send(first)
    try:
        yield peer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()
