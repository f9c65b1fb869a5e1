"""
One socket: bytes between asyncio and HTTP/2, requests to calls, answers back.

Everything answered within one turn of the loop leaves in one write. A peer that does not read is
not read from; one that starves a stream, a header block or its own window is swept out.
"""

import asyncio
from typing import Protocol, cast

from serving.call import Handler, Status, Streaming
from serving.deadlines import Deadlines
from serving.fast_calls import SLOW, FastCall, StreamingCall, UnaryCall, open_call
from serving.faults import Fault
from serving.grpc_wire import (
    HEAD,
    NOT_GRPC,
    NOT_POST,
    OK,
    Headers,
    framed,
    is_grpc,
    trailers,
    trailers_only,
)
from serving.http2 import Http2, Http2Limits
from serving.tls import Tls

GREETING_SECONDS = 10.0
REQUEST_SECONDS = 30.0
STALLED_SECONDS = 10.0
MAX_QUEUED_BYTES = 65_536
"""A streaming answer waits once so many of its bytes wait for the peer's window."""


class Owner(Protocol):
    """The engine, as its connections see it."""

    methods: dict[bytes, Handler | Streaming]
    limits: Http2Limits
    deadlines: Deadlines

    def opened(self, connection: "FastConnection") -> bool:
        """False refuses the connection: there are too many."""
        ...

    def closed(self, connection: "FastConnection") -> None: ...


class FastConnection(asyncio.Protocol):
    """A connected peer; the `Sink` of its HTTP/2 and the `Transport` of its calls."""

    def __init__(
        self, owner: Owner, loop: asyncio.AbstractEventLoop, tls: Tls | None = None
    ) -> None:
        self._owner, self._loop, self._tls = owner, loop, tls
        self._methods = owner.methods
        self.max_message_bytes = owner.limits.max_message_bytes
        self.peer = ""
        self.calls: dict[int, UnaryCall | StreamingCall] = {}
        self._flushing = False
        self._leaves_at: float | None = None
        self._leaving_since: float | None = None
        self._told_last = False
        self._paused_since: float | None = None
        self._starved_since: float | None = None
        self._window = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._made = self._loop.time()
        self._http2 = Http2(self._owner.limits, self, self._made)
        admitted = self._tls is None or self._tls.admits(transport.get_extra_info("ssl_object"))
        if not self._owner.opened(self) or not admitted:
            self._socket.abort()
            return
        peer = transport.get_extra_info("peername")
        self.peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "unix"
        self._socket.write(self._http2.output())

    def data_received(self, data: bytes) -> None:
        self._flushing = True  # one write at the end covers everything answered meanwhile
        if early := self._http2.receive(data, self._loop.time()):
            self._socket.write(early)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        for call in list(self.calls.values()):
            call.cancel()
        self.calls.clear()
        self._window.set()
        self._owner.closed(self)

    def pause_writing(self) -> None:
        self._paused_since = self._loop.time()
        self._socket.pause_reading()

    def resume_writing(self) -> None:
        self._paused_since = None
        self._window.set()
        self._socket.resume_reading()

    def on_request(self, stream_id: int, headers: Headers, ended: bool) -> None:
        fields = dict(headers)
        method = self._methods.get(fields.get(b":path", b""))
        refusal = None
        if fields.get(b":method") != b"POST":
            refusal = NOT_POST
        elif not is_grpc(fields.get(b"content-type")):
            refusal = NOT_GRPC
        elif method is None:
            refusal = trailers_only(Status.UNIMPLEMENTED, "unknown method")
        if method is None or refusal is not None:
            self._http2.refuse(stream_id, refusal or NOT_GRPC, request_ended=ended)
            return
        call = open_call(self, stream_id, headers, method, self._loop.time())
        self.calls[stream_id] = call
        if ended:
            call.receive(b"", True)

    def on_data(self, stream_id: int, data: bytes, ended: bool) -> None:
        call = self.calls.get(stream_id)
        if call is None:
            self._http2.acknowledge(stream_id, len(data))
        else:
            call.receive(data, ended)

    def on_trailers(self, stream_id: int) -> None:
        self.on_data(stream_id, b"", True)

    def on_closed(self, stream_id: int) -> None:
        call = self.calls.pop(stream_id, None)
        if call is not None:
            call.cancel()

    def on_window(self) -> None:
        self._window.set()

    def answer(self, call: UnaryCall, message: bytes) -> None:
        call.over = True
        self.calls.pop(call.stream_id, None)
        self._http2.respond(call.stream_id, HEAD, framed(message), OK)
        self._flush_soon()

    def fail(self, call: FastCall, fault: Fault) -> None:
        stream_id, status, message = call.stream_id, fault.status, fault.message
        self.calls.pop(stream_id, None)
        call.cancel()
        if call.started:
            self._http2.finish(stream_id, trailers(status, message))
        else:
            refusal = trailers_only(status, message)
            self._http2.refuse(stream_id, refusal, request_ended=call.ended)
        self._flush_soon()

    def acknowledge(self, call: FastCall, amount: int) -> None:
        self._http2.acknowledge(call.stream_id, amount)

    def expire_later(self, call: FastCall, seconds: float) -> None:
        self._owner.deadlines.add(seconds, call.expire)

    async def send(self, call: FastCall, message: bytes) -> None:
        if not call.started:
            call.started = True
            self._http2.send_head(call.stream_id, HEAD)
        self._http2.send_data(call.stream_id, framed(message))
        self._flush_soon()
        while not call.over and self._is_full(call.stream_id):
            self._window.clear()
            await self._window.wait()

    def _is_full(self, stream_id: int) -> bool:
        """The peer's window or its socket takes no more for now."""
        waiting = self._http2.queued_bytes(stream_id)
        return self._paused_since is not None or waiting > MAX_QUEUED_BYTES

    def finish(self, call: FastCall) -> None:
        if call.over:
            return
        if not call.started:
            self._http2.send_head(call.stream_id, HEAD)
        call.over = True
        self.calls.pop(call.stream_id, None)
        self._http2.finish(call.stream_id, OK)
        self._flush_soon()

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
        blocked = http2.queued_bytes() > 0
        self._starved_since = (self._starved_since or now) if blocked else None
        if (
            (not http2.greeted and now - self._made > GREETING_SECONDS)
            or _longer(http2.silent_since, now, GREETING_SECONDS)
            or _longer(self._paused_since, now, STALLED_SECONDS)
            or _longer(self._starved_since, now, REQUEST_SECONDS)
        ):
            self.abort()
            return
        for call in list(self.calls.values()):
            slow = not call.ended and now - call.opened > REQUEST_SECONDS
            if slow and isinstance(call, UnaryCall):
                self.fail(call, SLOW)

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if out := self._http2.output():
            self._socket.write(out)
            self._window.set()  # what was queued may have gone out
        if self._http2.ended:
            self._socket.close()


def _longer(since: float | None, now: float, seconds: float) -> bool:
    return since is not None and now - since > seconds
