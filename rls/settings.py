"""The process settings of the rate limit service; the names are envoyproxy/ratelimit's."""

from dataclasses import dataclass
from pathlib import Path

from rls.counters.address import StoreAddress, store_address
from serving.problems import ConfigError, Place, Problem
from serving.settings import setting
from serving.values import PORT, ProcessSettings, choice, duration_seconds, text


def time_limit_seconds(found: str) -> float:
    """A duration that something can be done in; timers do not count less than a millisecond."""
    seconds = duration_seconds(found)
    if seconds < 0.001:
        raise ValueError("a duration of at least 1ms")
    return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(ProcessSettings):
    """Read once by `__main__`, printed redacted at start."""

    grpc_port: int = setting(8081, PORT, "port of the gRPC listener")
    admin_host: str = setting(
        "127.0.0.1", text, "address of the admin port", env=("ADMIN_HOST", "DEBUG_HOST")
    )
    admin_port: int = setting(
        6070, PORT, "port of /healthz, /readyz, /metrics", env=("ADMIN_PORT", "DEBUG_PORT")
    )
    config_type: str = setting(
        "FILE", choice("FILE"), "where limits come from; GRPC_XDS_SOTW is refused so far"
    )
    runtime_root: str = setting("/srv/runtime_data/current", text, "root of the limits files")
    runtime_subdirectory: str = setting("", text, "folder below RUNTIME_ROOT")
    runtime_appdirectory: str = setting(
        "config", text, "folder below RUNTIME_ROOT/RUNTIME_SUBDIRECTORY that holds the limits files"
    )
    backend_type: str = setting("redis", choice("redis", "memory"), "where the counters are kept")
    redis_socket_type: str = setting("unix", choice("unix", "tcp"), "how REDIS_URL is read")
    redis_type: str = setting(
        "SINGLE", choice("SINGLE", fold=True), "one server; Sentinel and Cluster are refused so far"
    )
    redis_url: str = setting(
        "/var/run/nutcracker/ratelimit.sock",
        text,
        "socket path, host:port, or redis://user:password@host:port/database",
        secret=True,
    )
    redis_auth: str = setting("", text, "password, or user:password", secret=True)
    redis_connect_timeout_seconds: float = setting(
        10.0, time_limit_seconds, "how long one attempt to connect may take", env=("REDIS_TIMEOUT",)
    )
    redis_op_timeout_seconds: float = setting(
        0.005,
        time_limit_seconds,
        "how long the counter store may take for one request; keep it below Envoy's 20 ms",
        env=("REDIS_OP_TIMEOUT",),
    )

    @property
    def limits_folder(self) -> Path:
        return Path(self.runtime_root) / self.runtime_subdirectory / self.runtime_appdirectory

    def store_address(self) -> StoreAddress:
        """Raises ConfigError when REDIS_URL does not fit REDIS_SOCKET_TYPE."""
        try:
            return store_address(self.redis_socket_type, self.redis_url, self.redis_auth)
        except ValueError as error:
            place = Place("environment", 0, 0, "REDIS_URL")
            message = f"does not fit REDIS_SOCKET_TYPE {self.redis_socket_type}; accepted: {error}"
            raise ConfigError([Problem(place, message)]) from error
