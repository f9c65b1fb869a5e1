"""
The fast engine's listener: bound, accepting, and closed without losing whom it has accepted.

asyncio's own server will not do. Closing one loses the connection that it is just accepting, and a
new certificate would mean to close it.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from serving import unix_socket
from serving.tls import Tls

log = structlog.get_logger()

BACKLOG = 1_024
"""asyncio's own 100 makes newcomers of a burst wait a second for their SYN to be sent again."""

HANDSHAKE_SECONDS = 10.0
PAUSE_SECONDS = 1.0
EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

Protocols = Callable[[Tls | None], asyncio.Protocol]


class Listener:
    """
    One address; listens from the start on.

    Args:
        host: address to bind, or the path of a Unix socket when it begins with `/`.
        port: 0 for any free port; ignored for a Unix socket.
        protocols: makes the protocol of a connection, given the TLS that it came over.
        tls: of new connections; may be replaced.
        max_arriving: handshakes at a time; more connections are closed as they come.

    Raises:
        OSError: the address cannot be had.
    """

    def __init__(
        self, host: str, port: int, protocols: Protocols, tls: Tls | None, max_arriving: int
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._protocols, self._max_arriving = protocols, max_arriving
        self.tls = tls
        self._file = Path(host) if host.startswith("/") else None
        self._socket = _bound_file(self._file) if self._file else _bound(host, port)
        self._inode = unix_socket.inode(self._file) if self._file else 0
        self._socket.setblocking(False)
        self._arriving: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._resume()

    @property
    def port(self) -> int:
        """The bound port; 0 for a Unix socket."""
        return 0 if self._file else int(self._socket.getsockname()[1])

    def close(self) -> None:
        """Accept nothing more, but what has already connected. A second time does nothing."""
        if self._socket.fileno() < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._accept()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        if self._file is not None:
            unix_socket.release(self._file, self._inode)

    async def arrived(self, seconds: float) -> None:
        """Wait until whoever was accepted is through its handshake, or has taken too long."""
        if self._arriving:
            await asyncio.wait(self._arriving, timeout=seconds)
        for task in self._arriving:
            task.cancel()

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(BACKLOG):
            try:
                accepted, _peer = self._socket.accept()
            except OSError as error:
                if error.errno in EXHAUSTED:
                    self._wait_for_room(error)
                return  # the queue is empty, or whoever stood first in it has gone
            if len(self._arriving) >= self._max_arriving:
                accepted.close()
                continue
            task = self._loop.create_task(self._arrive(accepted))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    def _wait_for_room(self, error: OSError) -> None:
        """Out of file descriptors or memory: the queue stays as it is, so asking on is no use."""
        log.error("cannot accept", reason=error.strerror)
        self._loop.remove_reader(self._socket)
        self._pause = self._loop.call_later(PAUSE_SECONDS, self._resume)

    async def _arrive(self, accepted: socket.socket) -> None:
        tls = self.tls
        with suppress(OSError, ssl.SSLError):  # a handshake that failed: the other side knows
            accepted.setblocking(False)
            if self._file is None:
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(
                lambda: self._protocols(tls),
                accepted,
                ssl=tls.context if tls is not None else None,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if tls is not None else None,
            )


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()  # as grpcio and Go understand it
    return socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)


def _bound_file(path: Path) -> socket.socket:
    unix_socket.claim(path)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    return listener
