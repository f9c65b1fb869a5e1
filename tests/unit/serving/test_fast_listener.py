"""The listener: whom it accepts, whom it turns away, and that it loses nobody when it closes."""

import asyncio
import os
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from serving import fast_listener
from serving.fast_listener import Listener
from serving.reload import read_files
from serving.tls import Tls, TlsFiles
from tests.contract.minting import Authority

HOST = "127.0.0.1"
MANY = 100

Until = Callable[[Callable[[], object]], Awaitable[None]]


class Greeter(asyncio.Protocol):
    """Greets whoever comes, and counts them."""

    def __init__(self, came: list["Greeter"]) -> None:
        self._came = came

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._came.append(self)
        transport.write(b"hello")


@contextmanager
def listening(
    tls: Tls | None = None, max_arriving: int = MANY
) -> Iterator[tuple[Listener, list[Greeter]]]:
    came: list[Greeter] = []
    listener = Listener(HOST, 0, lambda _: Greeter(came), tls, max_arriving)
    yield listener, came
    listener.close()
    for greeter in came:
        greeter.transport.close()


async def greeted(listener: Listener, **options: object) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, listener.port, **options)
    try:
        return await asyncio.wait_for(reader.read(100), 20)
    finally:
        writer.close()


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    Authority("servers").issue("rls.example").write(tmp_path)
    files = TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key")
    return files.read(read_files(files.paths()))


async def test_whoever_connects_is_served_at_once() -> None:
    with listening() as (listener, came):
        assert await asyncio.gather(*(greeted(listener) for _ in range(20))) == [b"hello"] * 20
        assert len(came) == 20
        connection = came[0].transport.get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_who_is_in_the_queue_when_it_closes_is_still_served() -> None:
    with listening() as (listener, came):
        clients = [socket.create_connection((HOST, listener.port)) for _ in range(20)]
        port = listener.port
        listener.close()
        await listener.arrived(20)
        assert len(came) == 20
        for client in clients:
            client.setblocking(False)
            assert await asyncio.get_running_loop().sock_recv(client, 100) == b"hello"
            client.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, port)


async def test_more_handshakes_than_there_may_be_are_turned_away(tls: Tls) -> None:
    with listening(tls, max_arriving=2) as (listener, came):
        silent = [await asyncio.open_connection(HOST, listener.port) for _ in range(2)]
        assert await greeted(listener) == b""
        listener.close()
        await listener.arrived(0.01)  # they never say anything: that is the end of them
        for reader, writer in silent:
            assert await reader.read(100) == b""
            writer.close()
        assert came == []


async def test_a_handshake_that_fails_ends_that_connection_alone(tls: Tls) -> None:
    with listening(tls) as (listener, came):
        reader, writer = await asyncio.open_connection(HOST, listener.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(ssl.SSLError):
            await greeted(listener, ssl=ssl.create_default_context(), server_hostname="rls.example")
        while await reader.read(100):  # an alert, perhaps
            pass
        writer.close()
        anybody = ssl.create_default_context()
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        assert await greeted(listener, ssl=anybody) == b"hello"
        assert len(came) == 1


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Every file descriptor that this process may have is taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("closes", [False, True])
async def test_without_file_descriptors_it_waits_and_then_serves_who_has_waited(
    monkeypatch: pytest.MonkeyPatch, closes: bool
) -> None:
    monkeypatch.setattr(fast_listener, "PAUSE_SECONDS", 0.05)
    with listening() as (listener, came), capture_logs() as lines:
        client = socket.create_connection((HOST, listener.port))
        with no_descriptors():
            listener._accept()
        assert [line["event"] for line in lines] == ["cannot accept"]
        assert came == []
        if closes:
            listener.close()
            await listener.arrived(20)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        assert await asyncio.wait_for(loop.sock_recv(client, 100), 20) == b"hello"
        client.close()


async def test_a_rush_is_taken_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that those who are here already have their turn."""
    with listening() as (listener, came):
        monkeypatch.setattr(fast_listener, "BACKLOG", 3)
        clients = [socket.create_connection((HOST, listener.port)) for _ in range(8)]
        listener._accept()
        assert len(listener._arriving) == 3
        for client in clients:
            client.setblocking(False)
            assert await asyncio.get_running_loop().sock_recv(client, 100) == b"hello"
            client.close()
        assert len(came) == 8
