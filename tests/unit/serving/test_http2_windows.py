"""Windows and budgets of HTTP/2 without I/O: what may come, what waits, what is mended."""

from serving.http2_limits import Http2Limits
from tests.http2_frames import (
    PREFACE,
    call,
    data,
    headers,
    message,
    ping,
    reset,
    settings,
    window_update,
)
from tests.http2_told import HEAD, OK, REFUSED, Told


def test_queued_bytes_are_those_that_wait_for_a_window() -> None:
    told = Told(greet=False)
    told.receive(PREFACE + settings({4: 10}))
    told.receive(call(1) + call(3))
    for stream in (1, 3):
        told.http2.send(stream, HEAD, bytes(15), OK)
    told.take()
    assert told.http2.queued_bytes() == 10
    assert told.http2.queued_bytes(1) == 5
    before = told.windows
    told.receive(window_update(1, 5))
    assert told.windows == before + 1
    assert told.http2.queued_bytes(1) == 0
    assert told.answers.ended(1)


def test_a_window_is_reopened_when_half_of_it_is_taken() -> None:
    limits = Http2Limits(max_message_bytes=16_384)
    told = Told(limits)
    size = limits.window_bytes // 2 + 1
    for stream in range(1, 2 * (size // 10_000) + 3, 2):
        told.receive(headers(stream) + data(stream, bytes(10_000)))
    assert [got for got in told.answers.of("WINDOW_UPDATE")[1:] if not got.stream] == []
    for stream, octets, _ in told.data:
        told.http2.acknowledge(stream, len(octets))
    told.take()
    opened = [got for got in told.answers.of("WINDOW_UPDATE")[1:] if not got.stream]
    assert len(opened) == 1
    assert int.from_bytes(opened[0].payload) > size


def test_what_a_stream_held_is_given_back_in_the_turn_in_which_it_ends() -> None:
    limits = Http2Limits(max_message_bytes=16_384)
    told = Told(limits)
    told.gives_back = 60_000
    told.receive(settings(flags=1) + headers(1, content_length="60001"))
    told.receive(data(1, bytes(15_000), 0) * 4)
    told.receive(data(1, bytes(6_000), 0))  # over its content-length, and so never here
    assert told.answers.resets() == {1: "PROTOCOL_ERROR"}
    assert [got.type for got in told.answers.frames[-2:]] == ["RST_STREAM", "WINDOW_UPDATE"]


def test_answered_calls_pay_for_what_an_honest_peer_does_besides() -> None:
    told = Told()
    for n in range(5_000):
        stream = 4 * n + 1
        told.receive(call(stream) + window_update(0, 5) + headers(stream + 2) + reset(stream + 2))
        told.http2.send(stream, HEAD, message(), OK, received=5)
        told.take()
        assert not told.http2.ended, n


def test_time_pays_as_well() -> None:
    told = Told()
    for second in range(20):
        told.receive(ping() * 200, float(second))
    assert not told.http2.ended


def test_bytes_that_complete_nothing_are_noted() -> None:
    told = Told()
    octets = headers(1)
    told.receive(octets[:20], 1.0)
    told.receive(octets[20:30], 2.0)
    assert told.http2.silent_since == 1.0
    told.receive(octets[30:], 3.0)
    assert told.http2.silent_since is None


def test_answers_that_go_out_are_no_sign_that_a_header_block_goes_on() -> None:
    told = Told()
    told.receive(call(1) + headers(3)[:20], 1.0)
    told.receive(headers(3)[20:22], 2.0)
    told.http2.send(1, HEAD, b"", OK)
    told.take()
    assert told.closed == [1]
    told.receive(headers(3)[22:23], 3.0)
    assert told.http2.silent_since == 2.0


def test_a_window_full_of_data_on_its_way_to_a_stream_that_was_refused_is_taken() -> None:
    limits = Http2Limits(max_message_bytes=65_536)
    told = Told(limits)
    told.receive(headers(1))
    told.http2.refuse(1, REFUSED, request_ended=False)
    told.take()
    octets = data(1, bytes(16_384), 0)
    for _ in range(limits.window_bytes // 16_384):
        told.receive(octets)
    assert not told.http2.ended
    for _ in range(12):
        told.receive(octets)
    assert told.answers.goaways() == ["ENHANCE_YOUR_CALM"]


def test_a_window_that_loses_bytes_is_mended_before_it_closes() -> None:
    """Streams that end within a DATA frame: the peer's view of the window is kept here."""
    limits = Http2Limits(max_message_bytes=16_384)
    told = Told(limits)
    sent, mended = 0, False
    for stream in range(1, 401, 2):
        octets = data(stream, bytes(16_000), 0)
        told.receive(headers(stream) + octets[:8_000])
        told.http2.refuse(stream, REFUSED, request_ended=False)
        told.receive(octets[8_000:])
        sent += 16_000
        mended = told.http2.mend_window()
        told.take()
        updates = [got for got in told.answers.of("WINDOW_UPDATE") if got.stream == 0]
        room = 65_535 + sum(int.from_bytes(got.payload) for got in updates) - sent
        assert limits.window_bytes // 2 <= room <= limits.window_bytes
        if mended:
            break
    assert mended
    assert sent > limits.window_bytes // 2


def test_a_window_that_loses_nothing_needs_no_mending() -> None:
    told = Told(Http2Limits(max_message_bytes=16_384))
    for stream in range(1, 401, 2):
        told.receive(headers(stream) + data(stream, bytes(16_000)))
        told.http2.send(stream, HEAD, b"", OK, received=16_000)
        told.take()
        assert not told.http2.mend_window()
