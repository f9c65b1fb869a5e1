"""
The name of a counter in the store: versioned, injective, hash-tagged.

`rl1:{4:edge4:user3:ann}m:1700000040`: every part is preceded by its length in bytes, so no two
lists of parts share a key whatever characters they hold. The braces are Redis Cluster's hash tag:
it ends at the first `}`, which spreads counters over the slots even if a value has braces in it.
Behind the tag stand algorithm and unit, and for a window its start.
"""

from collections.abc import Sequence

from rls.limits import Algorithm, Entry, RateLimit

VERSION = b"rl1:"
MARKS = {Algorithm.FIXED_WINDOW: b"w", Algorithm.TOKEN_BUCKET: b"b"}


def counter_key(domain: str, entries: Sequence[Entry], limit: RateLimit) -> bytes:
    """The key of a bucket, and the stem of a window's: `window_key` adds the start."""
    parts = [domain, *(part for entry in entries for part in entry)]
    tag = b"".join(_measured(part) for part in parts)
    return b"%b{%b}%b%d" % (VERSION, tag, MARKS[limit.algorithm], limit.unit.seconds)


def window_key(stem: bytes, window_start_seconds: int) -> bytes:
    """The window is part of the key, so its TTL only collects rubbish."""
    return b"%b:%d" % (stem, window_start_seconds)


def _measured(part: str) -> bytes:
    encoded = part.encode()
    return b"%d:%b" % (len(encoded), encoded)
