"""The fast engine's own life: who is told to leave and when, seen by a client that sees frames."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import ngh2
import pytest

from serving import fast_engine
from serving.call import Call, Handler
from serving.fast_engine import FastEngine
from serving.reload import read_files
from serving.tls import Tls, TlsFiles
from tests.contract.minting import Authority

HOST, PATH = "127.0.0.1", "/toll/Take"
NAME = "rls.example"
EVERY_STREAM = 2**31 - 1

E = TypeVar("E")


class Frames:
    """A client that shows what it is sent; it does not close when it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._core = ngh2.Connection(ngh2.Role.CLIENT, ngh2.Configuration())
        self._core.initiate_connection({})
        self._events: list[Any] = []
        self._flush()

    def request(self, body: bytes) -> int:
        headers = (
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", PATH.encode()),
            (b":authority", b"toll"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
        )
        stream: int = self._core.send_request(headers)
        self._core.send_data(stream, b"\0" + len(body).to_bytes(4) + body, end_stream=True)
        self._flush()
        return stream

    async def next(self, kind: type[E]) -> E:
        """The next event of this kind; what comes before it is passed over."""
        while True:
            while self._events:
                event = self._events.pop(0)
                if isinstance(event, kind):
                    return event
            data = await self._reader.read(65_536)
            assert data, "the server closed"
            self._core.receive_data(data)
            self._events += self._core.events()
            self._flush()

    async def closed(self) -> None:
        """Wait until the server has closed."""
        while await self._reader.read(65_536):
            pass

    def close(self) -> None:
        self._writer.close()

    def _flush(self) -> None:
        if data := self._core.data_to_send():
            self._writer.write(data)


@asynccontextmanager
async def running(
    handler: Handler, tls: Tls | None = None, **options: Any
) -> AsyncIterator[tuple[FastEngine, Callable[..., Any]]]:
    """An engine, and a way to connect to it."""
    engine = FastEngine(HOST, 0, {PATH: handler}, tls=tls, **options)
    port = await engine.start()
    opened: list[Frames] = []

    async def connect() -> Frames:
        opened.append(Frames(*await asyncio.open_connection(HOST, port)))
        return opened[-1]

    async with asyncio.timeout(20):
        yield engine, connect
    for client in opened:
        client.close()
    await engine.stop(0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_engine, "SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(fast_engine, "SECOND_GOAWAY_SECONDS", 0.02)


class Gate:
    """A handler that waits until it is opened."""

    def __init__(self) -> None:
        self.entered, self.opened = asyncio.Event(), asyncio.Event()

    async def __call__(self, body: bytes, _: Call) -> bytes:
        self.entered.set()
        await self.opened.wait()
        return body


def echo(body: bytes, _: Call) -> bytes:
    return body


@pytest.mark.usefixtures("impatient")
async def test_a_stopping_server_says_goaway_twice_and_answers_what_is_in_flight() -> None:
    gate = Gate()
    async with running(gate) as (engine, connect):
        client = await connect()
        first = client.request(b"early")
        await gate.entered.wait()
        stopping = asyncio.create_task(engine.stop(600))
        await asyncio.sleep(0)
        late = client.request(b"on its way when we said so")
        assert (await client.next(ngh2.GoAwayReceived)).last_stream_id == EVERY_STREAM
        second = await client.next(ngh2.GoAwayReceived)
        assert (second.last_stream_id, second.error_code) == (late, 0)
        assert not stopping.done()
        gate.opened.set()
        answered = {(await client.next(ngh2.TrailersReceived)).stream_id for _ in range(2)}
        assert answered == {first, late}
        await client.closed()
        await stopping


@pytest.mark.usefixtures("impatient")
async def test_an_old_connection_is_left_in_the_same_way() -> None:
    gate = Gate()
    async with running(gate, max_age_seconds=0.05) as (_, connect):
        client = await connect()
        stream = client.request(b"long")
        assert (await client.next(ngh2.GoAwayReceived)).last_stream_id == EVERY_STREAM
        assert (await client.next(ngh2.GoAwayReceived)).last_stream_id == stream
        gate.opened.set()
        assert (await client.next(ngh2.DataReceived)).data == b"\0\0\0\0\4long"
        await client.closed()


@pytest.mark.usefixtures("impatient")
async def test_without_an_age_a_connection_stays() -> None:
    async with running(echo) as (_, connect):
        client = await connect()
        for _ in range(3):
            client.request(b"x")
            await client.next(ngh2.TrailersReceived)
            await asyncio.sleep(0.03)  # a sweep


async def test_a_client_that_never_leaves_is_cut_off_at_the_end_of_the_grace() -> None:
    gate = Gate()
    async with running(gate) as (engine, connect):
        client = await connect()
        client.request(b"for ever")
        await gate.entered.wait()
        await engine.stop(0.05)
        await client.closed()


def pair(folder: Path, authority: Authority) -> Tls:
    authority.issue(NAME).write(folder)
    files = TlsFiles(folder / "tls.crt", folder / "tls.key")
    return files.read(read_files(files.paths()))


@pytest.mark.usefixtures("impatient")
async def test_who_is_in_the_handshake_when_the_server_stops_is_told_and_served(
    tmp_path: Path,
) -> None:
    authority, gate = Authority("servers"), Gate()
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.set_alpn_protocols(["h2"])
    async with running(gate, pair(tmp_path, authority)) as (engine, _):
        port = engine._listener.port
        first = Frames(
            *await asyncio.open_connection(HOST, port, ssl=context, server_hostname=NAME)
        )
        first.request(b"holds the server open")
        await gate.entered.wait()
        reader, writer = await asyncio.open_connection(HOST, port)
        stopping = asyncio.create_task(engine.stop(600))
        await first.next(ngh2.GoAwayReceived)
        await writer.start_tls(context, server_hostname=NAME)
        newcomer = Frames(reader, writer)
        stream = newcomer.request(b"new")
        assert (await newcomer.next(ngh2.GoAwayReceived)).last_stream_id == EVERY_STREAM
        gate.opened.set()
        assert (await newcomer.next(ngh2.TrailersReceived)).stream_id == stream
        for client in (first, newcomer):
            client.close()
        await stopping
