"""The streams of one connection: requests become calls, what calls answer becomes HTTP/2."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from serving.call import Handler, Status, Streaming
from serving.deadlines import Deadlines
from serving.fast_calls import FastCall, UnaryCall
from serving.fast_streams import StreamingCall
from serving.faults import Fault
from serving.grpc_wire import (
    GRPC,
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
from serving.http2 import Http2
from serving.http2_errors import CANCEL
from serving.http2_limits import Http2Limits

MAX_QUEUED_BYTES = 65_536
"""A streaming answer waits once so many of its bytes wait for the peer's window."""
MAX_QUEUED_BYTES_OF_ALL = 1 << 20
"""All streaming answers of a connection wait once so many bytes of them do."""

SLOW = Fault(Status.DEADLINE_EXCEEDED, "the request took too long to arrive")
TOO_MUCH = Fault(Status.RESOURCE_EXHAUSTED, "the connection's unfinished calls hold too many bytes")


class Served(Protocol):
    """What an engine serves, and within which limits."""

    methods: dict[bytes, Handler | Streaming]
    limits: Http2Limits
    deadlines: Deadlines


class Dispatch:
    """
    The `Sink` of a connection's HTTP/2 and the `Transport` of its calls.

    Args:
        served: the methods and the limits.
        peer: the caller's address, for logs.
        now: seconds of the loop's clock.
        flush: asked to send, soon, what `http2` has ready; not asked while `flushing`.
    """

    def __init__(self, served: Served, peer: str, now: float, flush: Callable[[], None]) -> None:
        self._methods = served.methods
        self._flush = flush
        self.max_message_bytes = served.limits.max_message_bytes
        self.deadlines = served.deadlines
        self.peer, self.now = peer, now
        self.http2 = Http2(served.limits, self, now)
        self.calls: dict[int, UnaryCall | StreamingCall] = {}
        """By stream; one leaves when its stream is closed, not when it is answered."""
        self._held, self._max_held = 0, served.limits.held_bytes
        self.flushing = False
        self.paused = False
        """The peer's socket takes no more for now."""
        self._room = asyncio.Event()
        """Set when more may go out than before."""

    def on_request(self, stream_id: int, headers: Headers, ended: bool) -> None:
        fields = dict(headers)
        method = self._methods.get(fields.get(b":path", b""))
        content_type = fields.get(b"content-type")
        if (
            method is None
            or fields[b":method"] != b"POST"
            or (content_type != GRPC and not is_grpc(content_type))
        ):
            self.http2.refuse(stream_id, _refusal(fields), request_ended=ended)
            return
        timeout = fields.get(b"grpc-timeout")
        call: UnaryCall | StreamingCall
        if isinstance(method, Streaming):
            call = StreamingCall(self, stream_id, headers, timeout, method)
        else:
            call = UnaryCall(self, stream_id, headers, timeout, method)
        self.calls[stream_id] = call
        if ended:
            call.receive(b"", True)

    def on_data(self, stream_id: int, data: bytes, ended: bool) -> None:
        call = self.calls.get(stream_id)
        if call is None or call.over:
            self.http2.acknowledge(stream_id, len(data))
        else:
            call.receive(data, ended)

    def on_trailers(self, stream_id: int) -> None:
        self.on_data(stream_id, b"", True)

    def on_closed(self, stream_id: int) -> None:
        call = self.calls.pop(stream_id, None)
        if call is not None and not call.over:
            self._drop(call)

    def on_window(self) -> None:
        self._room.set()

    def answer(self, call: FastCall, message: bytes) -> None:
        call.over = True
        if call.due_tick is not None:
            self.deadlines.drop(call)
        if call.holds:
            self.release(call, call.holds)
        self.http2.send(call.stream_id, HEAD, framed(message), OK, call.received)
        if not self.flushing:
            self._flush()

    def fail(self, call: FastCall, fault: Fault) -> None:
        stream_id, status, message = call.stream_id, fault.status, fault.message
        self._drop(call)
        if call.started:
            self.http2.send(stream_id, None, b"", trailers(status, message))
        else:
            refusal = trailers_only(status, message)
            self.http2.refuse(stream_id, refusal, request_ended=call.ended)
        self._flush()

    def _drop(self, call: FastCall) -> None:
        """Nobody waits for the answer, or it is another than the handler's."""
        call.cancel()
        self.release(call, call.holds)
        self.http2.acknowledge(call.stream_id, call.received)

    def acknowledge(self, call: FastCall, size: int) -> None:
        call.received -= size
        self.http2.acknowledge(call.stream_id, size)
        self._flush()

    def hold(self, call: FastCall, size: int) -> bool:
        call.holds += size
        self._held += size
        if self._held <= self._max_held:
            return True
        self.fail(call, TOO_MUCH)
        return False

    def release(self, call: FastCall, size: int) -> None:
        call.holds -= size
        self._held -= size

    async def send(self, call: FastCall, message: bytes) -> None:
        if call.over:
            return
        self.http2.send(call.stream_id, None if call.started else HEAD, framed(message), None)
        call.started = True
        self._flush()
        while not call.over and self._is_full(call.stream_id):
            self._room.clear()
            await self._room.wait()

    def _is_full(self, stream_id: int) -> bool:
        """The peer's window or its socket takes no more for now."""
        return (
            self.paused
            or self.http2.queued_bytes(stream_id) > MAX_QUEUED_BYTES
            or self.http2.queued_bytes() > MAX_QUEUED_BYTES_OF_ALL
        )

    def make_room(self) -> None:
        """More may go out than before."""
        self._room.set()

    def finish(self, call: FastCall) -> None:
        if call.over:
            return
        call.over = True
        self.deadlines.drop(call)
        self.release(call, call.holds)
        head = None if call.started else HEAD
        self.http2.send(call.stream_id, head, b"", OK, call.received)
        self._flush()

    def sweep(self, now: float) -> None:
        """Now and then: end the calls whose peer keeps us waiting."""
        for call in list(self.calls.values()):
            queued = self.http2.queued_bytes(call.stream_id)
            if (call.over or queued) and call.stands_still(queued, now):
                self._drop(call)
                self.http2.reset(call.stream_id, CANCEL)
                self._flush()
            elif not call.over and call.is_slow(now):
                self.fail(call, SLOW)

    def loses_window(self) -> bool:
        """Bytes that nobody holds keep the connection's window closed; it is to be left."""
        held = any(call.received for call in self.calls.values() if not call.over)
        return not held and self.http2.mend_window()

    def cancel(self) -> None:
        """The connection is gone, and whoever waited for answers with it."""
        for call in self.calls.values():
            self._drop(call)
        self.calls.clear()
        self._room.set()


def _refusal(fields: dict[bytes, bytes]) -> Headers:
    """Why a request is no call of a method that is served here."""
    if fields[b":method"] != b"POST":
        return NOT_POST
    if not is_grpc(fields.get(b"content-type")):
        return NOT_GRPC
    return trailers_only(Status.UNIMPLEMENTED, "unknown method")
