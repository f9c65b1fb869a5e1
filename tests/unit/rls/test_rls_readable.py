"""Texts of a descriptor that are not UTF-8."""

import pytest

from protos.service_ratelimit_v3_pb2 import RateLimitRequest
from rls.codec import decode
from rls.limits import Descriptor, Entry, Override, Request
from rls.readable import readable
from serving.call import InvalidArgument


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of less than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


def request(key: bytes, value: bytes, more: bytes = b"") -> bytes:
    descriptor = field(1, field(1, key) + field(2, value)) + more
    return field(1, b"edge") + field(2, descriptor)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"ann", "ann"),
        ("José".encode(), "José"),
        ("José".encode("latin-1"), r"Jos\xe9"),
        (b"\xff\xfe", r"\xff\xfe"),
        (b"a\xc3", r"a\xc3"),
        (b"", ""),
        (b"\xff" * 40, r"\xff" * 40),  # its length needs a second byte now
    ],
)
def test_bytes_that_are_no_utf_8_are_shown_as_what_they_are(value: bytes, text: str) -> None:
    assert decode(request(b"user", value)).descriptors[0].entries == (Entry("user", text),)
    assert decode(request(value, b"ann")).descriptors[0].entries == (Entry(text, "ann"),)


def test_everything_else_of_the_request_stays() -> None:
    override = field(2, b"\x08\x07\x10\x03")  # 7 an hour
    addend = field(3, b"\x08\xac\x02")  # 300
    unknown = b"\x29" + bytes(8) + b"\x35" + bytes(4) + b"\x38\x01" + field(15, b"\xff")
    body = request(b"user", b"\xff", override + addend + unknown) + b"\x18\x05"
    descriptor = Descriptor((Entry("user", r"\xff"),), Override(7, 3), 300)
    assert decode(body) == Request("edge", (descriptor,), 5)


def test_a_readable_message_stays_as_it_is() -> None:
    message = RateLimitRequest(domain="edge", hits_addend=2**32 - 1)
    message.descriptors.add(entries=[{"key": "user", "value": "é" * 200}]).hits_addend.value = 2**63
    body = message.SerializeToString()
    assert readable(body) == body


@pytest.mark.parametrize(
    "body",
    [
        field(1, b"\xff") + field(2, b""),  # the domain is Envoy's configuration, no header
        b"\x12\x05\x0a",
        b"\x12",
        b"\x80" * 11,
        request(b"user", b"\xff") + b"\x13\x14",  # a group
        b"\x21\x00",
        b"\x25\x00",
        request(b"user", b"\xff") + b"\x00",  # field 0
    ],
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidArgument, match=r"^not a RateLimitRequest$"):
        decode(body)
