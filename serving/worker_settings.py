"""What each worker finds in its environment in place of what all would share."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Protocol

from serving.problems import Place, Problems
from serving.settings import names_of

LAST_PORT = 65_535
MARGIN_SECONDS = 5.0
"""What ending takes besides the drain: the interpreter, the admin port, a busy machine."""


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


def admin_socket(group: str, index: int) -> str:
    """The admin port of worker `index`, as `serving.admin` spells a Unix socket."""
    return f"@tollhouse-{group}-{index}"


def worker_environment(
    settings: Any, environment: Mapping[str, str], index: int, group: str
) -> dict[str, str]:
    """
    The environment of worker `index`: its own gRPC port or socket, and its own admin socket.

    Port 0 stays 0: every worker takes any free one. Another name under which the supervisor
    was given such a setting is left out, or it would contradict ours.

    Args:
        settings: the service's, an instance of its dataclass (`serving.settings`).
        environment: what the settings were read from.
        index: counts from 0.
        group: a name that no other supervisor's workers have.
    """
    port = settings.grpc_port
    own = {
        "grpc_port": str(port + index if port else 0),
        "admin_host": admin_socket(group, index),
    }
    if settings.grpc_uds:
        own["grpc_uds"] = f"{settings.grpc_uds}.{index}"
    names = {each.name: names_of(each) for each in fields(settings) if each.name in own}
    shared = set(environment).difference(*names.values())
    return {name: environment[name] for name in shared} | {
        names[field][0]: value for field, value in own.items()
    }


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
