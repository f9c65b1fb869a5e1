"""The calls of one HTTP/2 connection: a message taken together, a handler run, an answer once."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Protocol

from serving import grpc_wire
from serving.call import Call, Handler, Metadata, Status, Streaming
from serving.faults import Fault, answered, fault_of
from serving.grpc_wire import PREFIX, Headers

NOT_ONE = Fault(Status.UNIMPLEMENTED, "this method takes exactly one message")
CUT_SHORT = Fault(Status.INTERNAL, "the request ended within a message")
SLOW = Fault(Status.DEADLINE_EXCEEDED, "the request took too long to arrive")
LATE = Fault(Status.DEADLINE_EXCEEDED, "the caller's deadline has passed")

MAX_QUEUED_MESSAGES = 64
"""Messages of a stream that wait for their handler; more fail the stream."""

timeout_seconds = lru_cache(maxsize=1_024)(grpc_wire.timeout_seconds)
"""Envoy sends one and the same value for ever."""


class Transport(Protocol):
    """What a call needs of its connection."""

    max_message_bytes: int
    peer: str

    def answer(self, call: "UnaryCall", message: bytes) -> None: ...

    def fail(self, call: "FastCall", fault: Fault) -> None: ...

    def acknowledge(self, call: "FastCall", amount: int) -> None: ...

    def expire_later(self, call: "FastCall", seconds: float) -> None: ...

    async def send(self, call: "FastCall", message: bytes) -> None:
        """Send one message of a stream; waits while the peer takes no more."""
        ...

    def finish(self, call: "FastCall") -> None: ...


class FastCall(Call):
    """What unary and streaming calls share; metadata is decoded only when it is asked for."""

    __slots__ = (
        "encoding", "ended", "headers", "held", "opened", "over", "started", "stream_id",
        "transport", "working",
    )  # fmt: skip

    def __init__(
        self, transport: Transport, stream_id: int, headers: Headers, opened: float
    ) -> None:
        fields = dict(headers)
        self.transport, self.stream_id, self.headers = transport, stream_id, headers
        self.timeout_seconds = timeout_seconds(fields.get(b"grpc-timeout"))
        self.peer = transport.peer
        self.encoding = fields.get(b"grpc-encoding")
        self.opened = opened
        self.held: bytearray | None = None
        """Bytes of a message that is not whole yet."""
        self.ended = False
        """The caller has sent all it will send."""
        self.over = False
        """Answered, failed or gone: nothing more goes out."""
        self.started = False
        """The head of the answer is out: only trailers can end it."""
        self.working: asyncio.Future[bytes] | asyncio.Task[None] | None = None

    @property
    def metadata(self) -> Metadata:
        return grpc_wire.metadata(self.headers)

    @property
    def method(self) -> str:
        return dict(self.headers)[b":path"].decode("latin-1")

    def expire(self) -> None:
        """The deadline has come."""
        if not self.over:
            self.transport.fail(self, LATE)

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        self.over = True
        if self.working is not None:
            self.working.cancel()


class UnaryCall(FastCall):
    """One message in, one out."""

    __slots__ = ("handler",)
    handler: Handler

    def receive(self, data: bytes, ended: bool) -> None:
        held = self.held
        if held is None:
            # Envoy sends a message whole, in one DATA frame with END_STREAM.
            if ended and data[:1] == b"\0" and int.from_bytes(data[1:PREFIX]) == len(data) - PREFIX:
                self.transport.acknowledge(self, len(data))
                self._run(data[PREFIX:])
                return
            held = self.held = bytearray()
        held += data
        self.ended = ended
        if fault := self._fault(held):
            self.transport.fail(self, fault)
        elif ended:
            self.transport.acknowledge(self, len(held))
            limit = self.transport.max_message_bytes
            opened = grpc_wire.open_message(held[0], bytes(held[PREFIX:]), self.encoding, limit)
            if isinstance(opened, Fault):
                self.transport.fail(self, opened)
            else:
                self._run(opened)

    def _fault(self, held: bytearray) -> Fault | None:
        """Seen as soon as the length is known: what is too large is not collected first."""
        if len(held) < PREFIX:
            return (CUT_SHORT if held else NOT_ONE) if self.ended else None
        size = int.from_bytes(held[1:PREFIX])
        if size > self.transport.max_message_bytes:
            return grpc_wire.too_large(self.transport.max_message_bytes)
        if len(held) > PREFIX + size:
            return NOT_ONE
        return CUT_SHORT if self.ended and len(held) < PREFIX + size else None

    def _run(self, message: bytes) -> None:
        self.ended = True
        try:
            reply = self.handler(message, self)
            if not isinstance(reply, bytes):
                self._wait(asyncio.ensure_future(reply))
                return
        except Exception as error:
            self.transport.fail(self, fault_of(error, self.method))
        else:
            self.transport.answer(self, reply)

    def _wait(self, working: "asyncio.Future[bytes]") -> None:
        self.working = working
        working.add_done_callback(self._settle)
        if self.timeout_seconds is not None:
            self.transport.expire_later(self, self.timeout_seconds)

    def _settle(self, future: "asyncio.Future[bytes]") -> None:
        try:
            reply = answered(future.result())
        except (Exception, asyncio.CancelledError) as error:
            if not self.over:
                self.transport.fail(self, fault_of(error, self.method))
        else:
            if not self.over:
                self.transport.answer(self, reply)


class StreamingCall(FastCall):
    """Messages in, messages out; runs as one task."""

    __slots__ = ("_arrived", "_messages")

    def start(self, streaming: Streaming) -> None:
        self._messages: deque[tuple[bytes, int]] = deque()
        self._arrived = asyncio.Event()
        self.working = asyncio.ensure_future(self._work(streaming))
        if self.timeout_seconds is not None:
            self.transport.expire_later(self, self.timeout_seconds)

    def receive(self, data: bytes, ended: bool) -> None:
        held = self.held = bytearray() if self.held is None else self.held
        held += data
        self.ended = ended
        limit = self.transport.max_message_bytes
        while len(held) >= PREFIX:
            size = PREFIX + int.from_bytes(held[1:PREFIX])
            if size - PREFIX > limit or len(self._messages) >= MAX_QUEUED_MESSAGES:
                self.transport.fail(self, grpc_wire.too_large(limit))
                return
            if len(held) < size:
                break
            opened = grpc_wire.open_message(held[0], bytes(held[PREFIX:size]), self.encoding, limit)
            if isinstance(opened, Fault):
                self.transport.fail(self, opened)
                return
            self._messages.append((opened, size))
            del held[:size]
        if ended and held:
            self.transport.fail(self, CUT_SHORT)
        self._arrived.set()

    async def _requests(self) -> AsyncIterator[bytes]:
        while True:
            while self._messages:
                message, size = self._messages.popleft()
                # Only now: what the handler has not taken keeps the peer's window closed.
                self.transport.acknowledge(self, size)
                yield message
            if self.ended:
                return
            self._arrived.clear()
            await self._arrived.wait()

    async def _work(self, streaming: Streaming) -> None:
        try:
            async for message in streaming.handle(self._requests(), self):
                await self.transport.send(self, message)
        except Exception as error:
            if not self.over:
                self.transport.fail(self, fault_of(error, self.method))
        else:
            self.transport.finish(self)


def open_call(
    transport: Transport,
    stream_id: int,
    headers: Headers,
    method: Handler | Streaming,
    opened: float,
) -> UnaryCall | StreamingCall:
    """The call of a request whose headers are acceptable."""
    if isinstance(method, Streaming):
        streaming = StreamingCall(transport, stream_id, headers, opened)
        streaming.start(method)
        return streaming
    call = UnaryCall(transport, stream_id, headers, opened)
    call.handler = method
    return call
