"""A process that ends with the one that started it: standard input as the line between them."""

import math
import os
import signal
import threading
from contextlib import suppress


def hold(line: int, leave_seconds: float) -> None:
    """
    Drain when the other end of `line` is closed, as a process's end closes it, even by SIGKILL.

    A thread waits for it, so that a busy event loop cannot miss it.

    Args:
        line: file descriptor, readable; whatever is read before the end is ignored.
        leave_seconds: a process that is still there so long after that is ended by the kernel.
    """
    thread = threading.Thread(target=_watch, args=(line, leave_seconds), daemon=True)
    thread.name = "lifeline"
    thread.start()


def _watch(line: int, leave_seconds: float) -> None:
    with suppress(OSError):  # a line that cannot be read has nobody at its other end
        while os.read(line, 4_096):
            pass
    signal.alarm(math.ceil(leave_seconds))
    os.kill(os.getpid(), signal.SIGTERM)
