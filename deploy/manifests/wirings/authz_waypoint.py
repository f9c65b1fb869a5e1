"""Authorization at a waypoint: one authz for the services of a namespace in ambient mode."""

from deploy.manifests.envoyfilter import envoy_filter, waypoint
from deploy.manifests.names import HOME, WORKLOAD_NAMESPACE, host
from deploy.manifests.objects import Manifest, made
from deploy.manifests.overlay import BASE, Overlay
from deploy.manifests.sheet import Sheet
from deploy.manifests.wirings.authz_provider import addition, context, custom_policy
from deploy.manifests.wirings.ratelimit_waypoint import (
    GATEWAY_ABOUT,
    WAYPOINT,
    gateway,
)

SERVICES = ("httpbin",)

ABOUT = """
Authorization at the waypoint of namespace shop (ambient mode), for the Service httpbin.
Includes the base, whose authz it changes: with this one a caller is whom the waypoint says it is.
Needs the provider of overlays/authz-provider/mesh-config in MeshConfig.
Apply: kubectl apply -k deploy/kubernetes/overlays/authz-waypoint
Not allowed: 403; a bad token: 401. No answer from authz within 0.5 s, or an error: 503.
"""

POLICY_ABOUT = """
Sends the requests for the Service httpbin to authz; other services of the waypoint go past it.
targetRefs kind Service: a selector would be read by ztunnel, which does not ask anybody.
"""

MERGE_ABOUT = """
See overlays/authz-provider for the fields.
targetRefs, context SIDECAR_INBOUND, listener.name main_internal: see overlays/ratelimit-waypoint.
referenced-services: the provider brings its own cluster; it stands here for a waypoint whose policy
  is taken away while the filter stays.
tollhouse.services: the services that this waypoint stands for, KIND/NAMESPACE/NAME; targetRefs of
  policies are judged by them, and that they are there tells authz that it judges for a waypoint.
  The route patch reaches services without a VirtualService or HTTPRoute; for one that has one, set
  WORKLOAD_NAMESPACE of authz.
"""

TRUST_ABOUT = """
TRUST_XFCC last: the connection that authz is told of ends in the waypoint and has no caller; who
  calls stands in the last element of x-forwarded-client-cert, which the waypoint writes
  (annotation xfcc-include-client-identity) over whatever a caller has sent. NEVER set this for an
  authz that proxies ask which pass that header on as it came: callers would say who they are.
"""


def manifest() -> Manifest:
    proxies = waypoint(WORKLOAD_NAMESPACE, WAYPOINT)
    services = ",".join(f"Service/{WORKLOAD_NAMESPACE}/{name}" for name in SERVICES)
    said = {"tollhouse.namespace": WORKLOAD_NAMESPACE, "tollhouse.services": services}
    routes = {"vhost": {"route": {"name": "default"}}}
    patches = [addition(proxies), context(proxies, routes, said)]
    return envoy_filter("authz-waypoint", proxies, patches, asks=[host("authz")])


def trusting() -> Manifest:
    """The patch of authz' Deployment."""
    env = [{"name": "TRUST_XFCC", "value": "last"}]
    template = {"spec": {"containers": [{"name": "authz", "env": env}]}}
    return made("apps/v1", "Deployment", "authz", HOME, spec={"template": template})


def overlay() -> Overlay:
    targets = [{"group": "", "kind": "Service", "name": name} for name in SERVICES]
    policy = custom_policy("ask-authz-waypoint", WORKLOAD_NAMESPACE, targetRefs=targets)
    return Overlay(
        "authz-waypoint",
        ABOUT + TRUST_ABOUT,
        {
            "gateway.yaml": Sheet(GATEWAY_ABOUT, [gateway()]),
            "envoyfilter.yaml": Sheet(MERGE_ABOUT, [manifest()]),
            "policy.yaml": Sheet(POLICY_ABOUT, [policy]),
        },
        on=[BASE],
        patches=[trusting()],
    )
