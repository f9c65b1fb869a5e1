"""The settings of the gRPC listener, and the engine that they choose."""

import asyncio
import os
import stat
from pathlib import Path

import grpc.aio
import pytest
from prometheus_client import CollectorRegistry

from serving.engines import build_engine, listening, tls_files
from serving.fast_engine import FastEngine
from serving.grpcio_engine import GrpcioEngine
from serving.health import Health
from serving.http2_limits import Http2Limits
from serving.problems import ConfigError
from serving.settings import read_settings
from serving.values import ProcessSettings
from tests.contract.minting import Authority

NAME = "rls.example"
METHOD = "/tollhouse.test.Toll/Take"


def problems(**environment: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        tls_files(read_settings(ProcessSettings, environment))
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({}, FastEngine),
        ({"TRANSPORT": "fast"}, FastEngine),
        ({"TRANSPORT": "grpcio"}, GrpcioEngine),
    ],
)
def test_transport_chooses_the_engine(environment: dict[str, str], kind: type) -> None:
    assert type(build_engine(read_settings(ProcessSettings, environment), 0, {})) is kind


def test_another_transport_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(ConfigError, match="TRANSPORT: found 'http'; accepted: fast, grpcio"):
        read_settings(ProcessSettings, {"TRANSPORT": "http"})


def test_the_names_and_defaults_are_those_of_envoyproxy_ratelimit() -> None:
    chosen = read_settings(ProcessSettings, {})
    assert (chosen.grpc_max_connection_age_seconds, chosen.grpc_uds) == (24 * 3600, "")
    assert (chosen.grpc_max_connection_age_grace_seconds, chosen.grpc_server_use_tls) == (
        3600,
        False,
    )
    given = {
        "GRPC_UDS": "/run/rls.sock",
        "GRPC_MAX_CONNECTION_AGE": "1h30m",
        "GRPC_MAX_CONNECTION_AGE_GRACE": "0",
        "GRPC_MAX_CONCURRENT_STREAMS": "7",
        "GRPC_MAX_CONNECTIONS": "8",
        "GRPC_MAX_MESSAGE_BYTES": "9",
        "GRPC_MAX_HEADER_LIST_BYTES": "2048",
        "GRPC_GLITCH_BURST": "10",
        "GRPC_GLITCH_PER_SECOND": "11",
    }
    chosen = read_settings(ProcessSettings, given)
    assert chosen.grpc_uds == "/run/rls.sock"
    assert chosen.grpc_max_connection_age_seconds == 5_400
    assert chosen.grpc_max_connection_age_grace_seconds == 0
    assert chosen.grpc_max_concurrent_streams == 7
    assert chosen.grpc_max_connections == 8
    assert chosen.grpc_max_message_bytes == 9
    engine = build_engine(chosen, 0, {})
    assert isinstance(engine, FastEngine)
    assert engine.limits == Http2Limits(
        max_concurrent_streams=7,
        max_message_bytes=9,
        max_header_list_bytes=2048,
        glitch_burst=10,
        glitch_per_second=11,
    )


async def ask_with_headers(transport: str, size: int) -> bytes:
    """One call with a header of `size` bytes to an engine that takes 2,048 bytes of them."""
    environment = {
        "TRANSPORT": transport,
        "GRPC_HOST": "127.0.0.1",
        "GRPC_MAX_HEADER_LIST_BYTES": "2048",
    }
    settings = read_settings(ProcessSettings, environment)
    methods = {METHOD: lambda body, call: b"taken"}
    registry = CollectorRegistry()
    async with (
        listening(settings, 0, methods, Health("toll"), registry) as (engine, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        try:
            return await call(b"", metadata=(("x-filler", "f" * size),), timeout=10)
        finally:
            await engine.stop(0)


@pytest.mark.parametrize("transport", ["fast", "grpcio"])
async def test_both_engines_heed_the_header_limit(transport: str) -> None:
    assert await ask_with_headers(transport, 1_000) == b"taken"
    with pytest.raises(grpc.aio.AioRpcError):
        await ask_with_headers(transport, 4_000)


def test_the_default_limits_are_the_settings_defaults() -> None:
    engine = build_engine(read_settings(ProcessSettings, {}), 0, {})
    assert isinstance(engine, FastEngine)
    assert engine.limits == Http2Limits()


def test_tls_is_off_unless_it_is_asked_for() -> None:
    given = {"GRPC_SERVER_TLS_CERT": "/tls.crt", "GRPC_SERVER_TLS_KEY": "/tls.key"}
    assert tls_files(read_settings(ProcessSettings, given)) is None


def test_tls_needs_a_certificate_and_a_key() -> None:
    assert problems(GRPC_SERVER_USE_TLS="true") == [
        "environment: GRPC_SERVER_TLS_CERT: needed with GRPC_SERVER_USE_TLS=true",
        "environment: GRPC_SERVER_TLS_KEY: needed with GRPC_SERVER_USE_TLS=true",
    ]


def test_a_demand_for_client_certificates_that_nothing_would_enforce_is_refused() -> None:
    assert problems(GRPC_CLIENT_TLS_CACERT="/ca.crt") == [
        "environment: GRPC_CLIENT_TLS_CACERT: demands nothing without GRPC_SERVER_USE_TLS=true"
    ]
    assert problems(GRPC_CLIENT_TLS_SAN="web.example") == [
        "environment: GRPC_CLIENT_TLS_SAN: checks nothing without GRPC_CLIENT_TLS_CACERT"
    ]


def test_all_tls_settings_together() -> None:
    given = {
        "GRPC_SERVER_USE_TLS": "true",
        "GRPC_SERVER_TLS_CERT": "/tls.crt",
        "GRPC_SERVER_TLS_KEY": "/tls.key",
    }
    files = tls_files(read_settings(ProcessSettings, given))
    assert files is not None
    assert files.paths() == [Path("/tls.crt"), Path("/tls.key")]
    given |= {
        "GRPC_CLIENT_TLS_CACERT": "/ca.crt",
        "GRPC_CLIENT_TLS_SAN": "web.example, spiffe://a/b",
    }
    files = tls_files(read_settings(ProcessSettings, given))
    assert files is not None
    assert (files.client_ca, files.client_names) == (
        Path("/ca.crt"),
        ("web.example", "spiffe://a/b"),
    )


@pytest.fixture
def tls_settings(tmp_path: Path) -> ProcessSettings:
    authority = Authority("servers")
    authority.issue(NAME).write(tmp_path)
    (tmp_path / "authority.pem").write_bytes(authority.pem)
    return ProcessSettings(
        grpc_host="127.0.0.1",
        grpc_server_use_tls=True,
        grpc_server_tls_cert=str(tmp_path / "tls.crt"),
        grpc_server_tls_key=str(tmp_path / "tls.key"),
    )


async def asked(address: str, authority: bytes) -> bytes | None:
    """The answer over TLS; None when it cannot be had."""
    credentials = grpc.ssl_channel_credentials(authority)
    options = [("grpc.ssl_target_name_override", NAME), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(address, credentials, options) as channel:
        try:
            answer: bytes = await channel.unary_unary(METHOD)(b"over TLS", timeout=20)
        except grpc.aio.AioRpcError:
            return None
        return answer


async def test_a_service_listens_with_tls_and_follows_a_new_pair(
    tls_settings: ProcessSettings, tmp_path: Path
) -> None:
    health, registry = Health("toll"), CollectorRegistry()
    methods = {METHOD: lambda body, _: body}
    renewed = Authority("renewed")
    async with asyncio.timeout(20), listening(tls_settings, 0, methods, health, registry) as at:
        assert await asked(at.address, (tmp_path / "authority.pem").read_bytes()) == b"over TLS"
        assert health.components["tls"].ready
        await asyncio.to_thread(renewed.issue(NAME).write, tmp_path)
        while await asked(at.address, renewed.pem) is None:
            pass  # until the watch has seen it
        labels = {"kind": "tls", "result": "ok"}
        assert registry.get_sample_value("tollhouse_config_loads_total", labels) == 2
        await at.engine.stop(0)


@pytest.mark.parametrize("transport", ["fast", "grpcio"])
async def test_a_pair_that_is_broken_at_the_start_is_refused_with_its_file(
    tls_settings: ProcessSettings, tmp_path: Path, transport: str
) -> None:
    (tmp_path / "tls.crt").write_text("not a certificate")
    with pytest.raises(ConfigError, match=r"tls\.crt: no pair with"):
        async with listening(tls_settings, 0, {}, Health("toll"), CollectorRegistry()):
            pass


async def test_a_unix_socket_is_told_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = ProcessSettings(grpc_uds="rls.sock")
    async with listening(chosen, 8081, {}, Health("toll"), CollectorRegistry()) as (engine, where):
        assert where == "rls.sock"
        async with grpc.aio.insecure_channel("unix:rls.sock") as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check")
            assert await check(b"", timeout=20) == b"\x08\x01"
        await engine.stop(0)


@pytest.mark.parametrize(("given", "mode"), [({}, 0o755), ({"GRPC_UDS_MODE": "0660"}, 0o660)])
async def test_the_socket_file_has_the_permissions_that_were_asked_for(
    tmp_path: Path, given: dict[str, str], mode: int
) -> None:
    """Envoy runs as another user than we do, and connecting takes the right to write."""
    path = tmp_path / "rls.sock"
    settings = read_settings(ProcessSettings, {"GRPC_UDS": str(path), **given})
    umask = os.umask(0o022)
    try:
        async with listening(settings, 0, {}, Health("x"), CollectorRegistry()) as (engine, _):
            assert stat.S_IMODE(path.stat().st_mode) == mode
            await engine.stop(0)
    finally:
        os.umask(umask)
