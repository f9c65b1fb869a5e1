"""
Base64url of RFC 7515 section 2, strictly: every byte string has one text, every other is refused.

Python's own decoder drops what it does not know and ignores left-over bits, so that one token
could be written in many ways and text could hide inside it. Padding is let through where it is
exact, because a well-known cloud load balancer mints padded tokens.
"""

from binascii import a2b_base64

DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
PLAIN = bytes.maketrans(b"-_", b"+/")
LAST_DIGITS = {2: "AQgw", 3: "AEIMQUYcgkosw048"}
"""Length modulo 4 → the last digits whose left-over bits are zero."""


def decode(text: str) -> bytes | None:
    """The bytes that `text` stands for, or None when it is not their canonical text."""
    bare = text.rstrip("=")
    rest = len(bare) % 4
    if rest == 1 or (rest and bare[-1] not in LAST_DIGITS[rest]) or not bare.isascii():
        return None
    missing = -len(bare) % 4
    digits = bare.encode()
    if len(text) - len(bare) not in (0, missing) or digits.translate(None, DIGITS):
        return None
    return a2b_base64(digits.translate(PLAIN) + b"=" * missing)


def number(text: str) -> int | None:
    """A whole number as JWK writes it (RFC 7518 section 2, Base64urlUInt), or None."""
    digits = decode(text)
    return int.from_bytes(digits, "big") if digits else None
