"""
HTTP/2 frames, built octet by octet and taken apart again.

Written against RFC 9113 and RFC 7541 alone; it shares nothing with what it tests and builds what
no library would send.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

TYPES = (
    "DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY",
    "WINDOW_UPDATE", "CONTINUATION",
)  # fmt: skip
ERRORS = (
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
    "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
    "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
)  # fmt: skip
SETTINGS = (
    "", "HEADER_TABLE_SIZE", "ENABLE_PUSH", "MAX_CONCURRENT_STREAMS", "INITIAL_WINDOW_SIZE",
    "MAX_FRAME_SIZE", "MAX_HEADER_LIST_SIZE",
)  # fmt: skip
FLAGS = {"ES": 0x1, "ACK": 0x1, "EH": 0x4, "PADDED": 0x8, "PRIO": 0x20}
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4

Fields = Iterable[tuple[bytes, bytes]]

METHOD = "/tollhouse.test.Toll/Take"
POST: Mapping[bytes, bytes] = {
    b":method": b"POST",
    b":scheme": b"http",
    b":path": METHOD.encode(),
    b":authority": b"toll.test",
    b"content-type": b"application/grpc",
    b"te": b"trailers",
}


class Frame(NamedTuple):
    """One frame as it was received."""

    type: str
    flags: int
    stream: int
    payload: bytes

    @property
    def error(self) -> str:
        """The error code of a GOAWAY or RST_STREAM."""
        code = self.payload[4:8] if self.type == "GOAWAY" else self.payload[:4]
        return ERRORS[int.from_bytes(code)]


def frame(kind: str | int, stream: int = 0, payload: bytes = b"", flags: int = 0) -> bytes:
    number = kind if isinstance(kind, int) else TYPES.index(kind)
    head = len(payload).to_bytes(3, "big") + bytes((number, flags))
    return head + stream.to_bytes(4, "big") + payload


def string(text: bytes) -> bytes:
    """A string literal without Huffman coding (RFC 7541 section 5.2)."""
    if len(text) < 127:
        return bytes((len(text),)) + text
    rest, tail = len(text) - 127, b""
    while rest > 127:
        tail += bytes((rest & 127 | 128,))
        rest >>= 7
    return b"\x7f" + tail + bytes((rest,)) + text


def block(fields: Fields) -> bytes:
    """Literal fields with new names that nobody indexes: blocks depend on nothing before."""
    return b"".join(b"\0" + string(name) + string(value) for name, value in fields)


def headers(
    stream: int,
    fields: Fields | bytes | None = None,
    flags: int = END_HEADERS,
    path: str = METHOD,
    **more: str,
) -> bytes:
    """
    HEADERS; of a gRPC request when no fields are given.

    Args:
        fields: or the block itself.
        path: in the place of METHOD.
        more: further header fields, `_` for `-`.
    """
    if isinstance(fields, bytes):
        return frame("HEADERS", stream, fields, flags)
    if fields is None:
        fields = {**POST, b":path": path.encode()}.items()
    added = [(name.replace("_", "-").encode(), value.encode()) for name, value in more.items()]
    return frame("HEADERS", stream, block([*fields, *added]), flags)


def message(body: bytes = b"", flag: int = 0) -> bytes:
    """A gRPC message with its prefix."""
    return bytes((flag,)) + len(body).to_bytes(4, "big") + body


def data(stream: int, payload: bytes = b"", flags: int = END_STREAM) -> bytes:
    return frame("DATA", stream, payload, flags)


def call(stream: int, body: bytes = b"", **more: str) -> bytes:
    """A whole gRPC request."""
    return headers(stream, **more) + data(stream, message(body))


def settings(values: Mapping[int, int] | None = None, flags: int = 0) -> bytes:
    entries = [k.to_bytes(2, "big") + v.to_bytes(4, "big") for k, v in (values or {}).items()]
    return frame("SETTINGS", 0, b"".join(entries), flags)


def reset(stream: int, error: str = "CANCEL") -> bytes:
    return frame("RST_STREAM", stream, ERRORS.index(error).to_bytes(4, "big"))


def window_update(stream: int, increment: int) -> bytes:
    return frame("WINDOW_UPDATE", stream, increment.to_bytes(4, "big"))


def ping(text: bytes = b"pingping", flags: int = 0) -> bytes:
    return frame("PING", 0, text, flags)


HELLO = PREFACE + settings()
"""What a client begins with."""


def split(octets: bytes) -> tuple[list[Frame], bytes]:
    """The whole frames at the beginning, and what is left."""
    frames = []
    while len(octets) >= 9:
        end = 9 + int.from_bytes(octets[:3], "big")
        if len(octets) < end:
            break
        kind = TYPES[octets[3]] if octets[3] < len(TYPES) else f"0x{octets[3]:02x}"
        stream = int.from_bytes(octets[5:9], "big")
        frames.append(Frame(kind, octets[4], stream, octets[9:end]))
        octets = octets[end:]
    return frames, octets


class Answers:
    """
    What a server has sent on one connection.

    Header blocks are decoded in the order in which they come, as their compression demands.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._hpack = hpack.Decoder()
        self.frames: list[Frame] = []
        self.fields: dict[int, dict[bytes, bytes]] = {}
        """Header and trailer fields by stream."""
        self.bodies: dict[int, bytes] = {}

    def take(self, octets: bytes) -> list[Frame]:
        frames, self._rest = split(self._rest + octets)
        for got in frames:
            if got.type == "HEADERS":
                fields = self._hpack.decode(got.payload, raw=True)
                self.fields.setdefault(got.stream, {}).update((n, v) for n, v in fields)
            elif got.type == "DATA":
                self.bodies[got.stream] = self.bodies.get(got.stream, b"") + got.payload
        self.frames += frames
        return frames

    @property
    def whole(self) -> bool:
        """No part of a frame is left over."""
        return not self._rest

    def of(self, kind: str) -> list[Frame]:
        return [got for got in self.frames if got.type == kind]

    def ended(self, stream: int) -> bool:
        """The stream got its END_STREAM or was reset."""
        return any(
            got.stream == stream
            and (got.type == "RST_STREAM" or (got.type in ("DATA", "HEADERS") and got.flags & 1))
            for got in self.frames
        )

    def status(self, stream: int) -> str:
        """`200`, and behind it `/grpc-status` if there is one."""
        fields = self.fields.get(stream, {})
        status, grpc_status = fields.get(b":status", b"none"), fields.get(b"grpc-status")
        return (status + (b"/" + grpc_status if grpc_status is not None else b"")).decode()

    def resets(self) -> dict[int, str]:
        return {got.stream: got.error for got in self.of("RST_STREAM")}

    def goaways(self) -> list[str]:
        return [got.error for got in self.of("GOAWAY")]
