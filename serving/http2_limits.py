"""What one HTTP/2 connection may take, and what it pays for (RFC 9113 section 10.5)."""

from dataclasses import dataclass

SLICE = 8_192
"""libnghttp2 ends a connection whose unsent acknowledgements pass a thousand; a slice of this
size holds fewer, and its answers are taken out before the next one goes in."""

SILENT_BYTES = 160_000
"""No frame and no header block that libnghttp2 lets through is longer."""

MAX_WINDOW = (1 << 31) - 1
"""RFC 9113 section 6.9.1."""

TINY = 5
"""A DATA frame that ends nothing and has fewer bytes costs a token: not even the prefix of a gRPC
message fits in."""

CALL_EARNS = 1.0
"""Tokens for an answered call, which costs more work than anything that a token pays for: an honest
peer may cancel as many calls as it waits for."""

WINDOW_UPDATE_COSTS = 0.1
"""Tokens. gRPC clients send one or two a call; whatever else is not part of a call costs one."""


@dataclass(frozen=True, slots=True)
class Http2Limits:
    """What one connection may take."""

    max_concurrent_streams: int = 1_024
    """Envoy opens another connection when its calls in flight reach this."""
    max_message_bytes: int = 4 << 20
    max_header_list_bytes: int = 16_384
    """More in one request ends the connection: it could not be told from a compression bomb."""
    glitch_burst: int = 1_000
    """Tokens that a peer may spend at once."""
    glitch_per_second: int = 200

    @property
    def stream_window_bytes(self) -> int:
        """
        Larger than the largest message with its prefix.

        A message over the limit is then seen and refused instead of standing still.
        """
        return min(self.max_message_bytes + 65_536, MAX_WINDOW)

    @property
    def held_bytes(self) -> int:
        """Of messages that came in parts, or that a stream's handler has not asked for yet."""
        return 3 * self.max_message_bytes

    @property
    def window_bytes(self) -> int:
        """
        The connection's window: what is held does not close it.

        Unfinished messages that share a window which none of them can leave would wait for ever.
        """
        return min(self.held_bytes + self.stream_window_bytes, MAX_WINDOW)
