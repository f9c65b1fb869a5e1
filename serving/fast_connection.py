"""
One socket: bytes between asyncio and HTTP/2.

Everything answered within one turn of the loop leaves in one write. A peer that does not read is
not read from; one that starves a stream, a header block or its own window is swept out.
"""

import asyncio
from typing import Protocol, cast

import structlog

from serving.fast_dispatch import Dispatch, Served
from serving.fast_patience import (
    GREETING_SECONDS,
    QUIET_SECONDS,
    STALLED_SECONDS,
    Wait,
    complaint,
)
from serving.tls import Tls

log = structlog.get_logger()


class Owner(Served, Protocol):
    """The engine, as its connections see it."""

    def opened(self, connection: "FastConnection") -> bool:
        """False refuses the connection: there are too many."""
        ...

    def closed(self, connection: "FastConnection") -> None: ...


class FastConnection(asyncio.Protocol):
    """A connected peer."""

    def __init__(
        self, owner: Owner, loop: asyncio.AbstractEventLoop, tls: Tls | None = None
    ) -> None:
        self._owner, self._loop, self._tls = owner, loop, tls
        self._made = loop.time()
        self._gone = False
        self._leaves_at: float | None = None
        self._leaving_since: float | None = None
        self._told_last = False
        self._paused_since: float | None = None
        self._ended_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        peer = transport.get_extra_info("peername")
        name = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "unix"
        self._dispatch = Dispatch(self._owner, name, self._made, self._flush_soon)
        self._http2 = self._dispatch.http2
        admitted = self._tls is None or self._tls.admits(transport.get_extra_info("ssl_object"))
        if not admitted or not self._owner.opened(self):
            self.abort()
            return
        self._flush()

    def data_received(self, data: bytes) -> None:
        dispatch = self._dispatch
        dispatch.flushing = True  # one write at the end covers everything answered meanwhile
        dispatch.now = now = self._loop.time()
        if early := self._http2.receive(data, now):
            self._socket.write(early)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self._dispatch.cancel()
        self._owner.closed(self)

    def pause_writing(self) -> None:
        self._paused_since = self._loop.time()
        self._dispatch.paused = True
        self._socket.pause_reading()

    def resume_writing(self) -> None:
        self._paused_since = None
        self._dispatch.paused = False
        self._dispatch.make_room()
        self._socket.resume_reading()

    def announce_shutdown(self) -> None:
        """The peer opens no further stream here; what it has opened is answered."""
        self._http2.announce_shutdown()
        self._flush_soon()

    def shut_down(self) -> None:
        """End as soon as nothing is in flight."""
        if not self._told_last:
            self._told_last = True
            self._http2.shut_down()
            self._flush_soon()

    def abort(self) -> None:
        self._gone = True
        self._socket.abort()

    def leave_after(self, seconds: float) -> None:
        """From then on the peer is to use another connection."""
        self._leaves_at = self._loop.time() + seconds

    def age(self, now: float, grace_seconds: float) -> None:
        """Every other second: see whether it is time to leave, or time to be gone."""
        if self._leaving_since is None:
            if self._leaves_at is not None and now >= self._leaves_at:
                self._leaving_since = now
                self.announce_shutdown()
        elif now - self._leaving_since > grace_seconds:
            self.abort()
        else:
            self.shut_down()

    def sweep(self, now: float) -> None:
        """Every other second: end what a slow or silent peer keeps open."""
        http2 = self._http2
        waits = (
            Wait(None if http2.greeted else self._made, GREETING_SECONDS, "sent no SETTINGS"),
            Wait(http2.silent_since, GREETING_SECONDS, "began what it did not end"),
            Wait(http2.asked_since, GREETING_SECONDS, "did not answer a ping"),
            Wait(self._ended_since, GREETING_SECONDS, "did not take the last bytes"),
            Wait(self._paused_since, STALLED_SECONDS, "did not read its answers"),
        )
        if reason := complaint(waits, now):
            log.info("connection cut off", peer=self._dispatch.peer, reason=reason)
            self.abort()
            return
        self._dispatch.sweep(now)
        if self._dispatch.loses_window():
            self._leaves_at = now
        if now - self._dispatch.now > QUIET_SECONDS and http2.asked_since is None:
            http2.ping(now)
            self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._dispatch.flushing:
            self._dispatch.flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._dispatch.flushing = False
        if self._gone:
            return
        if out := self._http2.output():
            self._socket.write(out)
            self._dispatch.make_room()  # what was queued may have gone out
        if self._http2.ended and self._ended_since is None:
            self._end()

    def _end(self) -> None:
        self._ended_since = self._loop.time()
        if self._http2.fault is not None:
            log.info("connection ended", peer=self._dispatch.peer, http2_error=self._http2.fault)
        self._socket.close()
