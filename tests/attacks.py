"""
What peers do to a server that means it no good: floods, each with how much of it is taken.

Sources: the advisories that the entries name, and RFC 9113 section 10.5.
"""

from collections.abc import Callable
from typing import NamedTuple

from tests.http2_frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    POST,
    block,
    call,
    data,
    frame,
    headers,
    message,
    ping,
    reset,
    settings,
    string,
    window_update,
)

SINK = "/tollhouse.test.Toll/Sink"
WAIT = "/tollhouse.test.Toll/Wait"
ECHO_STREAM = "/tollhouse.test.Toll/EchoStream"
ENDLESS = "/tollhouse.test.Toll/Endless"
"""Methods of the server under attack: a stream whose handler takes nothing, a call that waits until
it is cancelled, a stream that echoes and one that sends for ever."""

PADDED, PRIO = 0x8, 0x20
CALM = "ENHANCE_YOUR_CALM"
INITIAL_WINDOW_SIZE, HEADER_TABLE_SIZE = 4, 1


class Flood(NamedTuple):
    """
    One unit again and again.

    Args:
        unit: the octets of unit 0, 1, …; odd streams from 1 on are free for it.
        limit: the server must have ended the connection after so many.
        error: with this GOAWAY.
        first: sent once before.
    """

    unit: Callable[[int], bytes]
    limit: int
    error: str
    first: bytes = b""


def stream(unit: int) -> int:
    return 2 * unit + 1


FIRST = 2_000_001
"""A stream above those of the units."""

BOMB = (
    block([*POST.items()]) + b"\x40" + string(b"x") + string(b"a" * 4_000) + b"\xbe" * 12_000
)  # one entry that fills the table, and 12,000 times its index

FLOODS: dict[str, Flood] = {
    # CVE-2023-44487, CVE-2019-9514
    "rapid reset of whole calls": Flood(lambda n: call(stream(n)) + reset(stream(n)), 1_002, CALM),
    "rapid reset of open calls": Flood(
        lambda n: headers(stream(n)) + reset(stream(n)), 1_002, CALM
    ),
    "rapid reset of calls that wait": Flood(
        lambda n: headers(stream(n), path=WAIT) + data(stream(n), message()) + reset(stream(n)),
        1_002,
        CALM,
    ),
    "rapid reset of streaming calls": Flood(
        lambda n: headers(stream(n), path=SINK) + reset(stream(n)), 1_002, CALM
    ),
    "rapid reset without an error": Flood(
        lambda n: headers(stream(n)) + reset(stream(n), "NO_ERROR"), 1_002, CALM
    ),
    "reset of a closed stream": Flood(lambda _: reset(1), 1_002, CALM, first=headers(1) + reset(1)),
    # CVE-2025-8671, MadeYouReset: resets that the server has to send
    "window update by 0": Flood(
        lambda n: headers(stream(n)) + window_update(stream(n), 0), 1, "PROTOCOL_ERROR"
    ),
    "window overflow": Flood(
        lambda n: headers(stream(n)) + window_update(stream(n), 0x7FFFFFFF),
        1,
        "FLOW_CONTROL_ERROR",
    ),
    "data behind the end": Flood(
        lambda n: headers(stream(n), path=SINK, flags=END_HEADERS | END_STREAM) + data(stream(n)),
        2,
        "STREAM_CLOSED",
    ),
    "priority on itself": Flood(
        lambda n: frame(
            "HEADERS",
            stream(n),
            stream(n).to_bytes(4, "big") + b"\0" + block(POST.items()),
            END_HEADERS | PRIO,
        ),
        2,
        "PROTOCOL_ERROR",
    ),
    "content-length that does not fit": Flood(
        lambda n: headers(stream(n), content_length="1") + data(stream(n), message()), 1_002, CALM
    ),
    "malformed header": Flood(lambda n: headers(stream(n), X="1"), 1_002, CALM),
    "priority of the wrong size": Flood(
        lambda n: headers(stream(n)) + frame("PRIORITY", stream(n), b"\0\0\0\0"),
        2,
        "FRAME_SIZE_ERROR",
    ),
    "trailers that end nothing": Flood(
        lambda n: headers(stream(n)) + headers(stream(n), [(b"x", b"y")]), 1_002, CALM
    ),
    # VU#421644
    "continuation for ever": Flood(
        lambda _: frame("CONTINUATION", 1, b"\0\1x" + string(b"a" * 1_000)),
        10,
        CALM,
        first=headers(1, flags=0),
    ),
    "continuation of nothing": Flood(
        lambda _: frame("CONTINUATION", 1), 10, CALM, first=headers(1, flags=0)
    ),
    "continuation octet by octet": Flood(
        lambda _: frame("CONTINUATION", 1, b"\0"), 10, CALM, first=headers(1, b"\0", flags=0)
    ),
    # CVE-2019-9512
    "ping": Flood(lambda _: ping(), 1_002, CALM),
    "answers to pings that nobody sent": Flood(lambda _: ping(flags=ACK), 1_002, CALM),
    # CVE-2019-9515, CVE-2020-11080
    "settings": Flood(lambda _: settings(), 1_002, CALM),
    "acknowledged settings": Flood(lambda _: settings(flags=ACK), 2, "PROTOCOL_ERROR"),
    "settings of 2,000 values": Flood(
        lambda _: frame("SETTINGS", 0, b"\0\3\0\0\0\1" * 2_000), 1, CALM
    ),
    "settings that move the windows of many streams": Flood(
        lambda n: settings({INITIAL_WINDOW_SIZE: n % 2}),
        1_002,
        CALM,
        first=b"".join(call(FIRST + 2 * n) for n in range(500)),
    ),
    "settings that resize the table": Flood(
        lambda n: settings({HEADER_TABLE_SIZE: n % 2 * 4_096}), 1_002, CALM
    ),
    # CVE-2019-9513
    "priority": Flood(lambda n: frame("PRIORITY", stream(n), b"\0\0\0\0\7"), 1_002, CALM),
    "priority of one stream": Flood(
        lambda n: frame("PRIORITY", 1, b"\0\0\0" + bytes((n % 250 + 2, 7))),
        1_002,
        CALM,
        first=headers(1),
    ),
    "priority update": Flood(
        lambda n: frame(0x10, 0, stream(n).to_bytes(4, "big") + b"u=1"), 1_002, CALM
    ),
    "window update of the connection": Flood(lambda _: window_update(0, 1), 10_002, CALM),
    "window update of a stream": Flood(
        lambda _: window_update(1, 1), 10_002, CALM, first=headers(1)
    ),
    "goaway": Flood(lambda _: frame("GOAWAY", 0, bytes(8)), 1_002, CALM, first=headers(1)),
    "unknown type": Flood(lambda _: frame(0xBB, 0), 1_002, CALM),
    "unknown type, large": Flood(lambda _: frame(0xBB, 1, bytes(16_384)), 1_002, CALM),
    # CVE-2019-9518
    "empty data": Flood(lambda _: data(1, flags=0), 1_002, CALM, first=headers(1)),
    "data of padding only": Flood(
        lambda _: data(1, b"\xff" + bytes(255), PADDED), 1_002, CALM, first=headers(1)
    ),
    "data of one octet": Flood(
        lambda _: data(1, b"\0", 0), 1_002, CALM, first=headers(1) + data(1, b"\0\0\1\0\0", 0)
    ),
    "data of one octet and padding": Flood(
        lambda _: data(1, b"\xff\0" + bytes(255), PADDED),
        1_002,
        CALM,
        first=headers(1) + data(1, b"\0\0\1\0\0", 0),
    ),
    "data of one octet to a streaming call": Flood(
        lambda _: data(1, b"\0", 0), 1_002, CALM, first=headers(1, path=SINK)
    ),
    "data on a closed stream": Flood(
        lambda _: data(1, bytes(16_384), 0), 1_100, CALM, first=headers(1) + reset(1)
    ),
    "empty data on a closed stream": Flood(
        lambda _: data(1, flags=0) * 100, 20_000, CALM, first=headers(1) + reset(1)
    ),
    "window update of a closed stream": Flood(
        lambda _: window_update(1, 1) * 100, 14_000, CALM, first=headers(1) + reset(1)
    ),
    "headers on closed streams": Flood(
        lambda n: headers(stream(n)), 1_002, CALM, first=headers(FIRST) + reset(FIRST)
    ),
    # CVE-2016-6581, CVE-2023-33953
    "compression bomb": Flood(lambda n: headers(stream(n), BOMB), 1, CALM),
    "header list too large": Flood(lambda n: headers(stream(n), x="a" * 16_100), 1, CALM),
    "too many headers": Flood(
        lambda n: headers(stream(n), [*POST.items(), *[(b"x", b"")] * 200]), 1, CALM
    ),
    # CVE-2019-9516
    "headers without a name": Flood(
        lambda n: headers(stream(n), block(POST.items()) + b"\0\0\0" * 5_000), 1_002, CALM
    ),
    "streams over the limit": Flood(lambda n: headers(stream(n)), 2_050, CALM),
    "streams over the limit, acknowledged": Flood(
        lambda n: headers(stream(n)), 1_025, "PROTOCOL_ERROR", first=settings(flags=ACK)
    ),
    "answers into a window of nothing": Flood(
        lambda n: call(stream(n)), 2_050, CALM, first=settings({INITIAL_WINDOW_SIZE: 0})
    ),
}
