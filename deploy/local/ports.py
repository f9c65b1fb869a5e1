"""Free ports that stay ours from the choice until the program that was told of them listens."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

LOOPBACK = "127.0.0.1"


@contextmanager
def reserved(count: int) -> Iterator[tuple[int, ...]]:
    """
    Reserve `count` TCP ports on the loopback address while the context is open.

    Each is held by a socket that is bound but does not listen. With SO_REUSEADDR on both sides
    Linux lets a program bind and listen beside it (every server here sets it), but gives the port
    neither to anyone who asks for any free port nor to an outgoing connection.
    """
    with ExitStack() as stack:
        yield tuple(_hold(stack) for _ in range(count))


def _hold(stack: ExitStack) -> int:
    holder = stack.enter_context(socket.socket())
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((LOOPBACK, 0))
    port: int = holder.getsockname()[1]
    return port
