"""How long a slow or silent peer may keep a connection open."""

from collections.abc import Iterable
from typing import NamedTuple

GREETING_SECONDS = 10.0
"""For the peer's SETTINGS, for the rest of a frame or header block, for the answer to a ping, and
for the last bytes to go out."""

STALLED_SECONDS = 10.0
"""A peer that does not read is not read from; so long, then it is cut off."""

QUIET_SECONDS = 30.0
"""A peer that has been silent for so long is pinged. Whoever is in the middle of a frame or of a
header block cannot answer; neither can a peer that died."""


class Wait(NamedTuple):
    """Something that a peer keeps us waiting for."""

    since: float | None
    allowed_seconds: float
    complaint: str


def complaint(waits: Iterable[Wait], now: float) -> str:
    """What has been waited for too long; empty when nothing has."""
    for since, allowed_seconds, text in waits:
        if since is not None and now - since > allowed_seconds:
            return text
    return ""
