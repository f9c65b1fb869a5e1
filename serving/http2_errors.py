"""The error codes of HTTP/2 that we send (RFC 9113 section 7)."""

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, CANCEL = 0x0, 0x1, 0x2, 0x8

CALM = 0xB
"""ENHANCE_YOUR_CALM: the peer costs more than it has work done for."""


def goaway(error_code: int) -> bytes:
    """GOAWAY(2^31-1): what we send when libnghttp2 can send no more."""
    return b"\0\0\x08\x07\0\0\0\0\0\x7f\xff\xff\xff" + error_code.to_bytes(4, "big")
