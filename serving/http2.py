"""
HTTP/2, the server's side, without I/O: bytes in → calls on a `Sink`, answers → bytes out.

The frames, the header compression and the flow control are libnghttp2's, through ngh2; nothing
outside this file imports it. What libnghttp2 leaves to its user is here as well (RFC 9113 section
10.5): resets, PING, SETTINGS, WINDOW_UPDATE and tiny DATA frames cost a token each of a budget
that answered calls refill, input is taken in slices so that no queue of acknowledgements piles
up, and a connection that libnghttp2 has given up really ends.

The receive windows are ours to reopen (`auto_window_update` would make them meaningless): whoever
takes DATA acknowledges it when it no longer minds more of it.
"""

from collections.abc import Iterable
from contextlib import suppress

import ngh2
from ngh2 import DataReceived, RequestReceived, StreamClosed

from serving.budget import Budget
from serving.http2_errors import CALM, INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR, goaway
from serving.http2_limits import (
    CALL_EARNS,
    SILENT_BYTES,
    SLICE,
    TINY,
    WINDOW_UPDATE_COSTS,
    Http2Limits,
)
from serving.http2_sink import Headers, Sink

FAULTS = (ngh2.NGH2Error, ValueError)
"""What ngh2 raises when a stream or the connection is gone meanwhile: no fault of the call's."""

BREAKS: dict[type[Exception], int] = {
    ngh2.DenialOfServiceError: CALM,
    ngh2.ConnectionProtocolError: PROTOCOL_ERROR,
}
"""What ends a connection by the peer's fault."""


class Http2:
    """
    One connection.

    Args:
        limits: what it may take.
        sink: told what happens on its streams, from within `receive` and `output`.
        now: seconds of a steady clock.
    """

    def __init__(self, limits: Http2Limits, sink: Sink, now: float) -> None:
        self._sink = sink
        self._budget = Budget(limits.glitch_burst, limits.glitch_per_second, now)
        self._core = _core(limits)
        self._window_bytes = limits.window_bytes
        self._max_silent_bytes = limits.window_bytes + SILENT_BYTES
        self._ready: list[bytes] = []
        self._now = now
        self._silent_bytes = 0
        self._reset_by_peer = 0
        self.ended = False
        """True when nothing more will come: send what is left and close the socket."""
        self.fault: int | None = None
        """With which error code we ended it."""
        self.greeted = False
        """True once the peer's SETTINGS are here."""
        self.silent_since: float | None = None
        """Since when bytes have come without completing anything: a dripped header block."""
        self.asked_since: float | None = None
        """Since when a PING of ours has been waiting for its answer."""

    def receive(self, data: bytes, now: float) -> bytes:
        """Take bytes, tell the sink, and return what must go out before more comes in."""
        self._now = now
        if len(data) <= SLICE:
            self._feed(data)
            return b""
        out, view = [], memoryview(data)
        for start in range(0, len(data), SLICE):
            self._feed(view[start : start + SLICE])
            out.append(self.output())
            if self.ended:
                break
        return b"".join(out)

    def output(self) -> bytes:
        """The bytes that are ready to go out."""
        if not self.ended:
            self._collect()
        ready, self._ready = self._ready, []
        return ready[0] if len(ready) == 1 else b"".join(ready)

    def _collect(self) -> None:
        core = self._core
        try:
            self._ready.append(core.data_to_send())
            events = core.events()
            self.ended = not core.want_read and not core.want_write
        except FAULTS as error:
            self._break(error)
            return
        if events:
            self._dispatch(events)
            if not self.ended and core.want_write:
                self._ready.append(core.data_to_send())  # windows that ended calls have reopened

    def _feed(self, data: bytes | memoryview) -> None:
        if self.ended:
            return
        try:
            self._core.receive_data(data)
            events = self._core.events()
        except FAULTS as error:
            self._break(error)
            return
        if events:
            self.silent_since = None
            self._silent_bytes = 0
            self._dispatch(events)
        else:
            self._hear_nothing(len(data))

    def _hear_nothing(self, size: int) -> None:
        """
        Part of a frame, or frames on streams that are gone: libnghttp2 tells nothing of those.

        A window full of DATA may honestly be on its way to a stream that we have just ended.
        """
        if self.silent_since is None:
            self.silent_since = self._now
        self._silent_bytes += size
        if self._silent_bytes > self._max_silent_bytes:
            self._give_up(CALM)

    def _dispatch(self, events: Iterable[ngh2.Event]) -> None:
        sink = self._sink
        cost = 0.0
        for event in events:
            if isinstance(event, DataReceived):
                data, ended = event.data, event.end_stream
                cost += len(data) < TINY and not ended
                sink.on_data(event.stream_id, data, ended)
            elif isinstance(event, RequestReceived):
                sink.on_request(event.stream_id, event.headers, event.end_stream)
            elif isinstance(event, StreamClosed):
                if not event.error_code:
                    cost -= CALL_EARNS
                elif event.stream_id != self._reset_by_peer:
                    cost += 1  # a reset that the peer made us send
                sink.on_closed(event.stream_id)
            else:
                cost += self._control(event)
        if cost and not self._budget.charge(cost, self._now) and not self.ended:
            self._give_up(CALM)

    def _control(self, event: ngh2.Event) -> float:
        """What is not a call; returns its price."""
        match event:
            case ngh2.WindowUpdated():
                self._sink.on_window()
                return WINDOW_UPDATE_COSTS
            case ngh2.TrailersReceived():
                self._sink.on_trailers(event.stream_id)
                return 0
            case ngh2.StreamReset():
                self._reset_by_peer = event.stream_id
                return 1 if event.error_code else 1 + CALL_EARNS  # its end will look like an answer
            case ngh2.SettingsReceived():
                self.greeted = True
                self._sink.on_window()
            case ngh2.PingAcknowledged():
                self.asked_since = None
            case ngh2.GoAwayReceived():
                self.shut_down()
            case ngh2.ConnectionClosed():
                self.fault = event.error_code or None
                return 0
            case _:
                pass  # PING, another acknowledgement of SETTINGS, PRIORITY_UPDATE
        return 1

    def _break(self, error: Exception) -> None:
        """The state of libnghttp2 may be past sending its own GOAWAY."""
        self._give_up(BREAKS.get(type(error), INTERNAL_ERROR))

    def _give_up(self, error_code: int) -> None:
        self._ready.append(goaway(error_code))
        self.ended, self.fault = True, error_code

    def send(
        self,
        stream_id: int,
        head: Headers | None,
        data: bytes,
        trailers: Headers | None,
        received: int = 0,
    ) -> None:
        """
        An answer or its next part: what of it there is. Trailers end it.

        As many bytes of its call as were `received` no longer count against the windows.
        """
        core = self._core
        try:
            if received:
                core.acknowledge_received_data(received, stream_id)
            if head is not None:
                core.send_response(stream_id, head)
            if data:
                core.send_data(stream_id, data)
            if trailers is not None:
                core.send_trailers(stream_id, trailers)
        except FAULTS:
            return

    def queued_bytes(self, stream_id: int | None = None) -> int:
        """Bytes of a stream, or of all, that wait for the peer to take them."""
        return self._core.queued_body_size(stream_id)

    def refuse(self, stream_id: int, headers: Headers, *, request_ended: bool) -> None:
        """
        Answer with headers alone, and tell a peer that is still sending to stop.

        RST_STREAM(NO_ERROR) after a complete answer is RFC 9113 section 8.1; libnghttp2 would drop
        an answer that is still queued when the reset is asked for, so it is taken out first.
        """
        with suppress(*FAULTS):
            self._core.send_response(stream_id, headers, end_stream=True)
            if not request_ended:
                self._ready.append(self._core.data_to_send())
                self._core.reset_stream(stream_id, NO_ERROR)

    def reset(self, stream_id: int, error_code: int) -> None:
        with suppress(*FAULTS):
            self._core.reset_stream(stream_id, error_code)

    def acknowledge(self, stream_id: int, amount: int) -> None:
        """Reopen the windows by bytes that were taken."""
        with suppress(*FAULTS):
            self._core.acknowledge_received_data(amount, stream_id)

    def mend_window(self) -> bool:
        """
        To be asked now and then, while all DATA is acknowledged; False when all is well.

        Of a stream that ends within a DATA frame, ngh2 forgets the part that was here, and nobody
        can acknowledge it. libnghttp2 reopens the window at half: where less is left, bytes were
        lost, and in the end the peer would wait for ever. The window is opened by as much, once:
        the peer should use another connection.
        """
        with suppress(*FAULTS):
            lost = self._window_bytes // 2 - self._core.local_window_size
            if lost > 0:
                self._core.set_local_window_size(self._window_bytes + lost)
                return True
        return False

    def ping(self, now: float) -> None:
        """Ask for a sign of life; `asked_since` tells until when it has not come."""
        self.asked_since = now
        with suppress(*FAULTS):
            self._core.ping()

    def announce_shutdown(self) -> None:
        """GOAWAY(2^31-1): the peer is to open no more streams; those it just opened are served."""
        with suppress(*FAULTS):
            self._core.send_shutdown_notice()

    def shut_down(self) -> None:
        """GOAWAY with the last stream that was taken; when it is answered, we have `ended`."""
        with suppress(*FAULTS):  # terminate_connection is for errors: it ends open streams as well
            self._core.send_goaway(NO_ERROR)


def _core(limits: Http2Limits) -> ngh2.Connection:
    core = ngh2.Connection(
        ngh2.Role.SERVER,
        ngh2.Configuration(
            auto_window_update=False,
            glitch_rate_limit=(limits.glitch_burst, limits.glitch_per_second),
            # Off: it knows nothing of the calls that a peer did wait for. Our budget does.
            stream_reset_rate_limit=(1 << 32, 1 << 32),
            max_inbound_header_list_size=limits.max_header_list_bytes,
            max_inbound_header_count=128,
        ),
    )
    core.initiate_connection(
        {
            ngh2.Setting.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams,
            ngh2.Setting.INITIAL_WINDOW_SIZE: limits.stream_window_bytes,
            ngh2.Setting.MAX_HEADER_LIST_SIZE: limits.max_header_list_bytes,
        }
    )
    core.set_local_window_size(limits.window_bytes)
    return core
