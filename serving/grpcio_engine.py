"""Mount a method table on grpcio: the compatibility engine, and the witness of any other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import grpc
import grpc.aio

from serving import unix_socket
from serving.call import Call, Handler, MethodTable, Status, Streaming
from serving.faults import Fault, answered, fault_of
from serving.tls import Tls

OPTIONS = (
    # Two servers on one port would each get some of Envoy's connections, and nobody would notice.
    ("grpc.so_reuseport", 0),
    # Envoy keeps its connections alive as often as every 100 ms; grpcio's own floor of five
    # minutes would answer that with GOAWAY too_many_pings.
    ("grpc.http2.min_ping_interval_without_data_ms", 50),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_metadata_size", 16_384),
    # Counts a stream until grpcio has put it away, after its caller saw it end: a caller at the
    # stream limit would be refused its next call.
    ("grpc.http.overload_protection", 0),
)

CODES = {status: code for code in grpc.StatusCode for status in Status if code.value[0] == status}

NOT_ADMITTED = "the client's certificate carries no admitted name"

FOR_EVER_MS = 2**31 - 1

Context = grpc.aio.ServicerContext[bytes, bytes]


class GrpcioEngine:
    """
    Serves one method table on one address.

    Args:
        host: address to bind, or the path of a Unix socket when it begins with `/`.
        port: 0 for any free port; ignored for a Unix socket.
        methods: what to serve.
        max_message_bytes: a larger request, as it comes or inflated, is refused.
        max_concurrent_streams: calls of one connection at a time.
        max_connections: more are closed as they come.
        max_age_seconds: after so long, give or take a tenth, a connection is told to leave, so that
            clients spread over new endpoints; 0 means never.
        max_age_grace_seconds: how long its calls in flight may then take; 0 means as they need.
        tls: serve TLS with this.
    """

    def __init__(
        self,
        host: str,
        port: int,
        methods: MethodTable,
        *,
        max_message_bytes: int = 4 << 20,
        max_concurrent_streams: int = 1_024,
        max_connections: int = 1_024,
        max_age_seconds: float = 0.0,
        max_age_grace_seconds: float = 0.0,
        tls: Tls | None = None,
    ) -> None:
        self._socket_file = Path(host) if host.startswith("/") else None
        self._address = f"unix:{host}" if self._socket_file else _authority(host, port)
        self._methods, self._tls, self._presented = methods, tls, tls
        self._options = (
            *OPTIONS,
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_concurrent_streams", max_concurrent_streams),
            ("grpc.max_allowed_incoming_connections", max_connections),
            ("grpc.max_connection_age_ms", _milliseconds(max_age_seconds)),
            ("grpc.max_connection_age_grace_ms", _milliseconds(max_age_grace_seconds)),
        )
        self._server: grpc.aio.Server | None = None

    async def start(self) -> int:
        """Listen and return the bound port. Raises OSError when the address cannot be had."""
        if self._socket_file is not None:
            unix_socket.claim(self._socket_file)  # grpcio itself would take a live server's
        router = _Router(self._methods, self._tls)
        # Made here and not in __init__: a grpc.aio server belongs to the running loop.
        server = grpc.aio.server(handlers=(router,), options=self._options)
        try:
            port = self._bind(server)
        except RuntimeError as error:  # what grpcio raises for an address it cannot bind
            raise OSError(f"cannot listen on {self._address}: {error}") from error
        await server.start()
        if self._socket_file is not None:
            self._inode, port = unix_socket.inode(self._socket_file), 0
        self._server = server
        return port

    def replace_tls(self, tls: Tls) -> None:
        """New connections get this; those that are open keep what they have."""
        self._tls = tls

    async def stop(self, grace_seconds: float) -> None:
        """
        Refuse new calls, let those in flight finish for `grace_seconds`, then cancel them.

        A call that arrives at this moment and has not reached its handler is lost to grpcio; that
        nobody sends one any more is what the delay of `serving.process.drain` is for.
        """
        if self._server is None:
            return
        await self._server.stop(grace_seconds)
        if self._socket_file is not None:
            unix_socket.release(self._socket_file, self._inode)

    def _bind(self, server: grpc.aio.Server) -> int:
        if self._tls is None:
            return server.add_insecure_port(self._address)
        credentials = grpc.dynamic_ssl_server_credentials(
            _certificates(self._tls),
            self._new_certificates,  # type: ignore[arg-type] # the stub forgets that None is fine
            require_client_authentication=self._tls.client_ca is not None,
        )
        return server.add_secure_port(self._address, credentials)

    def _new_certificates(  # pragma: no cover - on a thread of grpcio's, which coverage misses
        self,
    ) -> "grpc.ServerCertificateConfiguration | None":
        """Asked at each handshake; None means that nothing is new."""
        tls = self._tls
        if tls is None or tls is self._presented:
            return None
        self._presented = tls
        return _certificates(tls)


class _Router(grpc.GenericRpcHandler):
    """Finds the handler by exact path; no serializer, so bytes go in and out as they are."""

    def __init__(self, methods: MethodTable, tls: Tls | None) -> None:
        self._admits = tls.admits_names if tls is not None and tls.client_names else None
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            path: self._mounted(path, method) for path, method in methods.items()
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._handlers.get(handler_call_details.method)

    def _mounted(
        self, path: str, method: Handler | Streaming
    ) -> "grpc.RpcMethodHandler[bytes, bytes]":
        if isinstance(method, Streaming):
            return grpc.stream_stream_rpc_method_handler(self._streaming(path, method))
        return grpc.unary_unary_rpc_method_handler(self._unary(path, method))

    def _unary(self, path: str, handler: Handler) -> Callable[[bytes, Context], Awaitable[bytes]]:
        async def answer(body: bytes, context: Context) -> bytes:
            await self._admit(context)
            try:
                reply = handler(body, _call(context))
                return answered(reply if isinstance(reply, bytes) else await reply)
            except asyncio.CancelledError as error:
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise  # the call is cancelled, not what it waited for
                fault = fault_of(error, path)
            except Exception as error:
                fault = fault_of(error, path)
            return await _abort(context, fault)

        return answer

    def _streaming(
        self, path: str, method: Streaming
    ) -> Callable[[AsyncIterator[bytes], Context], AsyncIterator[bytes]]:
        async def answer(bodies: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            await self._admit(context)
            try:
                async for message in method.handle(bodies, _call(context)):
                    yield message
                return
            except Exception as error:
                fault = fault_of(error, path)
            await _abort(context, fault)

        return answer

    async def _admit(self, context: Context) -> None:
        """grpcio ends its handshake before we can look, so each call of a stranger is refused."""
        if self._admits is not None and not self._admits(_names(context)):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, NOT_ADMITTED)


async def _abort(context: Context, fault: Fault) -> NoReturn:
    await context.abort(CODES[fault.status], fault.message)


def _call(context: Any) -> Call:
    metadata = tuple((key, value) for key, value in context.invocation_metadata() or ())
    return Call(metadata, context.time_remaining(), context.peer())


def _names(context: Context) -> Iterator[str]:
    properties = context.auth_context()
    for kind in ("peer_dns", "peer_uri"):
        for name in properties.get(kind, ()):
            yield name.decode("utf-8", "replace")


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _milliseconds(seconds: float) -> int:
    """An age as grpcio takes it; ours of 0 is for ever."""
    return min(int(seconds * 1_000), FOR_EVER_MS) if seconds else FOR_EVER_MS


def _certificates(tls: Tls) -> "grpc.ServerCertificateConfiguration":
    return grpc.ssl_server_certificate_configuration(
        [(tls.key, tls.certificate)], root_certificates=tls.client_ca
    )
