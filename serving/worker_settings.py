"""What each worker finds in its environment in place of what all would share."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

from serving.problems import Place, Problems
from serving.settings import names_of

LAST_PORT = 65_535
MARGIN_SECONDS = 5.0
"""What ending takes besides the drain: the interpreter, the admin port, a busy machine."""

Listener = str | tuple[str, int] | None
"""The path of a Unix socket, or host and port; None for any free port."""


class Supervised(Protocol):
    """The settings of a service that a supervisor has to know."""

    @property
    def grpc_port(self) -> int: ...

    @property
    def grpc_uds(self) -> str: ...

    @property
    def admin_host(self) -> str: ...

    @property
    def admin_port(self) -> int: ...

    @property
    def drain_delay_seconds(self) -> float: ...

    @property
    def drain_timeout_seconds(self) -> float: ...

    @property
    def log_level(self) -> str: ...

    @property
    def log_format(self) -> str: ...


def leave_seconds(settings: Supervised) -> float:
    """How long after SIGTERM a worker must be gone."""
    return settings.drain_delay_seconds + settings.drain_timeout_seconds + MARGIN_SECONDS


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One worker's place among the others."""

    index: int
    """Counts from 0; names the worker in logs, pages and metrics."""

    environment: Mapping[str, str]
    """All of it."""

    listener: Listener
    """Its gRPC listener."""

    admin: str
    """Its admin port, a Unix socket as `serving.admin` spells it."""


def endpoint(settings: Any, environment: Mapping[str, str], index: int, group: str) -> Endpoint:
    """
    Where worker `index` listens, and the environment that tells it so.

    Port 0 stays 0: every worker takes any free one. Another name under which the supervisor
    was given a setting that differs is left out, or it would contradict ours.

    Args:
        settings: the service's, an instance of its dataclass (`serving.settings`).
        environment: what the settings were read from.
        index: counts from 0.
        group: a name that no other supervisor's workers have.
    """
    port = settings.grpc_port + index if settings.grpc_port else 0
    own = {"grpc_port": str(port), "admin_host": f"@tollhouse-{group}-{index}"}
    listener: Listener = (settings.grpc_host, port) if port else None
    if settings.grpc_uds:
        listener = own["grpc_uds"] = f"{settings.grpc_uds}.{index}"
    names = {each.name: names_of(each) for each in fields(settings) if each.name in own}
    shared = set(environment).difference(*names.values())
    told = {name: environment[name] for name in shared}
    told |= {names[field][0]: value for field, value in own.items()}
    return Endpoint(index, told, listener, own["admin_host"])


def check_ports(settings: Supervised, count: int) -> None:
    """
    Make sure that each listener has a port to itself.

    Raises:
        ConfigError: GRPC_PORT and the numbers after it are not `count` ports, or one of them is
            the admin port.
    """
    if not settings.grpc_port or settings.grpc_uds:
        return
    problems = Problems()
    first, last = settings.grpc_port, settings.grpc_port + count - 1
    if last > LAST_PORT:
        message = f"found {first}; accepted: at most {LAST_PORT - count + 1} with {count} workers"
        problems.add(Place("environment", 0, 0, "GRPC_PORT"), message)
    if first <= settings.admin_port <= last and not settings.admin_host.startswith("@"):
        message = (
            f"found {settings.admin_port}; accepted: a port outside {first} to {last}, "
            f"which the {count} workers listen on"
        )
        problems.add(Place("environment", 0, 0, "ADMIN_PORT"), message)
    problems.raise_any()
