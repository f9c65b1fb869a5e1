"""
HTTP/2, the server's side, without I/O: bytes in → calls on a `Sink`, answers → bytes out.

The frames, the header compression and the flow control are libnghttp2's, through ngh2; nothing
outside this file imports it. What libnghttp2 leaves to its user is here as well (RFC 9113 section
10.5): PING, SETTINGS, WINDOW_UPDATE and tiny DATA frames cost a token each of a budget that
answered calls refill, input is taken in slices so that no queue of acknowledgements piles up, and
a connection that libnghttp2 has given up really ends.

The receive window is ours to reopen (`auto_window_update` would make it meaningless): bytes of a
call are acknowledged when the call is over, so what peers can make us hold is bounded by the
connection's window.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import ngh2

from serving.budget import Budget

Headers = tuple[tuple[bytes, bytes], ...]

SLICE = 8_192
"""libnghttp2 ends a connection whose unsent acknowledgements pass a thousand; a slice of this
size holds fewer, and its answers are taken out before the next one goes in."""

CALM = b"\0\0\x08\x07\0\0\0\0\0\x7f\xff\xff\xff\0\0\0\x0b"
"""GOAWAY(2^31-1, ENHANCE_YOUR_CALM): what we send when libnghttp2 can send no more."""

NO_ERROR = 0


@dataclass(frozen=True, slots=True)
class Http2Limits:
    """What one connection may take."""

    max_concurrent_streams: int = 1_024
    """Envoy opens another connection when its calls in flight reach this."""
    max_message_bytes: int = 4 << 20
    max_header_list_bytes: int = 16_384
    glitch_burst: int = 1_000
    glitch_per_second: int = 200


class Sink(Protocol):
    """What happens on the streams of a connection."""

    def on_request(self, stream_id: int, headers: Headers, ended: bool) -> None: ...

    def on_data(self, stream_id: int, data: bytes, ended: bool) -> None: ...

    def on_trailers(self, stream_id: int) -> None:
        """The request ended with trailers."""
        ...

    def on_closed(self, stream_id: int) -> None:
        """The stream is over: answered, reset, or refused."""
        ...

    def on_window(self) -> None:
        """The peer takes more data than before."""
        ...


class Http2:
    """
    One connection.

    Args:
        limits: what it may take.
        sink: told what happens on its streams, from within `receive`.
        now: seconds of a steady clock.
    """

    def __init__(self, limits: Http2Limits, sink: Sink, now: float) -> None:
        self._sink = sink
        self._budget = Budget(limits.glitch_burst, limits.glitch_per_second, now)
        self._core = ngh2.Connection(
            ngh2.Role.SERVER,
            ngh2.Configuration(
                auto_window_update=False,
                glitch_rate_limit=(limits.glitch_burst, limits.glitch_per_second),
                stream_reset_rate_limit=(limits.glitch_burst, 50),
                max_inbound_header_list_size=limits.max_header_list_bytes,
                max_inbound_header_count=128,
            ),
        )
        # A stream's window is larger than the largest message with its prefix: a message over the
        # limit is then seen and refused instead of standing still until its deadline.
        window = limits.max_message_bytes + 65_536
        self._core.initiate_connection(
            {
                ngh2.Setting.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams,
                ngh2.Setting.INITIAL_WINDOW_SIZE: window,
                ngh2.Setting.MAX_HEADER_LIST_SIZE: limits.max_header_list_bytes,
            }
        )
        self._core.set_local_window_size(window)
        self._ready: list[bytes] = []
        self.ended = False
        """True when nothing more will come: send what is left and close the socket."""
        self.greeted = False
        """True once the peer's SETTINGS are here."""
        self.silent_since: float | None = None
        """Since when bytes have come without completing anything: a dripped header block."""

    def receive(self, data: bytes, now: float) -> bytes:
        """
        Take bytes from the peer, tell the sink, and return what must go out before more comes in.

        Never raises for what a peer sends: a broken connection has `ended`.
        """
        if len(data) <= SLICE:
            self._feed(data, now)
            return b""
        out = []
        for start in range(0, len(data), SLICE):
            self._feed(data[start : start + SLICE], now)
            out.append(self.output())
            if self.ended:
                break
        return b"".join(out)

    def output(self) -> bytes:
        """The bytes that are ready to go out."""
        ready, self._ready = self._ready, []
        if not self.ended:
            try:
                ready.append(self._core.data_to_send())
            except ngh2.NGH2Error:
                self._give_up()
                return CALM
            self.ended = not self._core.want_read and not self._core.want_write
        return ready[0] if len(ready) == 1 else b"".join(ready)

    def _feed(self, data: bytes, now: float) -> None:
        try:
            self._core.receive_data(data)
            events = self._core.events()
        except ngh2.NGH2Error:
            # The state of libnghttp2 may be past sending its own GOAWAY.
            self._give_up()
            return
        if events:
            self.silent_since = None
            self._dispatch(events, now)
        elif self.silent_since is None:
            self.silent_since = now

    def _dispatch(self, events: Iterable[ngh2.Event], now: float) -> None:
        sink = self._sink
        cost = 0.0
        for event in events:
            if isinstance(event, ngh2.DataReceived):
                if len(event.data) < 5 and not event.end_stream:
                    cost += 1
                sink.on_data(event.stream_id, event.data, event.end_stream)
            elif isinstance(event, ngh2.RequestReceived):
                sink.on_request(event.stream_id, event.headers, event.end_stream)
            elif isinstance(event, ngh2.StreamClosed):
                if event.error_code:
                    cost += 1
                else:
                    self._budget.earn(0.3)
                sink.on_closed(event.stream_id)
            else:
                cost += self._control(event)
        if cost and not self._budget.charge(cost, now):
            self._give_up()

    def _control(self, event: ngh2.Event) -> float:
        """What is not a call; returns its price."""
        if isinstance(event, ngh2.WindowUpdated):
            self._sink.on_window()
            return 0.1  # grpc clients send one or two a call
        if isinstance(event, ngh2.TrailersReceived):
            self._sink.on_trailers(event.stream_id)
            return 0
        if isinstance(event, ngh2.SettingsReceived):
            self.greeted = True
            self._sink.on_window()
        return 1

    def _give_up(self) -> None:
        self._ready, self.ended = [CALM], True

    def respond(self, stream_id: int, head: Headers, data: bytes, trailers: Headers) -> None:
        """A whole answer. A stream that is gone meanwhile is no fault."""
        core = self._core
        try:
            core.send_response(stream_id, head)
            core.send_data(stream_id, data)
            core.send_trailers(stream_id, trailers)
        except ngh2.NGH2Error:
            return

    def send_head(self, stream_id: int, head: Headers) -> None:
        with suppress(ngh2.NGH2Error):
            self._core.send_response(stream_id, head)

    def send_data(self, stream_id: int, data: bytes) -> None:
        with suppress(ngh2.NGH2Error):
            self._core.send_data(stream_id, data)

    def queued_bytes(self, stream_id: int | None = None) -> int:
        """Bytes of a stream, or of all, that wait for the peer to take them."""
        try:
            return self._core.queued_body_size(stream_id)
        except ngh2.NGH2Error:
            return 0

    def finish(self, stream_id: int, trailers: Headers) -> None:
        with suppress(ngh2.NGH2Error):
            self._core.send_trailers(stream_id, trailers)

    def refuse(self, stream_id: int, headers: Headers, *, request_ended: bool) -> None:
        """
        Answer with headers alone, and tell a peer that is still sending to stop.

        RST_STREAM(NO_ERROR) after a complete answer is RFC 9113 section 8.1; libnghttp2 would drop
        an answer that is still queued when the reset is asked for, so it is taken out first.
        """
        with suppress(ngh2.NGH2Error):
            self._core.send_response(stream_id, headers, end_stream=True)
            if not request_ended:
                self._ready.append(self._core.data_to_send())
                self._core.reset_stream(stream_id, NO_ERROR)

    def reset(self, stream_id: int, error_code: int) -> None:
        with suppress(ngh2.NGH2Error):
            self._core.reset_stream(stream_id, error_code)

    def acknowledge(self, stream_id: int, amount: int) -> None:
        """Reopen the windows by bytes of a call that is over."""
        with suppress(ngh2.NGH2Error):
            self._core.acknowledge_received_data(amount, stream_id)

    def announce_shutdown(self) -> None:
        """
        GOAWAY(2^31-1, NO_ERROR): the only recipe that loses no request.

        The peer opens no further streams here, and those it has opened meanwhile are answered.
        """
        with suppress(ngh2.NGH2Error):
            self._core.send_shutdown_notice()

    def shut_down(self) -> None:
        """
        GOAWAY with the last stream that was taken; the connection has `ended` once it is answered.

        Not `terminate_connection`, which is for errors: it ends the open streams as well.
        """
        with suppress(ngh2.NGH2Error):
            self._core.send_goaway(NO_ERROR)
