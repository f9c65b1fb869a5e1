"""
What wires a workload's sidecar to the two services in Istio.

The names that patches must match were tried on a real istiod: a patch that matches nothing is
silent. The workload is Service `httpbin` of namespace `shop`, container port 8080.
"""

from datetime import timedelta
from typing import Any

from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter

from deploy.wiring import (
    EXT_AUTHZ,
    EXT_AUTHZ_TIMEOUT,
    ON_ERROR,
    Service,
    ext_authz_filter,
    plain,
    ratelimit_filter,
)

Manifest = dict[str, Any]

HOME = "tollhouse"
WORKLOAD_NAMESPACE = "shop"
WORKLOAD_LABELS = {"app": "httpbin"}
WORKLOAD_PORT = 8080
PROVIDER = "tollhouse"
RLS_PORT = 8081
AUTHZ_PORT = 9191

MANAGER = "envoy.filters.network.http_connection_manager"
ROUTER = "envoy.filters.http.router"

CONNECT_TIMEOUT = timedelta(milliseconds=250)

FROM_PROVIDER = ("grpc_service", "transport_api_version", "failure_mode_allow", "status_on_error")
"""Fields of the ext_authz filter that istiod fills from the provider; the patch adds the rest."""


def host(name: str) -> str:
    return f"{name}.{HOME}.svc.cluster.local"


def service(name: str, port: int) -> Service:
    """A service of ours by the cluster name that istiod generates for it."""
    return Service(f"outbound|{port}||{host(name)}", host(name))


def ratelimit_patch() -> Manifest:
    """The rate limit filter, last before the router of the workload's port."""
    match = _in_front_of(ROUTER)
    match["listener"]["portNumber"] = WORKLOAD_PORT
    value = plain(ratelimit_filter(service("rls", RLS_PORT)))
    return _envoy_filter("rls", match, "INSERT_BEFORE", value)


def ext_authz_patch() -> Manifest:
    """What a provider cannot say, merged into the filter that istiod generates from it."""
    value = plain(ext_authz())
    value["typed_config"] = {
        name: field for name, field in value["typed_config"].items() if name not in FROM_PROVIDER
    }
    return _envoy_filter("authz", _in_front_of(EXT_AUTHZ), "MERGE", value)


def ext_authz() -> HttpFilter:
    """The filter that provider, policy and patch amount to together."""
    return ext_authz_filter(service("authz", AUTHZ_PORT))


def extension_provider() -> Manifest:
    """A part of MeshConfig, as values of the istiod chart have it."""
    grpc = {
        "service": host("authz"),
        "port": AUTHZ_PORT,
        "timeout": seconds(EXT_AUTHZ_TIMEOUT),
        "failOpen": False,
        "statusOnError": str(ON_ERROR.value),
    }
    return {"meshConfig": {"extensionProviders": [{"name": PROVIDER, "envoyExtAuthzGrpc": grpc}]}}


def custom_policy() -> Manifest:
    """Sends every request of the workload to the provider."""
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "ask-authz", "namespace": WORKLOAD_NAMESPACE},
        "spec": {
            "selector": {"matchLabels": dict(WORKLOAD_LABELS)},
            "action": "CUSTOM",
            "provider": {"name": PROVIDER},
            "rules": [{}],
        },
    }


def destination_rule(name: str) -> Manifest:
    """How every proxy of the mesh connects to a service of ours, and when it avoids a pod."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": name, "namespace": HOME},
        "spec": {
            "host": host(name),
            "exportTo": ["*"],
            "trafficPolicy": {
                "connectionPool": {
                    "tcp": {
                        "connectTimeout": seconds(CONNECT_TIMEOUT),
                        "maxConnections": 64,
                        "tcpKeepalive": {"time": "10s", "interval": "5s", "probes": 3},
                    },
                    "http": {"http2MaxRequests": 2000},
                },
                "outlierDetection": {
                    "splitExternalLocalOriginErrors": True,
                    "consecutiveLocalOriginFailures": 3,
                    "consecutive5xxErrors": 0,
                    "consecutiveGatewayErrors": 0,
                    "interval": "1s",
                    "baseEjectionTime": "5s",
                    "maxEjectionPercent": 50,
                },
            },
        },
    }


def seconds(duration: timedelta) -> str:
    """As protobuf's JSON has a duration."""
    return f"{duration.total_seconds():g}s"


def _in_front_of(http_filter: str) -> Manifest:
    chain = {"filter": {"name": MANAGER, "subFilter": {"name": http_filter}}}
    return {"context": "SIDECAR_INBOUND", "listener": {"filterChain": chain}}


def _envoy_filter(name: str, match: Manifest, operation: str, value: Manifest) -> Manifest:
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": name, "namespace": WORKLOAD_NAMESPACE},
        "spec": {
            "priority": 10,
            "workloadSelector": {"labels": dict(WORKLOAD_LABELS)},
            "configPatches": [
                {
                    "applyTo": "HTTP_FILTER",
                    "match": match,
                    "patch": {"operation": operation, "value": value},
                }
            ],
        },
    }
