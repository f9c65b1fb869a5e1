"""The Kubernetes objects that run the two services, and Valkey beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from deploy.istio import AUTHZ_PORT, HOME, RLS_PORT, WORKLOAD_LABELS, WORKLOAD_NAMESPACE, host

Manifest = dict[str, Any]

IMAGE = "tollhouse:0.1.0"
VALKEY_IMAGE = "valkey/valkey:9.1"
VALKEY_PORT = 6379

DRAIN_DELAY_SECONDS = 3
DRAIN_TIMEOUT_SECONDS = 10
GRACE_SECONDS = DRAIN_DELAY_SECONDS + DRAIN_TIMEOUT_SECONDS + 2
"""Kubernetes kills what has not left by then; two seconds for the exit itself."""

CONFIG = Path(__file__).parents[1] / "config"

NOT_ROOT = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
NO_PRIVILEGES = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


class Shape(NamedTuple):
    """What differs between the two services."""

    name: str
    port: int
    admin_port: int
    health: str
    """The name under which grpc.health.v1 answers."""
    settings: Mapping[str, str]
    files: str
    """Folder below `config/` with the operator's files."""
    mounted: str
    """Where the service looks for them."""


RLS = Shape(
    name="rls",
    port=RLS_PORT,
    admin_port=6070,
    health="ratelimit",
    settings={
        "BACKEND_TYPE": "redis",
        "REDIS_SOCKET_TYPE": "tcp",
        "REDIS_URL": f"{host('valkey')}:{VALKEY_PORT}",
    },
    files="rls",
    mounted="/srv/runtime_data/current/config",
)
AUTHZ = Shape(
    name="authz",
    port=AUTHZ_PORT,
    admin_port=9190,
    health="envoy.service.auth.v3.Authorization",
    settings={
        "WORKLOAD_NAMESPACE": WORKLOAD_NAMESPACE,
        "WORKLOAD_LABELS": ",".join(f"{key}={value}" for key, value in WORKLOAD_LABELS.items()),
    },
    files="authz",
    mounted="/etc/tollhouse/policies",
)


def namespace() -> list[Manifest]:
    labels = {"istio-injection": "enabled"}
    strict = {"mtls": {"mode": "STRICT"}}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME, "labels": labels}},
        _object("security.istio.io/v1", "PeerAuthentication", "default", {"spec": strict}),
    ]


def service_objects(shape: Shape) -> list[Manifest]:
    """ConfigMap, ServiceAccount, Service and Deployment of one service."""
    files = sorted((CONFIG / shape.files).glob("*.yaml"))
    data = {file.name: file.read_text() for file in files}
    return [
        _object("v1", "ConfigMap", _files(shape), {"data": data}),
        _object("v1", "ServiceAccount", shape.name, {}),
        _service(shape.name, f"grpc-{shape.name}", shape.port),
        _deployment(shape.name, 2, _pod(shape)),
    ]


def valkey_objects() -> list[Manifest]:
    """One Valkey without persistence, open to the rate limit service alone."""
    container = {
        "name": "valkey",
        "image": VALKEY_IMAGE,
        "args": [
            *("--save", "", "--appendonly", "no"),
            *("--maxmemory", "200mb", "--maxmemory-policy", "noeviction"),
            *("--protected-mode", "no"),
        ],
        "ports": [{"name": "tcp-valkey", "containerPort": VALKEY_PORT}],
        "readinessProbe": {"exec": {"command": ["valkey-cli", "ping"]}, "periodSeconds": 5},
        "resources": _resources(cpu="100m", memory="256Mi"),
        "securityContext": dict(NO_PRIVILEGES),
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    pod = {
        "metadata": {"labels": {"app": "valkey"}},
        "spec": {
            "serviceAccountName": "valkey",
            "automountServiceAccountToken": False,
            "securityContext": {**NOT_ROOT, "runAsUser": 999, "runAsGroup": 999},
            "containers": [container],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    }
    source = {"principals": [f"cluster.local/ns/{HOME}/sa/rls"]}
    allowed = {
        "selector": {"matchLabels": {"app": "valkey"}},
        "action": "ALLOW",
        "rules": [{"from": [{"source": source}]}],
    }
    return [
        _object("v1", "ServiceAccount", "valkey", {}),
        _service("valkey", "tcp-valkey", VALKEY_PORT),
        _deployment("valkey", 1, pod),
        _object("security.istio.io/v1", "AuthorizationPolicy", "valkey", {"spec": allowed}),
    ]


def _pod(shape: Shape) -> Manifest:
    annotations = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(shape.admin_port),
        "prometheus.io/path": "/metrics",
        "proxy.istio.io/config": (
            f"terminationDrainDuration: {DRAIN_DELAY_SECONDS + DRAIN_TIMEOUT_SECONDS}s\n"
        ),
    }
    return {
        "metadata": {"labels": {"app": shape.name}, "annotations": annotations},
        "spec": {
            "serviceAccountName": shape.name,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "securityContext": dict(NOT_ROOT),
            "containers": [_container(shape)],
            "volumes": [{"name": "files", "configMap": {"name": _files(shape)}}],
        },
    }


def _container(shape: Shape) -> Manifest:
    settings = {
        **shape.settings,
        "ADMIN_HOST": "0.0.0.0",  # noqa: S104 - kubelet and Prometheus come from outside the pod
        "LOG_FORMAT": "json",
        "DRAIN_DELAY": f"{DRAIN_DELAY_SECONDS}s",
        "DRAIN_TIMEOUT": f"{DRAIN_TIMEOUT_SECONDS}s",
    }
    return {
        "name": shape.name,
        "image": IMAGE,
        "command": ["python", "-m", shape.name, "serve"],
        "env": [{"name": name, "value": value} for name, value in settings.items()],
        "ports": [
            {"name": f"grpc-{shape.name}", "containerPort": shape.port},
            {"name": "http-admin", "containerPort": shape.admin_port},
        ],
        "readinessProbe": {
            "grpc": {"port": shape.port, "service": shape.health},
            "periodSeconds": 2,
        },
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http-admin"}},
        "resources": _resources(cpu="100m", memory="256Mi"),
        "securityContext": dict(NO_PRIVILEGES),
        "volumeMounts": [{"name": "files", "mountPath": shape.mounted, "readOnly": True}],
    }


def _deployment(name: str, replicas: int, pod: Manifest) -> Manifest:
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": name}},
        "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": pod,
    }
    return _object("apps/v1", "Deployment", name, {"spec": spec})


def _service(name: str, port_name: str, port: int) -> Manifest:
    ports = [{"name": port_name, "port": port, "targetPort": port_name}]
    return _object("v1", "Service", name, {"spec": {"selector": {"app": name}, "ports": ports}})


def _object(api_version: str, kind: str, name: str, rest: Manifest) -> Manifest:
    metadata = {"name": name, "namespace": HOME}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def _files(shape: Shape) -> str:
    return f"{shape.name}-{'limits' if shape is RLS else 'policies'}"


def _resources(*, cpu: str, memory: str) -> Manifest:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}
