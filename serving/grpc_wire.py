"""
gRPC's own rules on top of HTTP/2, as plain functions of bytes.

Source: grpc/grpc, doc/PROTOCOL-HTTP2.md ("gRPC over HTTP2") and doc/compression.md.
"""

import base64
import binascii
import re
import zlib
from struct import Struct

from serving.call import Metadata, Status
from serving.faults import Fault

Headers = tuple[tuple[bytes, bytes], ...]

GRPC = b"application/grpc"
HEAD: Headers = ((b":status", b"200"), (b"content-type", GRPC))
OK: Headers = ((b"grpc-status", b"0"),)
NOT_POST: Headers = ((b":status", b"405"), (b"allow", b"POST"))
NOT_GRPC: Headers = ((b":status", b"415"),)

MAX_STATUS_MESSAGE = 1_024
PREFIX = 5
"""Bytes before a message: one flag, four of length."""
FLAG_AND_LENGTH = Struct(">BI")

ESCAPED = re.compile(rb"[^ -~]|%|\A | \Z")
TIMEOUT = re.compile(rb"[0-9]{1,8}[HMSmun]")
TIMEOUT_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}

RESERVED = frozenset((b"te", b"content-type"))
"""Headers of the protocol itself, with all that begin with `grpc-` or `:`: no metadata."""


def framed(message: bytes) -> bytes:
    """A message as it goes over the wire, uncompressed."""
    return FLAG_AND_LENGTH.pack(0, len(message)) + message


def trailers_only(status: Status, message: str) -> Headers:
    """The headers of an answer that has nothing but a status."""
    return (*HEAD, *trailers(status, message))


def trailers(status: Status, message: str) -> Headers:
    fields: Headers = ((b"grpc-status", b"%d" % status),)
    if status is Status.UNIMPLEMENTED:
        fields = (*fields, (b"grpc-accept-encoding", b"identity,gzip"))
    return (*fields, (b"grpc-message", percent_encoded(message))) if message else fields


def percent_encoded(message: str) -> bytes:
    """
    `grpc-message`: bytes outside 0x20 to 0x7e and the percent sign as %XX; of at most 1 KiB.

    A space at either end as well: RFC 9113 section 8.2.1 makes such a field malformed, and Envoy
    would then reset the stream instead of reading the status.
    """
    raw = message.encode("utf-8", "replace")[:MAX_STATUS_MESSAGE]
    whole = raw.decode("utf-8", "ignore").encode()  # not the first half of a character
    return ESCAPED.sub(lambda found: b"%%%02X" % found[0][0], whole)


def timeout_seconds(value: bytes | None) -> float | None:
    """`grpc-timeout` in seconds; a malformed one counts as none, as its sender's mistake."""
    if value is None or not TIMEOUT.fullmatch(value):
        return None
    return int(value[:-1]) * TIMEOUT_UNITS[value[-1:]]


def is_grpc(content_type: bytes | None) -> bool:
    """`application/grpc`, alone or with `+format` or `;parameters`."""
    return content_type is not None and (
        content_type == GRPC or content_type.startswith((GRPC + b"+", GRPC + b";"))
    )


def metadata(headers: Headers) -> Metadata:
    """
    The caller's own headers; `-bin` values decoded, padded or not.

    A `-bin` value that is no base64 is left out: a caller's mistake in one of them must end
    neither its call nor the connection it shares with others.
    """
    found: list[tuple[str, str | bytes]] = []
    for name, value in headers:
        if name.startswith((b":", b"grpc-")) or name in RESERVED:
            continue
        if not name.endswith(b"-bin"):
            found.append((name.decode("latin-1"), value.decode("latin-1")))
            continue
        for part in value.split(b","):
            padded = part.strip() + b"=" * (-len(part.strip()) % 4)
            try:
                found.append((name.decode("latin-1"), base64.b64decode(padded, validate=True)))
            except binascii.Error:
                continue
    return tuple(found)


def inflated(data: bytes, max_bytes: int) -> bytes | Fault:
    """A gzip message, whole; what would grow beyond `max_bytes` is refused, not inflated."""
    inflater = zlib.decompressobj(wbits=31)
    try:
        message = inflater.decompress(data, max_bytes + 1)
    except zlib.error:
        return Fault(Status.INTERNAL, "message is not the gzip it claims to be")
    if len(message) > max_bytes:
        return too_large(max_bytes)
    if not inflater.eof or inflater.unused_data:
        return Fault(Status.INTERNAL, "message is not one whole gzip stream")
    return message


def too_large(max_bytes: int) -> Fault:
    return Fault(Status.RESOURCE_EXHAUSTED, f"message is larger than {max_bytes} bytes")


def open_message(
    flag: int, payload: bytes, encoding: bytes | None, max_bytes: int
) -> bytes | Fault:
    """A received message's content: as it is, or inflated, by its flag and `grpc-encoding`."""
    if flag == 0:
        return payload
    if flag != 1:
        return Fault(Status.INTERNAL, f"message has unknown flag {flag}")
    if encoding == b"gzip":
        return inflated(payload, max_bytes)
    if encoding in (None, b"identity"):
        return Fault(Status.INTERNAL, "message is compressed without a grpc-encoding")
    return Fault(Status.UNIMPLEMENTED, "message is compressed in a way that is not supported")
