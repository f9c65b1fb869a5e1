"""Mount a method table on grpcio: the compatibility engine, and the witness of any other."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import structlog

from serving.call import Call, Handler, MethodTable, RpcError, Status

log = structlog.get_logger()

OPTIONS = (
    # Two servers on one port would each get some of Envoy's connections, and nobody would notice.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 4 << 20),
    # Envoy keeps its connections alive every few seconds; grpcio's own floor of five minutes
    # would answer that with GOAWAY too_many_pings.
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.keepalive_permit_without_calls", 1),
)

CODES = {status: code for code in grpc.StatusCode for status in Status if code.value[0] == status}

Context = grpc.aio.ServicerContext[bytes, bytes]


class GrpcioEngine:
    """Serves one method table on one TCP address."""

    def __init__(self, host: str, port: int, methods: MethodTable) -> None:
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._methods = methods
        self._server: grpc.aio.Server | None = None

    async def start(self) -> int:
        """Listen and return the bound port. Raises OSError when the address cannot be had."""
        # Made here and not in __init__: a grpc.aio server belongs to the running loop.
        server = grpc.aio.server(handlers=(_Router(self._methods),), options=OPTIONS)
        try:
            port = server.add_insecure_port(self._address)
        except RuntimeError as error:  # what grpcio raises for an address it cannot bind
            raise OSError(f"cannot listen on {self._address}: {error}") from error
        await server.start()
        self._server = server
        return port

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls, let those in flight finish for `grace_seconds`, then cancel them."""
        if self._server is not None:
            await self._server.stop(grace_seconds)


class _Router(grpc.GenericRpcHandler):
    """Finds the handler by exact path; no serializer, so bytes go in and out as they are."""

    def __init__(self, methods: MethodTable) -> None:
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            path: grpc.unary_unary_rpc_method_handler(_mounted(path, handler))
            for path, handler in methods.items()
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._handlers.get(handler_call_details.method)


def _mounted(path: str, handler: Handler) -> Callable[[bytes, Context], Awaitable[bytes]]:
    async def answer(body: bytes, context: Context) -> bytes:
        try:
            reply = handler(body, _call(context))
            return reply if isinstance(reply, bytes) else await reply
        except RpcError as error:
            fault, status = str(error), error.status
        except Exception:
            # The text of an unforeseen exception is for the log, not for the caller.
            log.exception("handler failed", method=path)
            fault, status = "internal fault", Status.INTERNAL
        await context.abort(CODES[status], fault)

    return answer


def _call(context: Any) -> Call:
    metadata = tuple((key, value) for key, value in context.invocation_metadata() or ())
    return Call(metadata, context.time_remaining(), context.peer())
