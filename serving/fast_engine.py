"""The default engine: gRPC on libnghttp2 under asyncio, for TCP and Unix sockets, plain or TLS."""

import asyncio
import math
import random
from contextlib import suppress

from serving.call import Handler, MethodTable, Streaming
from serving.deadlines import Deadlines
from serving.fast_connection import FastConnection
from serving.fast_listener import Listener
from serving.http2_limits import Http2Limits
from serving.tls import Tls

SWEEP_SECONDS = 2.0
SECOND_GOAWAY_SECONDS = 1.0
ABORT_SECONDS = 1.0
"""How long the calls of a connection that was cut off have to notice."""


class FastEngine:
    """
    Serves one method table on one address.

    Args:
        host: address to bind, or the path of a Unix socket when it begins with `/`.
        port: 0 for any free port; ignored for a Unix socket.
        methods: what to serve.
        limits: what one connection may take.
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
        limits: Http2Limits = Http2Limits(),  # noqa: B008 - frozen
        max_connections: int = 1_024,
        max_age_seconds: float = 0.0,
        max_age_grace_seconds: float = 0.0,
        tls: Tls | None = None,
    ) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._max_age_seconds = max_age_seconds
        self._max_age_grace_seconds = max_age_grace_seconds or math.inf
        self.methods: dict[bytes, Handler | Streaming] = {
            path.encode(): method for path, method in methods.items()
        }
        self.limits = limits
        self._max_connections = max_connections
        self._connections: set[FastConnection] = set()
        self._listener: Listener | None = None
        self._stopping = False

    async def start(self) -> int:
        """Listen and return the bound port. Raises OSError when the address cannot be had."""
        self._loop = asyncio.get_running_loop()
        self.deadlines = Deadlines(self._loop)
        self._listener = Listener(
            self._host,
            self._port,
            lambda tls: FastConnection(self, self._loop, tls),
            self._tls,
            self._max_connections,
        )
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        return self._listener.port

    def replace_tls(self, tls: Tls) -> None:
        """New connections get this; those that are open keep what they have."""
        self._tls = tls
        if self._listener is not None:
            self._listener.tls = tls

    async def stop(self, grace_seconds: float) -> None:
        """
        Accept no connection and no new stream, answer what is in flight, then close.

        GOAWAY(2^31-1) first: Envoy stops using the connection at once, finishes its streams and
        closes it. Whoever does not close is told the last stream a second later, and cut off at
        the end of the grace.
        """
        if self._listener is None:
            return
        self._stopping = True
        self._listener.close()
        for connection in list(self._connections):
            connection.announce_shutdown()
        await self._listener.arrived(min(SECOND_GOAWAY_SECONDS, grace_seconds))
        await self._emptied(min(SECOND_GOAWAY_SECONDS, grace_seconds))
        for connection in list(self._connections):
            connection.shut_down()
        await self._emptied(grace_seconds - SECOND_GOAWAY_SECONDS)
        for connection in list(self._connections):
            connection.abort()
        await self._emptied(ABORT_SECONDS)
        self._sweeper.cancel()
        self.deadlines.close()

    def opened(self, connection: FastConnection) -> bool:
        if len(self._connections) >= self._max_connections:
            return False
        self._connections.add(connection)
        if self._stopping:  # it was in its handshake, or in the queue of the listener
            self._loop.call_soon(connection.announce_shutdown)
        if self._max_age_seconds:
            # Jitter, so that connections made together do not all come back together.
            connection.leave_after(self._max_age_seconds * random.uniform(0.9, 1.1))  # noqa: S311
        return True

    def closed(self, connection: FastConnection) -> None:
        self._connections.discard(connection)
        if not self._connections and self._empty is not None:
            self._empty.set()

    _empty: asyncio.Event | None = None

    async def _emptied(self, seconds: float) -> None:
        self._empty = asyncio.Event()
        if self._connections and seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._empty.wait()

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        now = self._loop.time()
        for connection in list(self._connections):
            connection.sweep(now)
            connection.age(now, self._max_age_grace_seconds)
