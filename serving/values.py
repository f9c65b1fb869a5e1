"""
How the text of an environment variable becomes a value.

Each parser raises ValueError whose text says what is accepted.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from serving.logs import LEVELS
from serving.settings import setting

DURATION_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+")
TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


def text(found: str) -> str:
    return found


def boolean(found: str) -> bool:
    """What Go's strconv.ParseBool takes, as envoyproxy/ratelimit and Istio use it."""
    if found not in TRUE and found not in FALSE:
        raise ValueError("true, false, 1, 0, t, f")
    return found in TRUE


def integer(low: int, high: int) -> Callable[[str], int]:
    def parse(found: str) -> int:
        if not found.isascii() or not found.isdigit() or not low <= int(found) <= high:
            raise ValueError(f"a whole number {low} to {high}")
        return int(found)

    return parse


def duration_seconds(found: str) -> float:
    """Go's durations: `3s`, `1m30s`, `250ms`, and a bare `0`."""
    if found == "0":
        return 0.0
    if not DURATION.fullmatch(found):
        raise ValueError("a duration with its unit, such as 3s, 250ms or 1m30s")
    parts = re.findall(r"([0-9.]+)([a-zµ]+)", found)
    return sum(float(number) * DURATION_UNITS[unit] for number, unit in parts)


def choice(*names: str, fold: bool = False) -> Callable[[str], str]:
    """One of `names`; with `fold` any case is taken."""

    def parse(found: str) -> str:
        value = next((n for n in names if n == found or (fold and n.lower() == found.lower())), "")
        if not value:
            raise ValueError(", ".join(names))
        return value

    return parse


def names(found: str) -> tuple[str, ...]:
    """Comma-separated names; blanks around them and empty ones are dropped."""
    return tuple(name.strip() for name in found.split(",") if name.strip())


def labels(found: str) -> tuple[tuple[str, str], ...]:
    """`k=v,k2=v2`, as Kubernetes labels are written → pairs."""
    pairs = [name.partition("=") for name in names(found)]
    if not all(key and equals for key, equals, _ in pairs):
        raise ValueError("labels such as app=web,version=v1")
    if len({key.strip() for key, _, _ in pairs}) < len(pairs):
        raise ValueError("each label once")
    return tuple((key.strip(), value.strip()) for key, _, value in pairs)


def permissions(found: str) -> int:
    """Octal, as chmod takes them: `0660` or `660`."""
    if not re.fullmatch("0?[0-7]{3}|0", found):
        raise ValueError("permissions in octal, such as 0660")
    return int(found, 8)


PORT = integer(0, 65535)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """What both services have in common; each gives its own ports."""

    grpc_host: str = setting("0.0.0.0", text, "address of the gRPC listener")  # noqa: S104 - a server
    grpc_uds: str = setting("", text, "Unix socket of the gRPC listener, instead of host and port")
    grpc_uds_mode: int = setting(
        0, permissions, "permissions of that socket's file; 0 for what the umask leaves"
    )
    transport: str = setting("fast", choice("fast", "grpcio"), "engine of the gRPC listener")
    grpc_server_use_tls: bool = setting(False, boolean, "serve TLS")
    grpc_server_tls_cert: str = setting("", text, "PEM file of the server's certificate chain")
    grpc_server_tls_key: str = setting("", text, "PEM file of its key")
    grpc_client_tls_cacert: str = setting(
        "", text, "PEM file of CA certificates; clients must then present a certificate of theirs"
    )
    grpc_client_tls_san: tuple[str, ...] = setting(
        (), names, "DNS names or URIs, one of which a client's certificate must carry"
    )
    grpc_max_connection_age_seconds: float = setting(
        86_400.0,
        duration_seconds,
        "after so long a connection is told to leave; 0 for never",
        env=("GRPC_MAX_CONNECTION_AGE",),
    )
    grpc_max_connection_age_grace_seconds: float = setting(
        3_600.0,
        duration_seconds,
        "how long its calls in flight may then take; 0 for as long as they need",
        env=("GRPC_MAX_CONNECTION_AGE_GRACE",),
    )
    grpc_max_concurrent_streams: int = setting(
        1_024, integer(1, 2**31 - 1), "calls at a time on one connection"
    )
    grpc_max_connections: int = setting(
        1_024, integer(1, 2**31 - 1), "connections at a time; more are closed as they come"
    )
    grpc_max_message_bytes: int = setting(
        4 << 20, integer(1, 1 << 30), "a larger request is refused"
    )
    grpc_max_header_list_bytes: int = setting(
        16_384, integer(1_024, 1 << 20), "more headers in one request end its connection"
    )
    grpc_glitch_burst: int = setting(
        1_000,
        integer(1, 2**31 - 1),
        "frames that are no work (PING, SETTINGS, resets) a peer may send at once; fast engine",
    )
    grpc_glitch_per_second: int = setting(
        200, integer(1, 2**31 - 1), "how many of them it may send from then on; fast engine"
    )
    drain_delay_seconds: float = setting(
        3.0,
        duration_seconds,
        "how long a stopping server still takes new calls, so that every proxy learns of it",
        env=("DRAIN_DELAY",),
    )
    drain_timeout_seconds: float = setting(
        10.0, duration_seconds, "how long calls in flight may then take", env=("DRAIN_TIMEOUT",)
    )
    log_format: str = setting("text", choice("text", "json", fold=True), "form of a log line")
    log_level: str = setting("INFO", choice(*LEVELS, fold=True), "least level that is written")
