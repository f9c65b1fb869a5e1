"""Every engine: TLS, client certificates and their names, a pair that is replaced while serving."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from prometheus_client import CollectorRegistry

from serving.call import Call, Engine
from serving.health import Health
from serving.problems import ConfigError
from serving.reload import Reload, read_files
from serving.tls import Tls, TlsFiles
from tests.contract.minting import Authority, Pair

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeEngine = Callable[..., Engine]
Until = Callable[[Callable[[], object]], Any]
METHOD = "/tollhouse.test.Toll/Take"
SERVER_NAME = "rls.example"
OPTIONS = (
    ("grpc.ssl_target_name_override", SERVER_NAME),
    ("grpc.use_local_subchannel_pool", 1),
)
WEB, BATCH = "spiffe://cluster.local/ns/web/sa/front", "spiffe://cluster.local/ns/batch/sa/job"


def echo(body: bytes, _: Call) -> bytes:
    return body


class Keys:
    """The server's files, two authorities, and clients of either."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers, self.clients = Authority("servers"), Authority("clients")
        self.strangers = Authority("strangers")
        self.servers.issue(SERVER_NAME).write(folder)
        (folder / "ca.crt").write_bytes(self.clients.pem)

    def files(self, *, mutual: bool = False, names: tuple[str, ...] = ()) -> TlsFiles:
        authority = self.folder / "ca.crt" if mutual else None
        return TlsFiles(self.folder / "tls.crt", self.folder / "tls.key", authority, names)

    def tls(self, **chosen: Any) -> Tls:
        files = self.files(**chosen)
        return files.read(read_files(files.paths()))


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


async def ask(
    port: int, authority: Authority, client: Pair | None = None, body: bytes = b"hello"
) -> bytes | grpc.StatusCode:
    """One call on a connection of its own; the answer, or the status of its failure."""
    key, certificate = (client.key, client.certificate) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.pem, key, certificate)
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, OPTIONS) as channel:
        try:
            answer: bytes = await channel.unary_unary(METHOD)(body, timeout=20)
        except grpc.aio.AioRpcError as error:
            code: grpc.StatusCode = error.code()
            return code
        return answer


async def test_calls_go_over_tls(make_engine: MakeEngine, keys: Keys) -> None:
    engine = make_engine("127.0.0.1", 0, {METHOD: echo}, tls=keys.tls())
    port = await engine.start()
    assert await ask(port, keys.servers) == b"hello"
    assert await ask(port, keys.servers, body=bytes(1 << 20)) == bytes(1 << 20)
    assert await ask(port, keys.strangers) is grpc.StatusCode.UNAVAILABLE
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as plain:
        with pytest.raises(grpc.aio.AioRpcError):
            await plain.unary_unary(METHOD)(b"", timeout=20)
    assert await ask(port, keys.servers) == b"hello"
    await engine.stop(0)


@pytest.mark.parametrize("offered", [[], ["http/1.1"]])
async def test_a_client_that_does_not_choose_http2_gets_no_answer(
    make_engine: MakeEngine, keys: Keys, offered: list[str]
) -> None:
    engine = make_engine("127.0.0.1", 0, {METHOD: echo}, tls=keys.tls())
    port = await engine.start()
    context = ssl.create_default_context(cadata=keys.servers.pem.decode())
    if offered:
        context.set_alpn_protocols(offered)
    got = b""
    with suppress(ssl.SSLError, ConnectionError):  # grpcio refuses within the handshake
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=SERVER_NAME
        )
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
        async with asyncio.timeout(20):
            got = await reader.read(1_000)
        writer.close()
        await writer.wait_closed()
    assert got == b""
    await engine.stop(0)


async def test_with_a_client_authority_only_its_clients_are_served(
    make_engine: MakeEngine, keys: Keys
) -> None:
    engine = make_engine("127.0.0.1", 0, {METHOD: echo}, tls=keys.tls(mutual=True))
    port = await engine.start()
    assert await ask(port, keys.servers, keys.clients.issue(WEB)) == b"hello"
    assert await ask(port, keys.servers, keys.clients.issue()) == b"hello"
    for nobody in (None, keys.strangers.issue(WEB)):
        assert await ask(port, keys.servers, nobody) is grpc.StatusCode.UNAVAILABLE
    await engine.stop(0)


@pytest.mark.parametrize(
    ("names", "admitted"),
    [
        ((WEB,), True),
        (("front.example",), True),
        (("FRONT.example",), True),
        (("other.example", WEB), True),
        ((BATCH,), False),
        (("example",), False),
        ((WEB.upper(),), False),
        ((), False),
    ],
)
async def test_with_a_list_of_names_a_client_must_carry_one_of_them(
    make_engine: MakeEngine, keys: Keys, names: tuple[str, ...], admitted: bool
) -> None:
    seen: list[bytes] = []

    def note(body: bytes, _: Call) -> bytes:
        seen.append(body)
        return body

    tls = keys.tls(mutual=True, names=(WEB, "Front.Example"))
    engine = make_engine("127.0.0.1", 0, {METHOD: note}, tls=tls)
    port = await engine.start()
    answer = await ask(port, keys.servers, keys.clients.issue(*names))
    refused = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED)
    assert answer == b"hello" if admitted else answer in refused
    assert seen == ([b"hello"] if admitted else [])
    await engine.stop(0)


class Reloading:
    """A running engine whose files are watched as the services watch them."""

    def __init__(self, keys: Keys, make_engine: MakeEngine, *, mutual: bool) -> None:
        self.files = keys.files(mutual=mutual)
        tls = self.files.read(read_files(self.files.paths()))
        self.engine: Any = make_engine("127.0.0.1", 0, {METHOD: echo}, tls=tls)
        self.health = Health("test")
        self.reload = Reload(
            "tls",
            self.files.paths,
            self.files.read,
            self.engine.replace_tls,
            self.health,
            CollectorRegistry(),
        )
        self.reload.load()


async def test_a_new_pair_serves_new_connections_and_open_ones_live_on(
    make_engine: MakeEngine, keys: Keys
) -> None:
    rig = Reloading(keys, make_engine, mutual=False)
    port = await rig.engine.start()
    credentials = grpc.ssl_channel_credentials(keys.servers.pem)
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, OPTIONS) as before:
        method = before.unary_unary(METHOD)
        assert await method(b"before", timeout=20) == b"before"
        for round_ in range(3):
            authority = Authority(f"servers {round_}")
            authority.issue(SERVER_NAME).write(keys.folder)
            rig.reload.load()
            async with asyncio.timeout(20):
                while await ask(port, authority) != b"hello":
                    pass  # until the new listener is up
            assert await ask(port, keys.servers) is grpc.StatusCode.UNAVAILABLE
            assert await method(b"as before", timeout=20) == b"as before"
    await rig.engine.stop(0)


async def test_a_new_client_authority_is_asked_of_new_connections(
    make_engine: MakeEngine, keys: Keys
) -> None:
    rig = Reloading(keys, make_engine, mutual=True)
    port = await rig.engine.start()
    old, new = keys.clients.issue(WEB), keys.strangers.issue(WEB)
    assert await ask(port, keys.servers, old) == b"hello"
    (keys.folder / "ca.crt").write_bytes(keys.strangers.pem)
    rig.reload.load()
    async with asyncio.timeout(20):
        while await ask(port, keys.servers, new) != b"hello":
            pass
    assert await ask(port, keys.servers, old) is grpc.StatusCode.UNAVAILABLE
    await rig.engine.stop(0)


@pytest.mark.parametrize("broken", ["half a pair", "no certificate", "gone"])
async def test_a_broken_pair_changes_nothing(
    make_engine: MakeEngine, keys: Keys, broken: str
) -> None:
    rig = Reloading(keys, make_engine, mutual=False)
    port = await rig.engine.start()
    if broken == "half a pair":
        (keys.folder / "tls.crt").write_bytes(keys.servers.issue(SERVER_NAME).certificate)
    elif broken == "no certificate":
        (keys.folder / "tls.crt").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n")
    else:
        (keys.folder / "tls.key").unlink()
    rig.reload.load()
    assert rig.health.ready
    assert await ask(port, keys.servers) == b"hello"
    with pytest.raises(ConfigError):
        rig.files.read(read_files(rig.files.paths()))
    await rig.engine.stop(0)
