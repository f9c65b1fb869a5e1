"""What HTTP/2 tells whoever answers its streams."""

from typing import Protocol

Headers = tuple[tuple[bytes, bytes], ...]


class Sink(Protocol):
    """What happens on the streams of a connection."""

    def on_request(self, stream_id: int, headers: Headers, ended: bool) -> None: ...

    def on_data(self, stream_id: int, data: bytes, ended: bool) -> None: ...

    def on_trailers(self, stream_id: int) -> None:
        """The request ended with trailers."""
        ...

    def on_closed(self, stream_id: int) -> None:
        """The stream is over: answered, reset, or refused."""
        ...

    def on_window(self) -> None:
        """The peer takes more data than before."""
        ...
