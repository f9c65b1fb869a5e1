"""All overlays, in the order in which deploy/README.md tells of them."""

from deploy.manifests.base import rooms
from deploy.manifests.knobs import knobs
from deploy.manifests.names import HOME
from deploy.manifests.overlay import BASE, Overlay
from deploy.manifests.sheet import Sheet, plain
from deploy.manifests.values import Defaults
from deploy.manifests.wirings import (
    authz_ingress,
    authz_loopback,
    authz_provider,
    authz_tcp,
    authz_waypoint,
    bookinfo,
    envoy_gateway,
    local_limits,
    ratelimit_egress,
    ratelimit_ingress,
    ratelimit_sidecar,
    ratelimit_waypoint,
    rollouts,
    sidecar_containers,
    stores,
    tracing,
)

SHOP_ABOUT = """
The base, and the example workload's limits and authorization: everything that `make demo` shows.
Needs mesh-config of overlays/authz-provider in istiod's configuration first.
Apply: kubectl apply -k deploy/kubernetes/overlays/shop
"""

MONITORING_ABOUT = """
Metrics, alerts and dashboards of both services. Needs the Prometheus operator's CRDs, and the base.
Apply: kubectl apply -k deploy/kubernetes/overlays/monitoring
"""


def overlays() -> list[Overlay]:
    return [
        Overlay("shop", SHOP_ABOUT, {}, on=[BASE, "../ratelimit-sidecar", "../authz-provider"]),
        ratelimit_sidecar.overlay(),
        ratelimit_ingress.overlay(),
        ratelimit_egress.overlay(),
        ratelimit_waypoint.overlay(),
        local_limits.overlay(),
        authz_provider.overlay(),
        authz_ingress.overlay(),
        authz_waypoint.overlay(),
        authz_tcp.overlay(),
        authz_loopback.overlay(),
        sidecar_containers.overlay(),
        envoy_gateway.image(),
        envoy_gateway.patch(),
        envoy_gateway.authz(),
        stores.sentinel(),
        stores.cluster(),
        _monitoring(),
        tracing.overlay(),
        rollouts.flagger(),
        rollouts.argo(),
        bookinfo.overlay(),
    ]


def _monitoring() -> Overlay:
    room = rooms(Defaults(HOME, knobs()))["monitoring.yaml"]
    return Overlay(
        "monitoring", MONITORING_ABOUT, {"monitoring.yaml": Sheet(room.about, plain(room.parts))}
    )
