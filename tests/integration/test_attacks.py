"""
Attacks on a running server: each ends in a closed connection, a stalled one or a refused call.

Meanwhile its memory stays where it was and an honest client on another connection is answered. How
much of each flood is taken is counted in `tests/unit/serving/test_http2_floods.py`; here a socket
lies between, which holds some more.
"""

import asyncio
import subprocess
import sys
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.attacks import ECHO_STREAM, ENDLESS, FLOODS, SINK, WAIT, Flood
from tests.http2_frames import (
    HELLO,
    PREFACE,
    call,
    data,
    headers,
    message,
    settings,
    window_update,
)
from tests.http2_peer import Peer, connected

MAX_CONNECTIONS = 64
MAX_GROWTH_BYTES = 20 << 20
P99_SECONDS = 0.25
MAX_CPU_SECONDS = 3.0
BLOCK_BYTES, BLOCK_UNITS = 64_000, 100
SAMPLES = 100
WIDE = PREFACE + settings({4: 0x7FFFFFFF}) + window_update(0, 0x7FFF0000)
"""The beginning of a client that lets the server send whatever it likes."""


class Attacked:
    """The server's process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self.port = int(process.stdout.readline())
        self._proc = Path(f"/proc/{process.pid}")

    def rss_bytes(self) -> int:
        return int((self._proc / "statm").read_text().split()[1]) * 4_096

    def cpu_seconds(self) -> float:
        tasks = (self._proc / "task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


@pytest.fixture(scope="module")
def attacked() -> Iterator[Attacked]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.attacked", str(MAX_CONNECTIONS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        yield Attacked(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0


class Honest:
    """A client that calls, and takes the time."""

    def __init__(self, peer: Peer, server: Attacked) -> None:
        self._peer, self._server = peer, server
        self._before = server.rss_bytes()
        self._stream = -1
        self.seconds: list[float] = []
        self.growth_bytes = 0

    async def call(self, times: int = 1) -> None:
        for _ in range(times):
            self._stream += 2
            start = time.perf_counter()
            assert await self._peer.call(self._stream, b"honest") == "200/0"
            self.seconds.append(time.perf_counter() - start)
        self.growth_bytes = max(self.growth_bytes, self._server.rss_bytes() - self._before)


@asynccontextmanager
async def honest_client(server: Attacked) -> AsyncIterator[Honest]:
    """An honest client; at the end it must have been served well, at no great price."""
    async with connected(server.port) as peer:
        honest = Honest(peer, server)
        await honest.call(SAMPLES)
        yield honest
        await honest.call(SAMPLES)
        assert sorted(honest.seconds)[len(honest.seconds) * 99 // 100] < P99_SECONDS
        assert honest.growth_bytes < MAX_GROWTH_BYTES
        assert not peer.answers.goaways()


def is_stalled(peer: Peer) -> bool:
    """The server has stopped taking what is sent."""
    return bool(peer.writer.transport.get_write_buffer_size() > 1 << 20)


def is_cut(peer: Peer) -> bool:
    return peer.reader.at_eof() or peer.reader.exception() is not None


def blocks(flood: Flood) -> Iterator[bytes]:
    """The units of a flood, some at a time, until it must long have ended."""
    block, count = b"", 0
    for unit in range(3 * flood.limit + 1_000):
        block, count = block + flood.unit(unit), count + 1
        if len(block) >= BLOCK_BYTES or count == BLOCK_UNITS:
            yield block
            block, count = b"", 0


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_a_flood_is_ended(attacked: Attacked, flood: Flood) -> None:
    async with honest_client(attacked) as honest, connected(attacked.port) as peer:
        reading = asyncio.create_task(peer.until_closed())
        cpu_seconds = attacked.cpu_seconds()
        peer.send(flood.first)
        for block in blocks(flood):
            peer.send(block)
            await honest.call()  # it is answered behind what was sent before
            if peer.closed:
                break
        assert peer.closed
        await reading
        assert peer.answers.goaways()[-1:] in ([flood.error], [])  # a reset may overtake it
        assert attacked.cpu_seconds() - cpu_seconds < MAX_CPU_SECONDS


async def test_a_message_that_announces_four_gigabytes(attacked: Attacked) -> None:
    async with honest_client(attacked) as honest, connected(attacked.port) as peer:
        peer.send(headers(1) + data(1, b"\0\xff\xff\xff\xff", 0))
        await peer.until(lambda got: got.resets())
        assert peer.answers.status(1) == "200/8"
        assert peer.answers.resets() == {1: "NO_ERROR"}
        for _ in range(1_200):  # and it is sent nevertheless
            peer.send(data(1, bytes(16_384), 0))
            await honest.call()
            if is_cut(peer):
                break
        await peer.until_closed()
        assert peer.answers.goaways() in (["ENHANCE_YOUR_CALM"], [])


async def test_a_small_message_that_inflates_to_a_hundred_megabytes(attacked: Attacked) -> None:
    deflater = zlib.compressobj(wbits=31)
    bomb = deflater.compress(bytes(100 << 20)) + deflater.flush()
    async with honest_client(attacked) as honest, connected(attacked.port) as peer:
        for stream in range(1, 21, 2):
            request = message(bomb, 1)
            parts = [request[at : at + 16_384] for at in range(0, len(request), 16_384)]
            peer.send(headers(stream, grpc_encoding="gzip"))
            peer.send(b"".join(data(stream, part, 0) for part in parts) + data(stream))
            await peer.until(lambda got, stream=stream: got.ended(stream))
            await honest.call()
            assert peer.answers.status(stream) == "200/8"


async def test_a_hundred_messages_of_which_the_end_is_missing(attacked: Attacked) -> None:
    start = message(bytes(4 << 20))[:1_000_000]
    parts = [start[at : at + 16_384] for at in range(0, len(start), 16_384)]
    async with honest_client(attacked) as honest, connected(attacked.port) as peer:
        for stream in range(1, 201, 2):
            peer.send(headers(stream) + b"".join(data(stream, part, 0) for part in parts))
            await honest.call()
        await peer.settle()
        refused = [n for n in range(1, 201, 2) if peer.answers.status(n) == "200/8"]
        assert len(refused) > 80
        assert not peer.answers.goaways()


async def test_a_thousand_calls_that_wait_with_large_messages(attacked: Attacked) -> None:
    async with honest_client(attacked) as honest, connected(attacked.port) as peer:
        for stream in range(1, 2_001, 2):
            peer.send(headers(stream, path=WAIT) + data(stream, message(bytes(14_000))))
            if stream % 64 == 1:
                await honest.call()
        await peer.settle()
        assert not peer.answers.of("HEADERS")


async def test_a_thousand_calls_with_large_headers_and_nothing_else(attacked: Attacked) -> None:
    async with honest_client(attacked) as honest, connected(attacked.port) as peer:
        for stream in range(1, 2_001, 2):
            peer.send(headers(stream, x="a" * 12_000))
            if stream % 64 == 1:
                await honest.call()
        await peer.settle()
        assert not peer.answers.of("HEADERS")


async def test_a_message_in_fifty_thousand_frames_costs_in_proportion(attacked: Attacked) -> None:
    async with honest_client(attacked) as honest, connected(attacked.port) as peer:
        request = message(bytes(250_000))
        frames = [data(1, request[at : at + 5], 0) for at in range(0, len(request), 5)]
        cpu_seconds = attacked.cpu_seconds()
        peer.send(headers(1))
        for at in range(0, len(frames), 1_000):
            peer.send(b"".join(frames[at : at + 1_000]))
            await honest.call()
        peer.send(data(1) + window_update(0, 1 << 20) + window_update(1, 1 << 20))
        await peer.until(lambda got: got.ended(1))
        assert peer.answers.bodies[1] == request
        assert attacked.cpu_seconds() - cpu_seconds < MAX_CPU_SECONDS


async def test_messages_of_nothing_for_streams_that_take_none(attacked: Attacked) -> None:
    nothing = message() * 3_000
    async with honest_client(attacked) as honest, connected(attacked.port) as peer:
        peer.send(settings(flags=1))
        for stream in (1, 3, 5, 7):
            peer.send(headers(stream, path=SINK))
            for _ in range((4 << 20) // len(nothing)):  # a stream's window takes as much
                peer.send(data(stream, nothing, 0))
                await honest.call()
        await peer.settle()
        assert [peer.answers.status(stream) for stream in (1, 3, 5, 7)] == ["none"] * 3 + ["200/8"]


NEVER_READ: dict[str, Callable[[int], bytes]] = {
    "calls": lambda n: b"".join(call(2 * n + k, bytes(9_000)) for k in range(1, 16, 2)),
    "messages of a stream": lambda _: data(1, message(bytes(9_000)), 0) * 8,
}


@pytest.mark.parametrize("kind", NEVER_READ)
async def test_a_reader_that_never_reads_is_not_read_from(attacked: Attacked, kind: str) -> None:
    async with honest_client(attacked) as honest, connected(attacked.port, WIDE) as peer:
        peer.send(headers(1, path=ECHO_STREAM) if kind != "calls" else b"")
        for unit in range(2_000):
            if is_stalled(peer) or is_cut(peer):
                break
            peer.send(NEVER_READ[kind](8 * unit))
            await honest.call()
        assert is_stalled(peer) or (kind != "calls" and is_cut(peer))  # over the stream's window


@pytest.mark.parametrize("first", [HELLO + settings({4: 0}), WIDE], ids=["no window", "not read"])
async def test_streams_that_send_for_ever_wait_for_their_reader(
    attacked: Attacked, first: bytes
) -> None:
    async with honest_client(attacked) as honest, connected(attacked.port, first) as peer:
        for stream in range(1, 1_001, 2):
            peer.send(headers(stream, path=ENDLESS))
        await honest.call(2 * SAMPLES)


async def test_connections_over_the_limit_are_closed_at_once(attacked: Attacked) -> None:
    async with honest_client(attacked) as honest:
        peers = []
        for _ in range(4 * MAX_CONNECTIONS):
            reader, writer = await asyncio.open_connection("127.0.0.1", attacked.port)
            peers.append(Peer(reader, writer))
            await honest.call()
        assert len([peer for peer in peers if is_cut(peer)]) >= 3 * MAX_CONNECTIONS
        for peer in peers:
            peer.writer.transport.abort()
    async with honest_client(attacked):
        pass  # there is room again


async def test_connections_that_come_and_go_leave_nothing(attacked: Attacked) -> None:
    async with honest_client(attacked) as honest:
        for n in range(1_000):
            async with connected(attacked.port, HELLO[: n % 50]):
                await honest.call()
