"""
As much of an HTTP/2 client as a benchmark needs: whole requests as bytes, answers counted.

Header blocks are literals without indexing, so a request's bytes differ only in the stream id
and in the tracing header; that leaves the machine to the server under test.
"""

from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, DATA, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 1, 0, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
HEAD = 9

WINDOW = 1 << 24


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    return (
        len(payload).to_bytes(3, "big")
        + bytes((kind, flags))
        + stream_id.to_bytes(4, "big")
        + payload
    )


def opening() -> bytes:
    """Preface, SETTINGS with a wide stream window, and a wide connection window."""
    settings = (4).to_bytes(2, "big") + WINDOW.to_bytes(4, "big")
    return (
        PREFACE
        + frame(SETTINGS, 0, 0, settings)
        + frame(WINDOW_UPDATE, 0, 0, WINDOW.to_bytes(4, "big"))
    )


def header_block(fields: dict[str, str]) -> bytes:
    """RFC 7541 section 6.2.2, new names; every length here is below 127."""
    return b"".join(
        b"\0" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()
        for name, value in fields.items()
    )


def request(stream_id: int, block: bytes, message: bytes) -> bytes:
    """One unary gRPC request: HEADERS, and one DATA frame with END_STREAM."""
    data = b"\0" + len(message).to_bytes(4, "big") + message
    return frame(HEADERS, END_HEADERS, stream_id, block) + frame(DATA, END_STREAM, stream_id, data)


def frames(buffer: bytearray) -> Iterator[tuple[int, int, int, bytes]]:
    """Take whole frames out of a buffer: kind, flags, stream id, payload."""
    position = 0
    try:
        while len(buffer) - position >= HEAD:
            end = position + HEAD + int.from_bytes(buffer[position : position + 3], "big")
            if len(buffer) < end:
                break
            stream_id = int.from_bytes(buffer[position + 5 : position + HEAD], "big")
            payload = bytes(buffer[position + HEAD : end])
            yield buffer[position + 3], buffer[position + 4], stream_id, payload
            position = end
    finally:
        del buffer[:position]
