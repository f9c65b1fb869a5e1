"""A closed-loop HTTP/1.1 client on a few connections: fast enough to keep an Envoy busy."""

import asyncio
from collections import Counter
from collections.abc import Callable

from deploy.local.ports import LOOPBACK

PATIENCE_SECONDS = 50.0

Status = int
ABORTED = 0
"""Instead of a status: the connection ended without one."""


class Hammer:
    """
    Sends GET requests and counts the answers.

    Args:
        port: on the loopback address.
        headers: of each request.
    """

    def __init__(self, port: int, headers: dict[str, str] | None = None) -> None:
        self._port = port
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self._request = f"GET / HTTP/1.1\r\nHost: toll\r\n{lines}\r\n".encode()
        self.answers: Counter[Status] = Counter()
        self.head = b""
        """The head of the last answer."""

    @property
    def failed(self) -> int:
        """Requests that were not answered 200."""
        return self.answers.total() - self.answers[200]

    async def run(self, until: Callable[[], bool], connections: int = 16) -> None:
        """Ask on each connection without a pause until `until` says so."""
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(self._ask(until))

    async def send(self, requests: int, connections: int = 16) -> None:
        """Ask so many times, or until one fails."""
        await self.run(lambda: self.answers.total() >= requests or self.failed > 0, connections)

    async def _ask(self, until: Callable[[], bool]) -> None:
        reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
        try:
            while not until():
                writer.write(self._request)
                self.answers[await self._answer(reader)] += 1
        finally:
            writer.close()
            await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader) -> Status:
        try:
            self.head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return ABORTED
        for line in self.head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await reader.readexactly(int(line.partition(b":")[2]))
        return int(self.head[9:12])
