"""The engines behind the seam, and a gRPC client in front of one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import grpc
import grpc.aio
import pytest

from serving.call import Engine, Handler, MethodTable
from serving.grpcio_engine import GrpcioEngine

EngineFactory = Callable[[str, int, MethodTable], Engine]

ENGINES: list[EngineFactory] = [GrpcioEngine]
"""Host, port and methods → an engine. A new engine is one more item."""

METHOD = "/tollhouse.test.Toll/Take"
PATIENCE_SECONDS = 20.0


class Client:
    """Calls the one method of a running engine."""

    def __init__(self, engine: Engine, channel: grpc.aio.Channel) -> None:
        self.engine, self._channel = engine, channel

    def call(
        self, body: bytes = b"", *, path: str = METHOD, deadline_seconds: float | None = None
    ) -> "grpc.aio.UnaryUnaryCall[bytes, bytes]":
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(path)
        return method(body, timeout=deadline_seconds)

    async def failure(
        self, body: bytes = b"", *, path: str = METHOD
    ) -> tuple[grpc.StatusCode, str]:
        """The status and message of a call that must not succeed."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(body, path=path)
        return caught.value.code(), caught.value.details() or ""


Serve = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture(params=ENGINES)
def make_engine(request: pytest.FixtureRequest) -> EngineFactory:
    factory: EngineFactory = request.param
    return factory


@pytest.fixture
def serve(make_engine: EngineFactory) -> Serve:
    """`serve(handler, host)` runs an engine over one handler while the context is open."""

    @asynccontextmanager
    async def run(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[Client]:
        engine = make_engine(host, 0, {METHOD: handler})
        port = await engine.start()
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            async with (
                asyncio.timeout(PATIENCE_SECONDS),
                grpc.aio.insecure_channel(target) as channel,
            ):
                yield Client(engine, channel)
        finally:
            await engine.stop(0)

    return run
