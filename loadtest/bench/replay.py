"""A closed-loop gRPC client: so many connections, so many calls in flight on each."""

import asyncio
import secrets
import time
from typing import NamedTuple, cast

from loadtest.bench.constant import METHOD
from loadtest.bench.frames import (
    ACK,
    DATA,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW,
    WINDOW_UPDATE,
    frame,
    frames,
    header_block,
    opening,
    request,
)

FIELDS = {
    ":method": "POST",
    ":path": METHOD,
    ":authority": "bench",
    ":scheme": "http",
    "te": "trailers",
    "grpc-timeout": "250m",
    "content-type": "application/grpc",
    "x-envoy-internal": "true",
    "x-forwarded-for": "10.0.0.1",
    "x-envoy-expected-rq-timeout-ms": "250",
}
"""What Envoy 1.40 sends with each call of its rate limit filter."""


class Load(NamedTuple):
    """One closed loop."""

    connections: int
    in_flight: int
    calls: int
    tracing: bool
    """A fresh `traceparent` in each call, as Envoy sends with tracing on."""


class Failed(Exception):
    """The server reset a call, refused it, or ended the connection."""


async def replay(port: int, load: Load, message: bytes) -> list[float]:
    """Make the calls; returns the latency of each in seconds. Raises Failed."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    clients = []
    for _ in range(load.connections):
        client = _Client(load, load.calls // load.connections, message, latencies)
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc] # bound by default
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    return latencies


class _Client(asyncio.Protocol):
    def __init__(self, load: Load, calls: int, message: bytes, latencies: list[float]) -> None:
        self._load, self._calls, self._message = load, calls, message
        self._latencies = latencies
        self._block = header_block(FIELDS)
        self._started: dict[int, float] = {}
        self._next = 1
        self._received = 0
        self._buffer = bytearray()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(opening() + self._more())

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(Failed(f"connection ended: {exc}"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        out = [self._take(*each) for each in frames(self._buffer)]
        if not self._calls and not self._started:
            if not self.done.done():
                self.done.set_result(None)
            self._transport.close()
            return
        out.append(self._more())
        if self._received > WINDOW // 2:
            out.append(frame(WINDOW_UPDATE, 0, 0, self._received.to_bytes(4, "big")))
            self._received = 0
        self._transport.write(b"".join(out))

    def _take(self, kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
        if kind == DATA:
            self._received += len(payload)
        elif kind == HEADERS and flags & END_STREAM:
            self._latencies.append(time.perf_counter() - self._started.pop(stream_id))
        elif kind in (SETTINGS, PING) and not flags & ACK:
            return frame(kind, ACK, 0, payload if kind == PING else b"")
        elif kind in (RST_STREAM, GOAWAY) and not self.done.done():
            self.done.set_exception(Failed(f"frame {kind}: {payload.hex()}"))
        return b""

    def _more(self) -> bytes:
        out = []
        while self._calls and len(self._started) < self._load.in_flight:
            block = self._block
            if self._load.tracing:
                trace = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
                block += header_block({"traceparent": trace})
            out.append(request(self._next, block, self._message))
            self._started[self._next] = time.perf_counter()
            self._next += 2
            self._calls -= 1
        return b"".join(out)
