"""The calls of one HTTP/2 connection: a message taken together, a handler run, an answer once."""

import asyncio
from functools import lru_cache
from typing import Protocol

from serving import grpc_wire
from serving.call import Call, Handler, Metadata, Status
from serving.deadlines import Deadlines
from serving.faults import Fault, answered, fault_of
from serving.grpc_wire import FLAG_AND_LENGTH, PREFIX, Headers

NOT_ONE = Fault(Status.UNIMPLEMENTED, "this method takes exactly one message")
CUT_SHORT = Fault(Status.INTERNAL, "the request ended within a message")
LATE = Fault(Status.DEADLINE_EXCEEDED, "the caller's deadline has passed")

REQUEST_SECONDS = 30.0
"""A message must be here so long after it began, and an answer must not stand still as long."""

timeout_seconds = lru_cache(maxsize=1_024)(grpc_wire.timeout_seconds)
"""Envoy sends one and the same value for ever."""

prefix_of = FLAG_AND_LENGTH.unpack_from


class Transport(Protocol):
    """What a call needs of its connection."""

    max_message_bytes: int
    peer: str
    deadlines: Deadlines
    now: float
    """When the bytes came that are being worked on; seconds of the loop's clock."""

    def answer(self, call: "FastCall", message: bytes) -> None: ...

    def fail(self, call: "FastCall", fault: Fault) -> None: ...

    def hold(self, call: "FastCall", size: int) -> bool:
        """Keep so many bytes more for a call; False when that failed it: they are too many."""
        ...

    def release(self, call: "FastCall", size: int) -> None:
        """So many bytes less are kept."""
        ...

    def acknowledge(self, call: "FastCall", size: int) -> None:
        """So many bytes of the call are taken: its caller may send as many more."""
        ...

    async def send(self, call: "FastCall", message: bytes) -> None:
        """Send one message of a stream; waits while the peer takes no more."""
        ...

    def finish(self, call: "FastCall") -> None: ...


class FastCall(Call):
    """
    What unary and streaming calls share; metadata is decoded only when it is asked for.

    What most calls never change is a class attribute: making a call is on the hot path.
    """

    ended = False
    """The caller has sent all it will send."""
    over = False
    """Answered, failed or gone: nothing more goes out."""
    started = False
    """The head of the answer is out: only trailers can end it."""
    received = 0
    """Bytes that are not acknowledged, and count against the connection's window."""
    holds = 0
    """Bytes that count against what the connection may hold."""
    working: "asyncio.Future[bytes] | asyncio.Task[None] | None" = None
    due_tick: int | None = None
    standing_still: tuple[int, float] | None = None
    """So many bytes of the answer have been waiting to go out since then."""

    def __init__(
        self, transport: Transport, stream_id: int, headers: Headers, timeout: bytes | None
    ) -> None:
        self.transport, self.stream_id, self.headers = transport, stream_id, headers
        self.timeout_seconds = timeout_seconds(timeout)
        self.peer = transport.peer
        self.opened = transport.now

    @property
    def metadata(self) -> Metadata:
        return grpc_wire.metadata(self.headers)

    @property
    def method(self) -> str:
        return dict(self.headers)[b":path"].decode("latin-1")

    @property
    def encoding(self) -> bytes | None:
        return dict(self.headers).get(b"grpc-encoding")

    def set_deadline(self) -> None:
        if self.timeout_seconds is not None:
            self.transport.deadlines.add(self, self.opened + self.timeout_seconds)

    def expire(self) -> None:
        """The deadline has come."""
        if not self.over:
            self.transport.fail(self, LATE)

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        self.over = True
        if self.due_tick is not None:
            self.transport.deadlines.drop(self)
        if self.working is not None:
            self.working.cancel()

    def stands_still(self, queued: int, now: float) -> bool:
        """
        Of an answer that is not out: none of its `queued` bytes has been taken for too long.

        To be asked regularly; the first time only takes note.
        """
        if self.standing_still is None or self.standing_still[0] != queued:
            self.standing_still = (queued, now)
        return now - self.standing_still[1] > REQUEST_SECONDS


class UnaryCall(FastCall):
    """One message in, one out."""

    held: bytearray | None = None
    """Bytes of a message that is not whole yet."""

    def __init__(
        self,
        transport: Transport,
        stream_id: int,
        headers: Headers,
        timeout: bytes | None,
        handler: Handler,
    ) -> None:
        super().__init__(transport, stream_id, headers, timeout)
        self.handler = handler

    def receive(self, data: bytes, ended: bool) -> None:
        size = len(data)
        self.received += size
        if (
            # Envoy sends a message whole, in one DATA frame with END_STREAM.
            ended
            and self.held is None
            and PREFIX <= size <= PREFIX + self.transport.max_message_bytes
            and prefix_of(data) == (0, size - PREFIX)
        ):
            self._run(data[PREFIX:])
            return
        self._collect(data, ended)

    def is_slow(self, now: float) -> bool:
        """Its message has been on its way for too long."""
        return not self.ended and now - self.opened > REQUEST_SECONDS

    def _collect(self, data: bytes, ended: bool) -> None:
        self.transport.acknowledge(self, len(data))
        if not self.transport.hold(self, len(data)):
            return
        held = self.held = bytearray() if self.held is None else self.held
        held += data
        self.ended = ended
        if fault := self._fault(held):
            self.transport.fail(self, fault)
        elif ended:
            message = grpc_wire.open_message(
                held[0], bytes(held[PREFIX:]), self.encoding, self.transport.max_message_bytes
            )
            self.held = None
            if isinstance(message, Fault):
                self.transport.fail(self, message)
            else:
                self._run(message)

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
        self.set_deadline()

    def _settle(self, future: "asyncio.Future[bytes]") -> None:
        try:
            reply = answered(future.result())
        except (Exception, asyncio.CancelledError) as error:
            if not self.over:
                self.transport.fail(self, fault_of(error, self.method))
        else:
            if not self.over:
                self.transport.answer(self, reply)
