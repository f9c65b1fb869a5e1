"""Who may connect to whom, and how proxies connect to the services."""

from collections.abc import Iterable
from datetime import timedelta

from deploy.manifests.names import DOMAIN
from deploy.manifests.objects import Manifest, made, seconds, selected
from deploy.manifests.pods import NAME_LABEL
from deploy.manifests.shapes import VALKEY_PORT, Shape
from deploy.manifests.values import Values

CONNECT_TIMEOUT = timedelta(milliseconds=250)

DNS = 53
HBONE = 15008
ISTIOD = 15012
SENTINEL = 26379
TRACES = (4317, 4318)
HTTPS = 443

REACHED = {
    "rls": (VALKEY_PORT, SENTINEL, ISTIOD, HBONE, *TRACES),
    "authz": (HTTPS, ISTIOD, HBONE, *TRACES),
}
"""Ports that each service and its sidecar connect to: counters, key sets, istiod, traces."""


def network_policy(shape: Shape, values: Values) -> Manifest:
    """Calls from everywhere, the admin port for Prometheus alone; out to what it needs."""
    monitoring = {
        "namespaceSelector": selected(
            {"kubernetes.io/metadata.name": values("networkPolicy.monitoringNamespace")}
        )
    }
    ingress: list[Manifest] = [
        {"ports": _tcp((shape.port, HBONE))},
        {"from": [monitoring], "ports": _tcp((shape.admin_port,))},
    ]
    names = {"ports": [{"protocol": "UDP", "port": DNS}, {"protocol": "TCP", "port": DNS}]}
    spec = {
        "podSelector": selected({NAME_LABEL: shape.name}),
        "policyTypes": ["Ingress", "Egress"],
        "ingress": ingress,
        "egress": [names, {"ports": _tcp(REACHED[shape.name])}],
    }
    return made("networking.k8s.io/v1", "NetworkPolicy", shape.name, values.namespace, spec=spec)


def valkey_network_policy(namespace: str) -> Manifest:
    """Only the rate limit service; nothing out but what its sidecar needs."""
    names = {"ports": [{"protocol": "UDP", "port": DNS}, {"protocol": "TCP", "port": DNS}]}
    peer = {"podSelector": selected({NAME_LABEL: "rls"})}
    spec = {
        "podSelector": selected({"app": "valkey"}),
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [peer], "ports": _tcp((VALKEY_PORT, HBONE))}],
        "egress": [names, {"ports": _tcp((ISTIOD, HBONE))}],
    }
    return made("networking.k8s.io/v1", "NetworkPolicy", "valkey", namespace, spec=spec)


def strict_mtls(namespace: str) -> Manifest:
    spec = {"mtls": {"mode": "STRICT"}}
    return made("security.istio.io/v1", "PeerAuthentication", "default", namespace, spec=spec)


def destination_rule(name: str, namespace: str) -> Manifest:
    """How every proxy of the mesh connects to a service of ours, and when it avoids a pod."""
    pool = {
        "tcp": {
            "connectTimeout": seconds(CONNECT_TIMEOUT),
            "maxConnections": 64,
            "tcpKeepalive": {"time": "10s", "interval": "5s", "probes": 3},
        },
        "http": {"http2MaxRequests": 2000},
    }
    outliers = {
        "splitExternalLocalOriginErrors": True,
        "consecutiveLocalOriginFailures": 3,
        "consecutive5xxErrors": 0,
        "consecutiveGatewayErrors": 0,
        "interval": "1s",
        "baseEjectionTime": "5s",
        "maxEjectionPercent": 50,
    }
    spec = {
        "host": f"{name}.{namespace}.svc.{DOMAIN}",
        "exportTo": ["*"],
        "trafficPolicy": {"connectionPool": pool, "outlierDetection": outliers},
    }
    return made("networking.istio.io/v1", "DestinationRule", name, namespace, spec=spec)


def _tcp(ports: Iterable[int]) -> list[Manifest]:
    return [{"protocol": "TCP", "port": port} for port in ports]
