"""Calls with a stream on either side: messages handed out as they are asked for."""

import asyncio
from collections.abc import AsyncIterator

from serving import grpc_wire
from serving.call import Streaming
from serving.fast_calls import CUT_SHORT, REQUEST_SECONDS, FastCall, Transport
from serving.faults import Fault, answered, fault_of
from serving.grpc_wire import PREFIX, Headers


class StreamingCall(FastCall):
    """
    Messages in, messages out; runs as one task.

    Bytes are kept as they came and become a message when the handler asks for one. Until then they
    count against the peer's window: a handler that takes its time holds no more than a window,
    however small the messages are.
    """

    def __init__(
        self,
        transport: Transport,
        stream_id: int,
        headers: Headers,
        timeout: bytes | None,
        streaming: Streaming,
    ) -> None:
        super().__init__(transport, stream_id, headers, timeout)
        self._held = bytearray()
        self._arrived = asyncio.Event()
        self._partial_since: float | None = self.opened
        self.working = asyncio.ensure_future(self._work(streaming))
        self.set_deadline()

    def receive(self, data: bytes, ended: bool) -> None:
        self.received += len(data)
        self.ended = ended
        if not self.transport.hold(self, len(data)):
            return
        self._held += data
        self._watch_first()
        self._arrived.set()

    def is_slow(self, now: float) -> bool:
        """The message that comes next, or the first, has been on its way for too long."""
        return self._partial_since is not None and now - self._partial_since > REQUEST_SECONDS

    def _watch_first(self) -> None:
        """Take note since when the first message of what is held has been waiting for its rest."""
        held = self._held
        whole = len(held) >= PREFIX and len(held) >= PREFIX + int.from_bytes(held[1:PREFIX])
        if whole or self.ended or not held:
            self._partial_since = None
        elif self._partial_since is None:
            self._partial_since = self.transport.now

    def _next(self) -> bytes | Fault | None:
        """The first message of what is held; None when it is not whole yet."""
        held, limit = self._held, self.transport.max_message_bytes
        size = PREFIX + int.from_bytes(held[1:PREFIX])
        if len(held) >= PREFIX and size - PREFIX > limit:
            return grpc_wire.too_large(limit)
        if len(held) < size:
            return CUT_SHORT if self.ended and held else None
        message = grpc_wire.open_message(held[0], bytes(held[PREFIX:size]), self.encoding, limit)
        del held[:size]
        self.transport.acknowledge(self, size)
        self.transport.release(self, size)
        self._watch_first()
        return message

    async def _requests(self) -> AsyncIterator[bytes]:
        while not self.over:
            message = self._next()
            if isinstance(message, Fault):
                self.transport.fail(self, message)  # cancels the task that this runs in
            elif message is not None:
                yield message
                await asyncio.sleep(0)  # a window holds many small ones: others have their turn
                continue
            elif self.ended:
                return
            self._arrived.clear()
            await self._arrived.wait()

    async def _work(self, streaming: Streaming) -> None:
        try:
            async for message in streaming.handle(self._requests(), self):
                await self.transport.send(self, answered(message))
        except (Exception, asyncio.CancelledError) as error:
            if not self.over:
                self.transport.fail(self, fault_of(error, self.method))
        else:
            self.transport.finish(self)
