"""What differs between the two services, and the seconds that both share."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from deploy.manifests.names import AUTHZ_PORT, RLS_PORT, WORKLOAD_LABELS, WORKLOAD_NAMESPACE

CONFIG = Path(__file__).parents[2] / "config"

VALKEY_PORT = 6379

DRAIN_DELAY_SECONDS = 3
DRAIN_TIMEOUT_SECONDS = 10
LEAVING_SECONDS = 5
"""What ending takes besides (serving/worker_settings.py): the supervisor kills its workers then."""
GRACE_SECONDS = DRAIN_DELAY_SECONDS + DRAIN_TIMEOUT_SECONDS + LEAVING_SECONDS + 2
"""Kubernetes kills what has not left by then: after the service has itself given up."""

SHARED_SETTINGS = {
    "ADMIN_HOST": "0.0.0.0",  # noqa: S104 - kubelet and Prometheus come from outside the pod
    "LOG_FORMAT": "json",
    "DRAIN_DELAY": f"{DRAIN_DELAY_SECONDS}s",
    "DRAIN_TIMEOUT": f"{DRAIN_TIMEOUT_SECONDS}s",
}


class Shape(NamedTuple):
    """One of the two services."""

    name: str
    port: int
    admin_port: int
    health: str
    """The name under which grpc.health.v1 answers."""
    settings: Mapping[str, str]
    files: str
    """What its files are called: `limits` or `policies`."""
    mounted: str
    """Where the service looks for them."""

    @property
    def config_map(self) -> str:
        return f"{self.name}-{self.files}"

    @property
    def all_settings(self) -> dict[str, str]:
        return {**SHARED_SETTINGS, **self.settings}

    def contents(self) -> dict[str, str]:
        """The example files of `config/`, by name."""
        folder = CONFIG / self.name
        return {file.name: file.read_text() for file in sorted(folder.glob("*.yaml"))}


def labels_setting(labels: Mapping[str, str]) -> str:
    """As WORKLOAD_LABELS is written."""
    return ",".join(f"{key}={value}" for key, value in labels.items())


RLS = Shape(
    name="rls",
    port=RLS_PORT,
    admin_port=6070,
    health="ratelimit",
    settings={
        "BACKEND_TYPE": "redis",
        "REDIS_SOCKET_TYPE": "tcp",
        "REDIS_URL": f"valkey:{VALKEY_PORT}",
    },
    files="limits",
    mounted="/srv/runtime_data/current/config",
)
AUTHZ = Shape(
    name="authz",
    port=AUTHZ_PORT,
    admin_port=9190,
    health="envoy.service.auth.v3.Authorization",
    settings={
        "WORKLOAD_NAMESPACE": WORKLOAD_NAMESPACE,
        "WORKLOAD_LABELS": labels_setting(WORKLOAD_LABELS),
    },
    files="policies",
    mounted="/etc/tollhouse/policies",
)
SHAPES = (RLS, AUTHZ)
