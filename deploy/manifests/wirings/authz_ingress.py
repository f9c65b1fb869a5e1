"""Authorization where traffic enters: tokens are checked before anything else sees the request."""

from deploy.manifests.envoyfilter import envoy_filter, gateways
from deploy.manifests.names import GATEWAYS, INGRESS, host
from deploy.manifests.objects import Manifest, selected
from deploy.manifests.overlay import Overlay
from deploy.manifests.sheet import Sheet
from deploy.manifests.wirings.authz_provider import (
    addition,
    context,
    custom_policy,
    workload_context,
)
from deploy.manifests.wirings.ratelimit_ingress import PUBLIC, SERVER_PORT

ABOUT = f"""
Authorization at the ingress gateway (pods istio=ingressgateway in istio-system).
Needs the base, the provider of overlays/authz-provider/mesh-config in MeshConfig, and a Gateway
with host {PUBLIC}, such as the one of overlays/ratelimit-ingress-gateway.
Apply: kubectl apply -k deploy/kubernetes/overlays/authz-ingress-gateway
Not allowed: 403; a bad token: 401. No answer from authz within 0.5 s, or an error: 503.
"""

POLICY_ABOUT = """
Sends every request of the gateway to authz. namespace istio-system: where the gateway's pods are.
Callers come from outside and have no certificate of the mesh: policies for the gateway judge by
  token, host, path and address (remoteIpBlocks), not by principal.
"""

MERGE_ABOUT = f"""
See overlays/authz-provider for the fields.
context GATEWAY; no port: every server of the gateway has the filter, as the policy holds for all.
virtual host {PUBLIC}:{SERVER_PORT}: host and the Gateway's server port. The VirtualService routes
  have names of their own, so none is given here: all routes of the host are judged as the gateway.
context_extensions: the policies that authz applies are those for istio=ingressgateway in namespace
  istio-system. Other hosts without such a patch: WORKLOAD_NAMESPACE and WORKLOAD_LABELS of authz.
"""


def manifest() -> Manifest:
    proxies = gateways(INGRESS, None)
    routes = {"vhost": {"name": f"{PUBLIC}:{SERVER_PORT}"}}
    said = workload_context(GATEWAYS, INGRESS)
    return envoy_filter(
        "authz-ingress",
        proxies,
        [addition(proxies), context(proxies, routes, said)],
        asks=[host("authz")],
    )


def overlay() -> Overlay:
    policy = custom_policy("ask-authz-ingress", GATEWAYS, selector=selected(INGRESS))
    return Overlay(
        "authz-ingress-gateway",
        ABOUT,
        {
            "envoyfilter.yaml": Sheet(MERGE_ABOUT, [manifest()]),
            "policy.yaml": Sheet(POLICY_ABOUT, [policy]),
        },
    )
