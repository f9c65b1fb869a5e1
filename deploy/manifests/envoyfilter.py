"""
EnvoyFilters: which proxies, which place in their configuration, and what to do there.

The names that a match must have were tried on a real istiod; a patch that matches nothing is
silent. `deploy.traps` refuses the ones that cannot match or that a proxy refuses.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from betterproto2 import Message
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    Http2ProtocolOptions,
    Pipe,
)
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import HttpProtocolOptions
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptionsExplicitHttpConfig as ExplicitHttp,
)
from envoy_data_plane.google.protobuf import Any as Packed

from deploy.manifests.names import (
    GATEWAYS,
    WORKLOAD_LABELS,
    WORKLOAD_NAMESPACE,
)
from deploy.manifests.objects import Manifest, made
from deploy.wiring import plain

MANAGER = "envoy.filters.network.http_connection_manager"
ROUTER = "envoy.filters.http.router"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

INBOUND, GATEWAY = "SIDECAR_INBOUND", "GATEWAY"
WAYPOINT_LISTENER = "main_internal"

REFERENCED = "envoyfilter.istio.io/referenced-services"

CONNECT_TIMEOUT = timedelta(milliseconds=250)


class Proxies(NamedTuple):
    """Which proxies a filter is for, and what a patch for them must say."""

    namespace: str
    context: str
    labels: Mapping[str, str] | None = None
    """Of the pods; None with `gateway`."""
    gateway: str = ""
    """Name of a waypoint's Gateway."""
    port: int | None = None
    """Of the container or gateway pod; None for every port."""


def sidecars(port: int | None) -> Proxies:
    """The sidecars of the example workload."""
    return Proxies(WORKLOAD_NAMESPACE, INBOUND, WORKLOAD_LABELS, port=port)


def gateways(labels: Mapping[str, str], port: int | None) -> Proxies:
    """The pods of an ingress or egress gateway."""
    return Proxies(GATEWAYS, GATEWAY, labels, port=port)


def waypoint(namespace: str, gateway: str) -> Proxies:
    return Proxies(namespace, INBOUND, gateway=gateway)


def envoy_filter(
    name: str,
    proxies: Proxies,
    patches: Sequence[Manifest],
    *,
    priority: int = 10,
    asks: Sequence[str] = (),
) -> Manifest:
    """
    An EnvoyFilter.

    Args:
        name: of the object.
        proxies: whom it is for.
        patches: what it changes.
        priority: lower is nearer the front of the chain.
        asks: hosts whose clusters the proxy must be given; gateways and waypoints have only those
            that their routes use.
    """
    spec: Manifest = {"priority": priority}
    if proxies.gateway:
        group = "gateway.networking.k8s.io"
        spec["targetRefs"] = [{"group": group, "kind": "Gateway", "name": proxies.gateway}]
    else:
        spec["workloadSelector"] = {"labels": dict(proxies.labels or {})}
    spec["configPatches"] = list(patches)
    rest = {"annotations": {REFERENCED: ",".join(asks)}} if asks else {}
    api = "networking.istio.io/v1alpha3"
    return made(api, "EnvoyFilter", name, proxies.namespace, **rest, spec=spec)


def http_patch(
    proxies: Proxies, value: Manifest, *, at: str = ROUTER, operation: str = "INSERT_BEFORE"
) -> Manifest:
    """An HTTP filter, by default the last before the router."""
    chain: Manifest = {"filter": {"name": MANAGER, "subFilter": {"name": at}}}
    return _patch("HTTP_FILTER", _listener(proxies, chain), operation, value)


def network_patch(proxies: Proxies, value: Manifest, *, at: str) -> Manifest:
    """A network filter in front of another one."""
    chain: Manifest = {"filter": {"name": at}}
    return _patch("NETWORK_FILTER", _listener(proxies, chain), "INSERT_BEFORE", value)


def route_patch(proxies: Proxies, match: Manifest, value: Manifest) -> Manifest:
    """Something merged into the routes that `match`, a routeConfiguration match, names."""
    where = {"context": proxies.context, "routeConfiguration": match}
    return _patch("HTTP_ROUTE", where, "MERGE", value)


def cluster_patch(proxies: Proxies, cluster: Cluster) -> Manifest:
    return _patch("CLUSTER", {"context": proxies.context}, "ADD", plain(cluster))


def per_route(filter_name: str, config: Message) -> Manifest:
    """A filter's own configuration on a route."""
    return {"typed_per_filter_config": {filter_name: plain(Packed.pack(config))}}


def socket_cluster(name: str, path: str) -> Cluster:
    """A service behind a Unix socket. HTTP/2 must be said: nothing tells Envoy of it."""
    endpoint = LbEndpoint(endpoint=Endpoint(address=Address(pipe=Pipe(path=path))))
    http2 = ExplicitHttp(http2_protocol_options=Http2ProtocolOptions())
    return Cluster(
        name=name,
        type=ClusterDiscoveryType.STATIC,
        connect_timeout=CONNECT_TIMEOUT,
        load_assignment=ClusterLoadAssignment(
            cluster_name=name, endpoints=[LocalityLbEndpoints(lb_endpoints=[endpoint])]
        ),
        typed_extension_protocol_options={
            HTTP_OPTIONS: Packed.pack(HttpProtocolOptions(explicit_http_config=http2))
        },
    )


def _listener(proxies: Proxies, chain: Manifest) -> Manifest:
    listener: dict[str, Any] = {"filterChain": chain}
    if proxies.gateway:
        # Without the name the filter also lands in `connect_terminate`, on the tunnel itself.
        listener = {"name": WAYPOINT_LISTENER, **listener}
    elif proxies.port is not None:
        listener = {"portNumber": proxies.port, **listener}
    return {"context": proxies.context, "listener": listener}


def _patch(apply_to: str, match: Manifest, operation: str, value: Manifest) -> Manifest:
    return {
        "applyTo": apply_to,
        "match": match,
        "patch": {"operation": operation, "value": value},
    }
