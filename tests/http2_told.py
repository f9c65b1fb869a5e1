"""HTTP/2 without I/O, and a sink that keeps what it was told."""

from typing import Any

from serving.http2 import Http2
from serving.http2_limits import Http2Limits
from serving.http2_sink import Headers
from tests.http2_frames import HELLO, Answers

HEAD: Headers = ((b":status", b"200"), (b"content-type", b"application/grpc"))
OK: Headers = ((b"grpc-status", b"0"),)
REFUSED: Headers = (*HEAD, (b"grpc-status", b"12"))


class Told:
    """A sink that keeps what it was told, and acknowledges DATA if it is to."""

    def __init__(self, limits: Http2Limits = Http2Limits(), greet: bool = True) -> None:  # noqa: B008
        self.requests: list[tuple[int, bool]] = []
        self.data: list[tuple[int, bytes, bool]] = []
        self.trailers: list[int] = []
        self.closed: list[int] = []
        self.windows = 0
        self.gives_back = 0
        self.answers = Answers()
        self.http2 = Http2(limits, self, now=0.0)
        self.take()
        if greet:
            self.receive(HELLO)

    def receive(self, octets: bytes, now: float = 0.0) -> list[Any]:
        early = self.http2.receive(octets, now)
        return self.answers.take(early) + self.take()

    def take(self) -> list[Any]:
        return self.answers.take(self.http2.output())

    def on_request(self, stream_id: int, headers: Headers, ended: bool) -> None:
        self.requests.append((stream_id, ended))

    def on_data(self, stream_id: int, data: bytes, ended: bool) -> None:
        self.data.append((stream_id, data, ended))

    def on_trailers(self, stream_id: int) -> None:
        self.trailers.append(stream_id)

    def on_closed(self, stream_id: int) -> None:
        self.closed.append(stream_id)
        if self.gives_back:
            self.http2.acknowledge(stream_id, self.gives_back)

    def on_window(self) -> None:
        self.windows += 1
