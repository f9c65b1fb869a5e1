r"""
Descriptor texts that are not UTF-8, made readable.

Envoy copies the bytes of a header into a descriptor as they are, and a protobuf parser refuses text
that is not UTF-8. So one byte in one header would make the call fail, and Envoy's failure mode
would let that request pass every limit (seen on Envoy 1.40). Here each such byte becomes what it
looks like in Python, the four characters `\xff`, and the request is limited like any other.
"""

from collections.abc import Mapping

Texts = Mapping[int, "Texts | None"]
"""Field number → the fields below it, or None where the field itself is text."""

DESCRIPTOR_TEXTS: Texts = {2: {1: {1: None, 2: None}}}
"""RateLimitRequest.descriptors → RateLimitDescriptor.entries → Entry.key and Entry.value."""

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
"""Wire types (protobuf.dev, "Encoding"); groups are of the past."""


def readable(message: bytes, texts: Texts = DESCRIPTOR_TEXTS) -> bytes:
    """
    The same message, every text of `texts` in UTF-8; other fields stay as they are.

    Raises:
        ValueError: this is no protobuf message.
    """
    fields: list[bytes] = []
    at = 0
    while at < len(message):
        start = at
        tag, at = _varint(message, at)
        number, wire_type = tag >> 3, tag & 7
        size, at = _size(message, at, wire_type)
        content = message[at : at + size]
        if len(content) < size:
            raise ValueError("the message ends within a field")
        if wire_type == DELIMITED and number in texts:
            below = texts[number]
            content = _text(content) if below is None else readable(content, below)
            fields += (_encoded(tag), _encoded(len(content)), content)
        else:
            fields.append(message[start : at + size])
        at += size
    return b"".join(fields)


def _text(content: bytes) -> bytes:
    return content.decode("utf-8", "backslashreplace").encode()


def _size(message: bytes, at: int, wire_type: int) -> tuple[int, int]:
    """How long the content of a field is, and where it begins."""
    if wire_type == DELIMITED:
        return _varint(message, at)
    if wire_type == VARINT:
        return _varint(message, at)[1] - at, at
    if wire_type in (FIXED64, FIXED32):
        return (8 if wire_type == FIXED64 else 4), at
    raise ValueError(f"wire type {wire_type}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    value = 0
    for shift, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, at + shift + 1
    raise ValueError("a varint without an end")


def _encoded(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
