"""Base64url: one text for one byte string."""

from base64 import urlsafe_b64encode

import pytest

from authz.tokens.base64url import decode, number


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("", b""),
        ("AA", b"\0"),
        ("AA==", b"\0"),
        ("_-8", b"\xff\xef"),
        ("_-8=", b"\xff\xef"),
        ("AAAA", b"\0\0\0"),
    ],
)
def test_canonical_text_is_read_with_or_without_exact_padding(text: str, raw: bytes) -> None:
    assert decode(text) == raw


@pytest.mark.parametrize(
    "text",
    [
        "A",  # no byte has six bits
        "AB",  # left-over bits
        "AAB",
        "AA=",  # inexact padding
        "AA===",
        "AAAA=",
        "AAAA====",
        "====",
        "A=A=",
        "=AAA",
        "AA==AA==",
        "+/8",  # the other alphabet
        " AA",
        "AA ",
        "AA\n",
        "A\0",
        "AAAé",
        "AAA\udcff",
        "\uff21\uff21",
    ],
)
def test_any_other_text_is_refused(text: str) -> None:
    assert decode(text) is None


def test_one_byte_string_has_one_text() -> None:
    """Of all two- and three-letter texts exactly those that the encoder writes are read."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    read = {text for text in (a + b for a in digits for b in digits) if decode(text) is not None}
    assert read == {urlsafe_b64encode(bytes([n])).decode().rstrip("=") for n in range(256)}


@pytest.mark.parametrize(("text", "value"), [("AQAB", 65537), ("AAE", 1), ("", None), ("*", None)])
def test_numbers_are_big_endian_and_not_empty(text: str, value: int | None) -> None:
    assert number(text) == value
