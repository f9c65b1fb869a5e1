"""The settings → the engine they choose, listening, with the methods that every server has."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from prometheus_client import CollectorRegistry

from serving.call import Engine, MethodTable
from serving.fast_engine import FastEngine
from serving.health import Health
from serving.http2_limits import Http2Limits
from serving.problems import ConfigError, Place, Problem
from serving.process import background
from serving.reflection import reflection
from serving.reload import Reload, read_files
from serving.tls import Tls, TlsFiles
from serving.values import ProcessSettings


class TlsEngine(Engine, Protocol):
    """An engine whose certificate can be replaced while it serves."""

    def replace_tls(self, tls: Tls) -> None:
        """New connections get this; those that are open keep what they have."""
        ...


class Listening(NamedTuple):
    """A started engine and where it is to be found."""

    engine: TlsEngine
    address: str


@asynccontextmanager
async def listening(
    settings: ProcessSettings,
    port: int,
    methods: MethodTable,
    health: Health,
    registry: CollectorRegistry,
) -> AsyncIterator[Listening]:
    """
    Serve `methods`, health and reflection; watch the certificate while the context is open.

    The context does not stop the engine: how it leaves is `serving.process.drain`.

    Raises:
        ConfigError: the TLS settings or files are refused.
        OSError: the address cannot be had.
    """
    offered = {**methods, **health.methods()}
    offered.update(reflection(offered))
    files = tls_files(settings)
    if files is None:
        yield await _started(build_engine(settings, port, offered), settings)
        return
    tls = files.read(read_files(files.paths()))
    engine = build_engine(settings, port, offered, tls)
    reload = Reload("tls", files.paths, files.read, engine.replace_tls, health, registry)
    reload.load()
    started = await _started(engine, settings)
    async with background(reload.watch(files.folders())):
        yield started


def build_engine(
    settings: ProcessSettings, port: int, methods: MethodTable, tls: Tls | None = None
) -> TlsEngine:
    """The engine that `TRANSPORT` chooses, not started."""
    host = settings.grpc_host
    if settings.grpc_uds:
        host = str(Path(settings.grpc_uds).absolute())
    if settings.transport == "grpcio":
        # Loaded only where it is wanted: it takes 10 MB of every sidecar.
        from serving.grpcio_engine import GrpcioEngine

        return GrpcioEngine(
            host,
            port,
            methods,
            max_message_bytes=settings.grpc_max_message_bytes,
            max_header_list_bytes=settings.grpc_max_header_list_bytes,
            max_concurrent_streams=settings.grpc_max_concurrent_streams,
            max_connections=settings.grpc_max_connections,
            max_age_seconds=settings.grpc_max_connection_age_seconds,
            max_age_grace_seconds=settings.grpc_max_connection_age_grace_seconds,
            tls=tls,
        )
    return FastEngine(
        host,
        port,
        methods,
        limits=Http2Limits(
            max_concurrent_streams=settings.grpc_max_concurrent_streams,
            max_message_bytes=settings.grpc_max_message_bytes,
            max_header_list_bytes=settings.grpc_max_header_list_bytes,
            glitch_burst=settings.grpc_glitch_burst,
            glitch_per_second=settings.grpc_glitch_per_second,
        ),
        max_connections=settings.grpc_max_connections,
        max_age_seconds=settings.grpc_max_connection_age_seconds,
        max_age_grace_seconds=settings.grpc_max_connection_age_grace_seconds,
        tls=tls,
    )


def tls_files(settings: ProcessSettings) -> TlsFiles | None:
    """
    Where the TLS files are; None without TLS.

    Raises:
        ConfigError: the settings do not fit together. That includes a demand for client
            certificates that nothing would enforce: it must not be ignored.
    """
    given = {
        "GRPC_SERVER_TLS_CERT": settings.grpc_server_tls_cert,
        "GRPC_SERVER_TLS_KEY": settings.grpc_server_tls_key,
        "GRPC_CLIENT_TLS_CACERT": settings.grpc_client_tls_cacert,
        "GRPC_CLIENT_TLS_SAN": ",".join(settings.grpc_client_tls_san),
    }
    certificate, key, client_ca, client_names = given
    needed = [] if not settings.grpc_server_use_tls else [certificate, key]
    wrong = {name: "needed with GRPC_SERVER_USE_TLS=true" for name in needed if not given[name]}
    if given[client_names] and not given[client_ca]:
        wrong[client_names] = f"checks nothing without {client_ca}"
    if given[client_ca] and not settings.grpc_server_use_tls:
        wrong[client_ca] = "demands nothing without GRPC_SERVER_USE_TLS=true"
    if wrong:
        raise ConfigError(Problem(Place("environment", 0, 0, n), why) for n, why in wrong.items())
    if not settings.grpc_server_use_tls:
        return None
    return TlsFiles(
        Path(given[certificate]),
        Path(given[key]),
        Path(given[client_ca]) if given[client_ca] else None,
        settings.grpc_client_tls_san,
    )


async def _started(engine: TlsEngine, settings: ProcessSettings) -> Listening:
    port = await engine.start()
    if settings.grpc_uds and settings.grpc_uds_mode:
        # After the bind; until then the umask keeps everybody else out.
        await asyncio.to_thread(os.chmod, settings.grpc_uds, settings.grpc_uds_mode)
    return Listening(engine, settings.grpc_uds or f"{settings.grpc_host}:{port}")
