"""The engines behind the seam, and a gRPC client in front of one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
import uvloop

from serving.call import Engine, Handler, MethodTable, Streaming
from serving.engines import build_engine
from serving.tls import Tls
from serving.values import ProcessSettings

MakeEngine = Callable[..., Engine]

ENGINES = ("fast", "grpcio")
"""Values of TRANSPORT. A new engine is one more."""

METHOD = "/tollhouse.test.Toll/Take"
PATIENCE_SECONDS = 20.0

ALONE = (("grpc.use_local_subchannel_pool", 1),)
"""Otherwise channels of one process to one address share their connection."""


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The services run on uvloop; what the engines do on asyncio's own loop, unit tests show."""
    return {"uvloop": uvloop.new_event_loop}


class Client:
    """Calls the methods of a running engine."""

    def __init__(self, engine: Engine, target: str, channel: grpc.aio.Channel) -> None:
        self.engine, self.target, self.channel = engine, target, channel

    def call(
        self,
        body: bytes = b"",
        *,
        path: str = METHOD,
        deadline_seconds: float | None = None,
        **more: Any,
    ) -> "grpc.aio.UnaryUnaryCall[bytes, bytes]":
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(path)
        return method(body, timeout=deadline_seconds, **more)

    def stream(
        self, *, path: str = METHOD, deadline_seconds: float | None = None
    ) -> "grpc.aio.StreamStreamCall[bytes, bytes]":
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes]
        method = self.channel.stream_stream(path)
        return method(timeout=deadline_seconds)

    async def failure(
        self, body: bytes = b"", *, path: str = METHOD, **more: Any
    ) -> tuple[grpc.StatusCode, str]:
        """The status and message of a call that must not succeed."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(body, path=path, **more)
        return caught.value.code(), caught.value.details() or ""


Serve = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture(params=ENGINES)
def transport(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def make_engine(transport: str) -> MakeEngine:
    """`make_engine(host, port, methods, tls=…, grpc_…=…)`, by way of the settings."""

    def make(
        host: str, port: int, methods: MethodTable, tls: Tls | None = None, **settings: Any
    ) -> Engine:
        chosen = ProcessSettings(transport=transport, grpc_host=host, **settings)
        return build_engine(chosen, port, methods, tls)

    return make


@pytest.fixture
def serve(make_engine: MakeEngine) -> Serve:
    """`serve(handler, host)` runs an engine over one handler while the context is open."""

    @asynccontextmanager
    async def run(
        handler: Handler | Streaming | MethodTable,
        host: str = "127.0.0.1",
        credentials: grpc.ChannelCredentials | None = None,
        **options: Any,
    ) -> AsyncIterator[Client]:
        methods = handler if isinstance(handler, dict) else {METHOD: handler}
        engine = make_engine(host, 0, methods, **options)
        port = await engine.start()
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if "grpc_uds" in options:
            target = f"unix:{options['grpc_uds']}"
        opened = (
            grpc.aio.insecure_channel(target, options=ALONE)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, options=ALONE)
        )
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), opened as channel:
                yield Client(engine, target, channel)
        finally:
            await engine.stop(0)

    return run
