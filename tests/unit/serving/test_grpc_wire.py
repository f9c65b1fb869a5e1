"""gRPC's own rules, bytes in and bytes out."""

import gzip
import re

import pytest

from serving import grpc_wire
from serving.call import Metadata, Status
from serving.faults import Fault

INVALID_AT_THE_ENDS = re.compile(rb"^[ \t]|[ \t]$")


@pytest.mark.parametrize("body", [b"", b"a", bytes(range(256)), bytes(70_000)])
def test_a_message_is_framed_with_a_flag_and_its_length(body: bytes) -> None:
    framed = grpc_wire.framed(body)
    assert framed[:1] == b"\0"
    assert int.from_bytes(framed[1:5], "big") == len(body)
    assert framed[5:] == body


@pytest.mark.parametrize(
    ("message", "encoded"),
    [
        ("all is well", b"all is well"),
        ("100%", b"100%25"),
        ("line\nline\r", b"line%0Aline%0D"),
        ("\x7f~\x00", b"%7F~%00"),
        ("grüße", b"gr%C3%BC%C3%9Fe"),
        (" ends ", b"%20ends%20"),
        (" ", b"%20"),
        ("  two  ", b"%20 two %20"),
        ("\ud800", b"?"),
        ("x" * 1_500, b"x" * 1_024),
        ("x" * 1_023 + "ü", b"x" * 1_023),
        ("ü" * 600, b"%C3%BC" * 512),
    ],
)
def test_a_status_message_is_percent_encoded(message: str, encoded: bytes) -> None:
    assert grpc_wire.percent_encoded(message) == encoded
    assert not INVALID_AT_THE_ENDS.search(encoded)


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (Status.OK, "", ((b"grpc-status", b"0"),)),
        (Status.INTERNAL, "", ((b"grpc-status", b"13"),)),
        (Status.NOT_FOUND, "gone", ((b"grpc-status", b"5"), (b"grpc-message", b"gone"))),
        (
            Status.UNIMPLEMENTED,
            "no",
            (
                (b"grpc-status", b"12"),
                (b"grpc-accept-encoding", b"identity,gzip"),
                (b"grpc-message", b"no"),
            ),
        ),
    ],
)
def test_trailers(status: Status, message: str, expected: grpc_wire.Headers) -> None:
    assert grpc_wire.trailers(status, message) == expected
    assert grpc_wire.trailers_only(status, message) == (
        (b":status", b"200"),
        (b"content-type", b"application/grpc"),
        *expected,
    )


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"250m", 0.25),
        (b"1S", 1.0),
        (b"2M", 120.0),
        (b"1H", 3_600.0),
        (b"99999999H", 359_999_996_400.0),
        (b"20000u", 0.02),
        (b"5n", 5e-9),
        (b"0m", 0.0),
        (b"00000001S", 1.0),
        (None, None),
        (b"", None),
        (b"m", None),
        (b"10", None),
        (b"123456789S", None),
        (b"-1S", None),
        (b"1.5S", None),
        (b"1s", None),
        (b" 1S", None),
        (b"1S\n", None),
        ("\u0661S".encode(), None),
    ],
)
def test_a_timeout(value: bytes | None, seconds: float | None) -> None:
    assert grpc_wire.timeout_seconds(value) == (
        None if seconds is None else pytest.approx(seconds, rel=1e-12)
    )


@pytest.mark.parametrize(
    ("content_type", "is_grpc"),
    [
        (b"application/grpc", True),
        (b"application/grpc+proto", True),
        (b"application/grpc;charset=utf-8", True),
        (b"application/grpc-web", False),
        (b"application/grp", False),
        (b"application/json", False),
        (b"", False),
        (None, False),
    ],
)
def test_a_content_type(content_type: bytes | None, is_grpc: bool) -> None:
    assert grpc_wire.is_grpc(content_type) is is_grpc


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (((b":path", b"/a"), (b"te", b"trailers"), (b"content-type", b"application/grpc")), ()),
        (((b"grpc-timeout", b"1S"), (b"grpc-encoding", b"gzip"), (b"grpc-x-bin", b"AA")), ()),
        (((b"x", b"1"), (b"y", b"2"), (b"x", b"3")), (("x", "1"), ("y", "2"), ("x", "3"))),
        (((b"x", b"gr\xfc\xdfe"),), (("x", "grüße"),)),
        (((b"user-agent", b"envoy"),), (("user-agent", "envoy"),)),
        (((b"x-bin", b"AAEC"),), (("x-bin", b"\0\1\2"),)),
        (((b"x-bin", b"AA"),), (("x-bin", b"\0"),)),
        (((b"x-bin", b"AA=="),), (("x-bin", b"\0"),)),
        (((b"x-bin", b""),), (("x-bin", b""),)),
        (((b"x-bin", b"AA, AQ"),), (("x-bin", b"\0"), ("x-bin", b"\1"))),
        (((b"x-bin", b"?!"), (b"y", b"2")), (("y", "2"),)),
        (((b"x-bin", b"A"),), ()),
        (((b"x-bin", b"\xff\xff"),), ()),
    ],
)
def test_metadata(headers: grpc_wire.Headers, expected: Metadata) -> None:
    assert grpc_wire.metadata(headers) == expected


PACKED = gzip.compress(b"a message")


@pytest.mark.parametrize(
    ("flag", "payload", "encoding", "expected"),
    [
        (0, b"a message", None, b"a message"),
        (0, b"a message", b"gzip", b"a message"),
        (1, PACKED, b"gzip", b"a message"),
        (1, gzip.compress(b""), b"gzip", b""),
        (1, gzip.compress(b"x" * 100), b"gzip", b"x" * 100),
        (1, gzip.compress(b"x" * 101), b"gzip", Status.RESOURCE_EXHAUSTED),
        (1, gzip.compress(bytes(10_000_000)), b"gzip", Status.RESOURCE_EXHAUSTED),
        (1, b"", b"gzip", Status.INTERNAL),
        (1, b"a message", b"gzip", Status.INTERNAL),
        (1, PACKED[:-1], b"gzip", Status.INTERNAL),
        (1, PACKED + b"x", b"gzip", Status.INTERNAL),
        (1, PACKED[:-8] + bytes(8), b"gzip", Status.INTERNAL),
        (1, b"a message", None, Status.INTERNAL),
        (1, b"a message", b"identity", Status.INTERNAL),
        (1, b"a message", b"br", Status.UNIMPLEMENTED),
        (2, b"a message", None, Status.INTERNAL),
        (255, b"a message", b"gzip", Status.INTERNAL),
    ],
)
def test_a_message_is_opened(
    flag: int, payload: bytes, encoding: bytes | None, expected: bytes | Status
) -> None:
    opened = grpc_wire.open_message(flag, payload, encoding, 100)
    assert (opened.status if isinstance(opened, Fault) else opened) == expected


def test_what_is_too_large_is_told_by_how_much() -> None:
    assert grpc_wire.too_large(4_194_304).message == "message is larger than 4194304 bytes"
