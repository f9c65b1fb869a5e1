"""Istio's Bookinfo with limits and policies of ours: what deploy/docs/bookinfo.md walks through."""

from deploy.filters import actions
from deploy.manifests.envoyfilter import envoy_filter, gateways, http_patch, sidecars
from deploy.manifests.names import DOMAIN, HOME, INGRESS, host, rls
from deploy.manifests.objects import Manifest, as_yaml, made, selected
from deploy.manifests.overlay import BASE, Overlay
from deploy.manifests.sheet import Sheet
from deploy.manifests.wirings.authz_provider import (
    addition,
    context,
    custom_policy,
    workload_context,
)
from deploy.wiring import plain, ratelimit_filter

SPACE = "bookinfo"
ISSUER = "https://issuer.example"
POD_PORT, SERVER_PORT, APP_PORT = 8080, 80, 9080
USER_HEADER = "end-user"
PRODUCTS = "/api/v1/products"
JUDGED = ("productpage", "ratings")
NETWORKING = "networking.istio.io/v1"
SECURITY = "security.istio.io/v1"

ABOUT = """
Istio's Bookinfo with our services in front of it; the walk-through is deploy/docs/bookinfo.md.
Includes the base, with limits and policies of its own. Needs Bookinfo in namespace bookinfo, and
the provider of overlays/authz-provider/mesh-config in MeshConfig.
Apply: kubectl apply -k deploy/kubernetes/overlays/bookinfo
"""

GATEWAY_ABOUT = """
selector istio: ingressgateway: the pods of Istio's ingress gateway.
Exact and prefix matches as Bookinfo's own; nothing else of productpage can be reached from outside.
"""

LIMIT_ABOUT = """
/productpage, five a minute for each value of the header end-user, at the gateway.
Without that header nothing is counted: Bookinfo sends it on for a user who has signed in.
"""

ASK_ABOUT = """
productpage and ratings are judged by authz; the other workloads are left alone.
One EnvoyFilter and one CUSTOM policy each; context_extensions say for whom it judges.
"""

LIMITS = {
    "domain": "bookinfo",
    "descriptors": [
        {
            "key": "path",
            "value": "/productpage",
            "descriptors": [
                {"key": "user", "rate_limit": {"unit": "minute", "requests_per_unit": 5}}
            ],
        }
    ],
}


def limits() -> Manifest:
    """The limits file in the ConfigMap of the base."""
    data = {"shop.yaml": None, "bookinfo.yaml": as_yaml([LIMITS], start=False)}
    return made("v1", "ConfigMap", "rls-limits", HOME, data=data)


def policies() -> Manifest:
    """The documents that authz reads, in the ConfigMap of the base."""
    data = {"shop.yaml": None, "bookinfo.yaml": as_yaml(documents())}
    return made("v1", "ConfigMap", "authz-policies", HOME, data=data)


def documents() -> list[Manifest]:
    rule = {"issuer": ISSUER, "jwksUri": f"{ISSUER}/.well-known/jwks.json"}
    tokens = {"selector": selected({"app": "productpage"}), "jwtRules": [rule]}
    signed = {"requestPrincipals": [f"{ISSUER}/*"]}
    operation = {"paths": [PRODUCTS, f"{PRODUCTS}/*"]}
    products = [
        {"from": [{"source": signed}], "to": [{"operation": operation}]},
        {"to": [{"operation": {"notPaths": operation["paths"]}}]},
    ]
    page = f"{DOMAIN}/ns/{SPACE}/sa/bookinfo-productpage"
    caller = [{"from": [{"source": {"principals": [page]}}]}]
    return [
        made(SECURITY, "RequestAuthentication", "tokens", SPACE, spec=tokens),
        _allow("products", "productpage", products),
        _allow("ratings", "ratings", caller),
    ]


def _allow(name: str, app: str, rules: list[Manifest]) -> Manifest:
    spec = {"selector": selected({"app": app}), "action": "ALLOW", "rules": rules}
    return made(SECURITY, "AuthorizationPolicy", name, SPACE, spec=spec)


def entrance() -> list[Manifest]:
    server = {
        "port": {"number": SERVER_PORT, "name": "http", "protocol": "HTTP"},
        "hosts": ["*"],
    }
    gateway = {"selector": dict(INGRESS), "servers": [server]}
    uris = [
        {"exact": "/productpage"},
        {"prefix": "/static"},
        {"exact": "/login"},
        {"exact": "/logout"},
        {"prefix": PRODUCTS},
    ]
    destination = {"host": "productpage", "port": {"number": APP_PORT}}
    route = {
        "name": "productpage",
        "match": [{"uri": uri} for uri in uris],
        "route": [{"destination": destination}],
    }
    service = {"hosts": ["*"], "gateways": ["bookinfo-gateway"], "http": [route]}
    return [
        made(NETWORKING, "Gateway", "bookinfo-gateway", SPACE, spec=gateway),
        made(NETWORKING, "VirtualService", "bookinfo", SPACE, spec=service),
    ]


def limit() -> Manifest:
    proxies = gateways(INGRESS, POD_PORT)
    sent = actions.descriptors([actions.path(), actions.header(USER_HEADER, "user")])
    counted = plain(ratelimit_filter(rls(), domain="bookinfo", limits=sent))
    return envoy_filter("rls-bookinfo", proxies, [http_patch(proxies, counted)], asks=[host("rls")])


def asked() -> list[Manifest]:
    """What has the sidecars of each judged workload ask authz."""
    found = []
    for app in JUDGED:
        labels = {"app": app}
        proxies = sidecars(APP_PORT)._replace(namespace=SPACE, labels=labels)
        routes = {"portNumber": APP_PORT, "vhost": {"route": {"name": "default"}}}
        said = workload_context(SPACE, labels)
        patches = [addition(proxies), context(proxies, routes, said)]
        found.append(envoy_filter(f"authz-{app}", proxies, patches))
        found.append(custom_policy(f"ask-authz-{app}", SPACE, selector=selected(labels)))
    return found


def overlay() -> Overlay:
    return Overlay(
        "bookinfo",
        ABOUT,
        {
            "gateway.yaml": Sheet(GATEWAY_ABOUT, entrance()),
            "limit.yaml": Sheet(LIMIT_ABOUT, [limit()]),
            "authz.yaml": Sheet(ASK_ABOUT, asked()),
        },
        on=[BASE],
        patches=[limits(), policies()],
    )
