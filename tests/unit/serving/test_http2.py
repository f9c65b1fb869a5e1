"""HTTP/2 without I/O: octets in, what the sink is told, octets out."""

import ngh2
import pytest

from serving.http2 import SLICE
from serving.http2_limits import Http2Limits
from tests.http2_frames import (
    HELLO,
    PREFACE,
    call,
    data,
    frame,
    headers,
    message,
    ping,
    reset,
    settings,
)
from tests.http2_told import HEAD, OK, REFUSED, Told


def test_it_begins_with_its_settings_and_its_window() -> None:
    limits = Http2Limits(max_concurrent_streams=7, max_message_bytes=1_000)
    told = Told(limits, greet=False)
    first, second = told.answers.frames
    assert first.type == "SETTINGS"
    assert first.payload == settings({3: 7, 4: 66_536, 6: 16_384})[9:]
    assert second == (
        "WINDOW_UPDATE", 0, 0, (3_000 + 66_536 - 65_535).to_bytes(4, "big")
    )  # fmt: skip
    assert not told.http2.greeted


@pytest.mark.parametrize("size", [0, 1, 4 << 20, 600 << 20, (1 << 31) - 1, 1 << 40])
def test_windows_fit_for_any_size_of_messages(size: int) -> None:
    told = Told(Http2Limits(max_message_bytes=size))
    told.receive(call(1))
    assert told.requests == [(1, False)]
    first, update, *_ = told.answers.frames
    stream_window = int.from_bytes(first.payload[8:12])
    assert min(size + 5, (1 << 31) - 1) <= stream_window < 1 << 31
    assert stream_window <= 65_535 + int.from_bytes(update.payload) < 1 << 31


def test_the_sink_is_told_of_a_call_from_its_beginning_to_its_end() -> None:
    told = Told()
    assert told.http2.greeted
    told.receive(headers(1) + data(1, b"12345", 0) + data(1, b"6"))
    assert told.requests == [(1, False)]
    assert told.data == [(1, b"12345", False), (1, b"6", True)]
    told.http2.send(1, HEAD, b"answer", OK, received=6)
    assert told.closed == []
    told.take()
    assert told.answers.status(1) == "200/0"
    assert told.answers.bodies == {1: b"answer"}
    assert told.closed == [1]  # at once, and not when the peer sends next


def test_trailers_end_a_request() -> None:
    told = Told()
    told.receive(headers(1) + headers(1, [(b"x", b"y")], flags=5))
    assert told.trailers == [1]


def test_an_answer_in_parts() -> None:
    told = Told()
    told.receive(call(1))
    told.http2.send(1, HEAD, b"one", None)
    assert [got.type for got in told.take()] == ["HEADERS", "DATA"]
    told.http2.send(1, None, b"two", None)
    told.http2.send(1, None, b"", OK)
    told.take()
    assert told.answers.bodies == {1: b"onetwo"}
    assert told.answers.status(1) == "200/0"


def test_much_at_once_is_answered_slice_by_slice() -> None:
    told = Told()
    pings = b"".join(ping(n.to_bytes(8, "big")) for n in range(900))
    early = told.http2.receive(pings, 0.0)
    assert len(pings) > SLICE
    assert len(told.answers.take(early)) == 900
    assert told.take() == []
    assert told.http2.receive(ping(), 0.0) == b""
    assert len(told.take()) == 1


@pytest.mark.parametrize("octets", [frame(0x10, 0, b"\0\0\0\1u=1"), settings(flags=1), b""])
def test_what_means_nothing_to_a_call_tells_the_sink_nothing(octets: bytes) -> None:
    told = Told()
    told.receive(octets)
    assert (told.requests, told.data, told.closed, told.http2.ended) == ([], [], [], False)


def test_nothing_is_taken_after_the_end_and_nothing_said() -> None:
    told = Told()
    told.receive(frame("PING", 1, bytes(8)))
    assert told.answers.goaways() == ["PROTOCOL_ERROR"]
    assert told.http2.ended
    assert told.http2.fault == 1
    assert told.receive(call(1) + ping() * 1_000) == []
    assert told.requests == []


@pytest.mark.parametrize(
    ("octets", "error"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 1),
        (PREFACE + ping(), 1),
        (HELLO + frame("CONTINUATION", 1), 1),
        (HELLO + headers(1, x="a" * 16_200), 11),
        (HELLO + headers(1, flags=0) + frame("CONTINUATION", 1) * 9, 11),
        (HELLO + headers(1, b"\x80"), 9),
        (HELLO + ping() * 1_100, 11),
    ],
)
def test_what_a_peer_breaks_is_named_in_the_last_frame(octets: bytes, error: int) -> None:
    told = Told(greet=False)
    told.receive(octets)
    assert told.http2.ended
    assert told.http2.fault == error
    last = told.answers.frames[-1]
    assert (last.type, last.payload[4:8]) == ("GOAWAY", error.to_bytes(4, "big"))
    assert told.answers.whole


@pytest.mark.parametrize("octet", [b"X", HELLO])
def test_the_end_in_the_first_of_many_slices_is_the_end(octet: bytes) -> None:
    told = Told(greet=octet != HELLO)
    told.receive(frame("PING", 1, bytes(8)) + octet * 30_000)
    assert len(told.answers.goaways()) == 1


class Failing:
    """A libnghttp2 that has failed."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def receive_data(self, _: bytes) -> None:
        raise self._error

    def data_to_send(self) -> bytes:
        raise self._error


@pytest.mark.parametrize("octets", [b"", HELLO])
@pytest.mark.parametrize(
    ("error", "code"),
    [(ngh2.InternalError(), 2), (ValueError(), 2), (ngh2.DenialOfServiceError(), 11)],
)
def test_a_failure_of_the_library_ends_the_connection(
    octets: bytes, error: Exception, code: int
) -> None:
    told = Told()
    told.http2._core = Failing(error)  # type: ignore[assignment] - it has no switch for this
    if octets:
        told.http2.receive(octets, 0.0)
    told.take()
    assert told.http2.ended
    assert told.http2.fault == code
    assert told.answers.frames[-1].payload[4:8] == code.to_bytes(4, "big")


def test_answers_to_streams_that_are_gone_are_no_faults() -> None:
    told = Told()
    told.receive(call(1) + reset(1))
    assert told.closed == [1]
    http2 = told.http2
    http2.send(1, HEAD, b"late", OK, received=5)
    http2.refuse(1, REFUSED, request_ended=True)
    http2.reset(1, 8)
    http2.acknowledge(1, 5)
    http2.acknowledge(1, 500)
    assert http2.queued_bytes(1) == 0
    assert [got for got in told.take() if got.type in ("HEADERS", "DATA")] == []
    told.receive(call(3))
    assert told.requests == [(1, False), (3, False)]


def test_after_the_end_everything_is_silent() -> None:
    told = Told()
    told.receive(call(1) + b"\0\0\0\x09\0\0\0\0\0")
    http2 = told.http2
    assert http2.ended
    http2.send(1, HEAD, b"late", OK, received=5)
    http2.refuse(1, REFUSED, request_ended=False)
    http2.reset(1, 8)
    http2.ping(1.0)
    http2.mend_window()
    http2.announce_shutdown()
    http2.shut_down()
    assert told.take() == []


@pytest.mark.parametrize("ended", [True, False])
def test_a_refusal_is_whole_before_the_peer_is_told_to_stop(ended: bool) -> None:
    told = Told()
    told.receive(headers(1, flags=5 if ended else 4))
    told.http2.refuse(1, REFUSED, request_ended=ended)
    kinds = [got.type for got in told.take()]
    assert kinds == ["HEADERS"] if ended else ["HEADERS", "RST_STREAM"]
    assert told.answers.status(1) == "200/12"
    assert told.answers.resets() == ({} if ended else {1: "NO_ERROR"})
    assert told.closed == [1]


def test_a_ping_of_ours_waits_for_its_answer() -> None:
    told = Told()
    told.http2.ping(5.0)
    assert told.http2.asked_since == 5.0
    (asked,) = told.take()
    assert (asked.type, asked.flags) == ("PING", 0)
    told.receive(ping(asked.payload, flags=1))
    assert told.http2.asked_since is None


def test_a_notice_lets_the_peer_open_streams_and_a_shutdown_does_not() -> None:
    told = Told()
    told.receive(headers(1))
    told.http2.announce_shutdown()
    (notice,) = told.take()
    assert notice.payload == b"\x7f\xff\xff\xff\0\0\0\0"
    told.receive(headers(3))
    told.http2.shut_down()
    (last,) = told.take()
    assert last.payload == b"\0\0\0\3\0\0\0\0"
    told.receive(headers(5))
    assert [stream for stream, _ in told.requests] == [1, 3]
    for stream in (1, 3):
        assert not told.http2.ended
        told.receive(data(stream, message()))
        told.http2.send(stream, HEAD, b"", OK, received=5)
        told.take()
    assert told.http2.ended
    assert told.http2.fault is None
    assert told.answers.status(3) == "200/0"


def test_a_peer_that_leaves_is_answered_and_told_goodbye() -> None:
    told = Told()
    told.receive(call(1) + frame("GOAWAY", 0, bytes(8)))
    assert not told.http2.ended
    told.http2.send(1, HEAD, b"", OK, received=5)
    told.take()
    assert told.http2.ended
    assert told.answers.goaways() == ["NO_ERROR"]
    assert told.answers.status(1) == "200/0"
