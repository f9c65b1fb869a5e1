"""Starts toll servers as processes of their own."""

import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.local.ports import LOOPBACK
from deploy.local.processes import Process, running


@contextmanager
def toll_server(
    folder: Path, port: int, settings: Mapping[str, str], *less: str
) -> Iterator[Process]:
    """
    A toll server that listens, while the context is open.

    Args:
        folder: gets its log.
        port: on the loopback address.
        settings: its environment.
        less: mends left out.
    """
    command = [sys.executable, "-m", "tests.integration.toll_server", str(port), *less]
    environment = {"GRPC_HOST": LOOPBACK, "DRAIN_DELAY": "0s", "DRAIN_TIMEOUT": "1s", **settings}
    with running(f"toll-{port}", command, folder, environment) as process:
        process.wait_until(_listens(port))
        yield process


def _listens(port: int) -> Callable[[], bool]:
    def ask() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, port)) == 0

    return ask
