"""The file of a Unix socket: left by the dead, owned by the living, removed by who made it."""

import errno
import socket
from contextlib import suppress
from pathlib import Path


def claim(path: Path) -> None:
    """
    Make a path free to bind: a socket file on which nobody listens any more is removed.

    Raises:
        OSError: EADDRINUSE when a live server listens there, or whatever keeps us from asking it.
            A file that is no socket is left for `bind` to refuse.
    """
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # its queue is full: alive, and busy
    raise OSError(errno.EADDRINUSE, "another server listens there", str(path))


def inode(path: Path) -> int:
    """Tells our file from one that another server made at the same path later."""
    return path.stat().st_ino


def release(path: Path, made: int) -> None:
    """Remove the socket file unless it is another's by now."""
    with suppress(OSError):
        if inode(path) == made:
            path.unlink()
