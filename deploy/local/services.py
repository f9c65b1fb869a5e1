"""Our two services as real processes, as `python -m rls serve` and `python -m authz serve`."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from deploy.local.ports import LOOPBACK
from deploy.local.processes import Process, running


class ServicePorts(NamedTuple):
    """The two ports of one service."""

    grpc: int
    admin: int


@contextmanager
def rls(
    folder: Path,
    ports: ServicePorts,
    limits: Path,
    *,
    valkey_port: int | None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """
    Run the rate limit service while the context is open.

    Args:
        folder: gets its log, `rls.log`.
        ports: where it listens.
        limits: the folder with the limits files.
        valkey_port: where its counters are; None for its own memory.
        settings: more of its environment; wins over what is set here.

    Yields:
        The process, started but not yet asked; ready when GET /readyz on its admin port is 200.
    """
    chosen = {
        "RUNTIME_ROOT": str(limits.parent),
        "RUNTIME_APPDIRECTORY": limits.name,
        "BACKEND_TYPE": "memory" if valkey_port is None else "redis",
        "REDIS_SOCKET_TYPE": "tcp",
        "REDIS_URL": f"{LOOPBACK}:{valkey_port}",
    }
    with _serving("rls", folder, ports, {**chosen, **(settings or {})}) as process:
        yield process


@contextmanager
def authz(
    folder: Path,
    ports: ServicePorts,
    policies: Path,
    *,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """
    Run the authorization service while the context is open.

    Args:
        folder: gets its log, `authz.log`.
        ports: where it listens.
        policies: the file or folder with the documents.
        settings: more of its environment; WORKLOAD_NAMESPACE and WORKLOAD_LABELS belong here.

    Yields:
        The process, started but not yet asked; ready when GET /readyz on its admin port is 200.
    """
    chosen = {"POLICY_PATHS": str(policies), **(settings or {})}
    with _serving("authz", folder, ports, chosen) as process:
        yield process


@contextmanager
def _serving(
    package: str, folder: Path, ports: ServicePorts, settings: Mapping[str, str]
) -> Iterator[Process]:
    common = {
        "GRPC_HOST": LOOPBACK,
        "GRPC_PORT": str(ports.grpc),
        "ADMIN_HOST": LOOPBACK,
        "ADMIN_PORT": str(ports.admin),
        "DRAIN_DELAY": "0s",  # nobody here has to learn of our leaving first
        "DRAIN_TIMEOUT": "1s",
    }
    command = [sys.executable, "-m", package, "serve"]
    with running(package, command, folder, {**common, **settings}) as process:
        yield process
