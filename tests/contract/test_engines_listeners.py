"""Every engine: Unix sockets, addresses, the connection cap."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from serving.call import Call, Engine

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeEngine = Callable[..., Engine]
Until = Callable[[Callable[[], object]], Any]
METHOD = "/tollhouse.test.Toll/Take"
ALONE = (("grpc.use_local_subchannel_pool", 1),)


def is_socket(path: Path) -> bool:
    return path.is_socket()


def echo(body: bytes, _: Call) -> bytes:
    return body


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a socket may be; relative, as its name has at most 107 bytes."""
    monkeypatch.chdir(tmp_path)
    return Path("toll.sock")


async def test_a_unix_socket_is_served_and_its_file_removed_at_the_end(
    serve: Serve, path: Path
) -> None:
    async with serve(echo, grpc_uds=str(path)) as client:
        assert await client.call(b"local") == b"local"
        assert is_socket(path)
    assert not is_socket(path)


async def test_a_file_that_a_dead_server_left_is_replaced(serve: Serve, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    async with serve(echo, grpc_uds=str(path)) as client:
        assert await client.call(b"mine now") == b"mine now"


async def test_the_socket_of_a_living_server_is_not_taken(
    serve: Serve, make_engine: MakeEngine, path: Path
) -> None:
    async with serve(echo, grpc_uds=str(path)) as client:
        with pytest.raises(OSError, match=str(path)):
            await make_engine("", 0, {METHOD: echo}, grpc_uds=str(path)).start()
        assert await client.call(b"still here") == b"still here"


async def test_the_socket_of_a_busy_server_is_not_taken(
    make_engine: MakeEngine, path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as first:
        busy.bind(str(path))
        busy.listen(0)
        first.connect(str(path))  # its queue is full now
        with pytest.raises(OSError, match=str(path)):
            await make_engine("", 0, {}, grpc_uds=str(path)).start()


@pytest.fixture
def precious(path: Path) -> Path:
    path.write_text("precious")
    return path


async def test_a_file_that_is_no_socket_is_left_alone(
    make_engine: MakeEngine, precious: Path
) -> None:
    with pytest.raises(OSError, match=str(precious)):
        await make_engine("", 0, {}, grpc_uds=str(precious)).start()
    with open(precious) as file:  # noqa: ASYNC230 - a few bytes
        assert file.read() == "precious"


async def test_a_folder_that_is_not_there_is_an_os_error(
    make_engine: MakeEngine, path: Path
) -> None:
    with pytest.raises(OSError, match=str(path)):
        await make_engine("", 0, {}, grpc_uds=f"gone/{path}").start()


@pytest.mark.parametrize("transport", ["fast"])  # grpcio itself removes whatever is there
async def test_a_file_that_is_another_servers_by_now_stays(
    make_engine: MakeEngine, path: Path
) -> None:
    engine = make_engine("", 0, {}, grpc_uds=str(path))
    await engine.start()
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(path))
        await engine.stop(0)
        assert is_socket(path)


async def test_the_unspecified_ipv6_address_is_served_over_ipv4_as_well(
    make_engine: MakeEngine,
) -> None:
    engine = make_engine("::", 0, {METHOD: echo})
    port = await engine.start()
    for target in (f"127.0.0.1:{port}", f"[::1]:{port}"):
        async with grpc.aio.insecure_channel(target) as channel:
            assert await channel.unary_unary(METHOD)(b"both", timeout=20) == b"both"
    await engine.stop(0)


async def test_connections_over_the_cap_are_closed_and_the_others_served(
    serve: Serve, until: Until
) -> None:
    async with serve(echo, grpc_max_connections=2) as client:
        host, _, port = client.target.rpartition(":")
        assert await client.call(b"first") == b"first"
        second = await asyncio.open_connection(host, int(port))
        third = await asyncio.open_connection(host, int(port))
        while await third[0].read(1_000):  # whoever came last is closed, perhaps after a greeting
            pass
        third[1].close()
        assert await client.call(b"still") == b"still"
        second[1].close()
        await second[1].wait_closed()
        answers = []

        async def ask() -> None:
            async with grpc.aio.insecure_channel(client.target, options=ALONE) as channel:
                method = channel.unary_unary(METHOD)
                answers.append(await method(b"room again", timeout=20, wait_for_ready=True))

        await ask()
    assert answers == [b"room again"]
