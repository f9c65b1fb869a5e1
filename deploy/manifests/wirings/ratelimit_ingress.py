"""Rate limits where traffic enters: by client address, before it costs the mesh anything."""

from envoy_data_plane.envoy.extensions.filters.http.ratelimit.v3 import RateLimitPerRoute

from deploy.filters import actions
from deploy.manifests.envoyfilter import (
    envoy_filter,
    gateways,
    http_patch,
    per_route,
    route_patch,
)
from deploy.manifests.names import (
    GATEWAYS,
    INGRESS,
    WORKLOAD_NAMESPACE,
    WORKLOAD_SERVICE_PORT,
    host,
    rls,
)
from deploy.manifests.objects import Manifest, made
from deploy.manifests.overlay import Overlay
from deploy.manifests.sheet import Sheet
from deploy.wiring import RATELIMIT, plain, ratelimit_filter

POD_PORT = 8080
"""What the gateway's pod listens on; the Service's port 80 is sent there."""
SERVER_PORT = 80
PUBLIC = "shop.example.com"
ROUTE = "login"
LIMITS = "edge"
TRUSTED_PROXIES = 1

ABOUT = """
Rate limits at the ingress gateway (pods istio=ingressgateway in istio-system).
Needs the base, and limits of the domain "edge". Apply after istio-gateway.yaml fits your hosts:
kubectl apply -k deploy/kubernetes/overlays/ratelimit-ingress-gateway
Over a limit: 429 with X-RateLimit headers. No answer from rls within 0.25 s, or an error: 503.
"""

FILTER_ABOUT = """
namespace istio-system, workloadSelector: the gateway's pods, not the workload's.
context GATEWAY, portNumber 8080: the port of the gateway's pod, not of its Service.
referenced-services: gateways that get only the clusters of their routes
  (PILOT_FILTER_GATEWAY_CLUSTER_CONFIG) get this one as well.
remote_address: the client as the gateway sees it; see proxy-config.yaml for proxies in front.
masked_remote_address: a home has a /64 of IPv6 addresses and can take a new one a request.
HTTP_ROUTE, name login: the VirtualService route of that name alone has, besides, a limit of each
  client on the path; the virtual host is called by the Gateway's server port (80).
RateLimitPerRoute.rate_limits: replaces what the filter sends, so it repeats the address. Limits in
  the route itself would be ignored, for the filter has some of its own.
No path for the others: whoever scans takes a new path each time, and each would be a new counter.
"""

GATEWAY_ABOUT = """
The Gateway and the VirtualService that the patch matches.
name login: a route without a name has the empty name on gateways, and no patch finds it by name.
exact paths: a prefix would let /login/anything slip past the limit of /login.
"""

TOPOLOGY_ABOUT = """
A part of MeshConfig, as a values file of the istiod chart (not applied by kubectl): how many
proxies of yours stand in front of the gateway.
numTrustedProxies 1: one load balancer that appends to X-Forwarded-For. With 0 every client is the
  load balancer; with one too many, the client says who it is. Behind an NLB or kube-proxy also set
  externalTrafficPolicy: Local on the gateway's Service, or all clients are a node.
"""


def manifest() -> Manifest:
    proxies = gateways(INGRESS, POD_PORT)
    everyone = actions.descriptors([actions.address()], [actions.network(24, 64)])
    on_route = actions.descriptors([actions.address()], [actions.path(), actions.address()])
    counted = plain(ratelimit_filter(rls(), domain=LIMITS, limits=everyone))
    route = {"vhost": {"name": f"{PUBLIC}:{SERVER_PORT}", "route": {"name": ROUTE}}}
    own = per_route(RATELIMIT, RateLimitPerRoute(rate_limits=on_route))
    patches = [http_patch(proxies, counted), route_patch(proxies, route, own)]
    return envoy_filter("rls-ingress", proxies, patches, asks=[host("rls")])


def entrance() -> list[Manifest]:
    """The Gateway and the VirtualService of the example."""
    server = {
        "port": {"number": SERVER_PORT, "name": "http", "protocol": "HTTP"},
        "hosts": [PUBLIC],
    }
    to_workload = {
        "destination": {
            "host": host("httpbin", WORKLOAD_NAMESPACE),
            "port": {"number": WORKLOAD_SERVICE_PORT},
        }
    }
    routes = [
        {
            "name": ROUTE,
            "match": [{"uri": {"exact": "/login"}}, {"uri": {"exact": "/api/login"}}],
            "route": [to_workload],
        },
        {"name": "all", "route": [to_workload]},
    ]
    gateway = {"selector": dict(INGRESS), "servers": [server]}
    service = {"hosts": [PUBLIC], "gateways": [f"{GATEWAYS}/shop"], "http": routes}
    api = "networking.istio.io/v1"
    return [
        made(api, "Gateway", "shop", GATEWAYS, spec=gateway),
        made(api, "VirtualService", "shop", WORKLOAD_NAMESPACE, spec=service),
    ]


def topology() -> Manifest:
    proxies = {"numTrustedProxies": TRUSTED_PROXIES}
    return {"meshConfig": {"defaultConfig": {"gatewayTopology": proxies}}}


def overlay() -> Overlay:
    return Overlay(
        "ratelimit-ingress-gateway",
        ABOUT,
        {
            "istio-gateway.yaml": Sheet(GATEWAY_ABOUT, entrance()),
            "envoyfilter.yaml": Sheet(FILTER_ABOUT, [manifest()]),
        },
        beside={"mesh-config/trusted-proxies.yaml": Sheet(TOPOLOGY_ABOUT, [topology()])},
    )
