"""Rate limits at a waypoint: the services of a namespace in ambient mode."""

from deploy.filters import actions
from deploy.manifests.envoyfilter import envoy_filter, http_patch, waypoint
from deploy.manifests.names import WORKLOAD_NAMESPACE, host, rls
from deploy.manifests.objects import Manifest, made
from deploy.manifests.overlay import Overlay
from deploy.manifests.sheet import Sheet
from deploy.wiring import plain, ratelimit_filter

WAYPOINT = "waypoint"
GATEWAY_API = "gateway.networking.k8s.io"
XFCC = "ambient.istio.io/xfcc-include-client-identity"

ABOUT = """
Rate limits at the waypoint of namespace shop (ambient mode).
Needs the base. Apply: kubectl apply -k deploy/kubernetes/overlays/ratelimit-waypoint
and send the namespace's traffic there: kubectl label namespace shop istio.io/use-waypoint=waypoint
Over a limit: 429 with X-RateLimit headers. No answer from rls within 0.25 s, or an error: 503.
"""

FILTER_ABOUT = """
targetRefs to the Gateway, in its namespace: a workloadSelector, or a Service as target, does
  nothing at a waypoint, and nobody says so.
context SIDECAR_INBOUND: waypoints have no context of their own; WAYPOINT matches nothing.
listener.name main_internal: without it the filter also lands in connect_terminate, and the tunnels
  themselves are counted.
referenced-services: a waypoint has no outbound clusters; this gives it the one of rls.
rate_limits in the filter: route patches do not reach services that have a VirtualService or an
  HTTPRoute.
No certificate here: the connection that the filter sees ends in the waypoint itself.
  source_identity is the caller's SPIFFE ID from the filter state that Istio's own policies read.
  It comes whole: Envoy's CEL has no string(), so re.capture cannot take the namespace out.
"""

GATEWAY_ABOUT = """
The waypoint itself, as `istioctl waypoint apply` makes it, but for the annotation:
xfcc-include-client-identity: the caller's identity in x-forwarded-client-cert, for authz.
"""


def gateway() -> Manifest:
    listener = {"name": "mesh", "port": 15008, "protocol": "HBONE"}
    return made(
        f"{GATEWAY_API}/v1",
        "Gateway",
        WAYPOINT,
        WORKLOAD_NAMESPACE,
        labels={"istio.io/waypoint-for": "service"},
        annotations={XFCC: "true"},
        spec={"gatewayClassName": "istio-waypoint", "listeners": [listener]},
    )


def manifest() -> Manifest:
    proxies = waypoint(WORKLOAD_NAMESPACE, WAYPOINT)
    host_and_path = [actions.expression("host", "request.host"), actions.path()]
    sent = actions.descriptors(
        [actions.path()],
        host_and_path,
        [actions.path(), actions.expression("source_identity", actions.WAYPOINT_PEER)],
    )
    counted = plain(ratelimit_filter(rls(), limits=sent))
    return envoy_filter("rls-waypoint", proxies, [http_patch(proxies, counted)], asks=[host("rls")])


def overlay() -> Overlay:
    return Overlay(
        "ratelimit-waypoint",
        ABOUT,
        {
            "gateway.yaml": Sheet(GATEWAY_ABOUT, [gateway()]),
            "envoyfilter.yaml": Sheet(FILTER_ABOUT, [manifest()]),
        },
    )
