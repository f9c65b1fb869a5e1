"""Rate limits on calls that leave the mesh: what a partner's contract allows is not overrun."""

from deploy.filters import actions
from deploy.manifests.envoyfilter import envoy_filter, gateways, http_patch
from deploy.manifests.names import EGRESS, GATEWAYS, host, rls
from deploy.manifests.objects import Manifest, made
from deploy.manifests.overlay import Overlay
from deploy.manifests.sheet import Sheet
from deploy.wiring import plain, ratelimit_filter

POD_PORT = 8080
SERVER_PORT = 80
TLS_PORT = 443
PARTNER = "api.partner.example"
LIMITS = "egress"
NETWORKING = "networking.istio.io/v1"

ABOUT = """
Limits on calls to an external host, at the egress gateway (istio=egressgateway in istio-system).
Needs the base, limits of the domain "egress", and the egress gateway of Istio's installation.
Apply: kubectl apply -k deploy/kubernetes/overlays/ratelimit-egress-gateway
Over a limit: 429 to the calling workload. No answer from rls within 0.25 s, or an error: 503.
"""

FILTER_ABOUT = """
context GATEWAY with the egress gateway's labels: there is no context of its own for egress.
portNumber 8080: the port of the gateway's pod that server port 80 is sent to.
referenced-services: the gateway needs the cluster of rls though no route leads there.
request.host: which partner. re.capture: which calling service account, from its certificate; hence
  ISTIO_MUTUAL on the way to the gateway (route.yaml), without which the second is not sent.
Calls that do not take the gateway are not counted: outboundTrafficPolicy REGISTRY_ONLY and a
  NetworkPolicy of the calling namespaces keep them from going straight.
"""

ROUTE_ABOUT = """
Calls to http://api.partner.example go to the egress gateway, which speaks TLS to the partner.
ServiceEntry: without it the host is unknown and goes wherever outboundTrafficPolicy says.
Gateway ISTIO_MUTUAL, DestinationRule to-egress: the gateway sees who calls.
VirtualService: mesh → gateway → partner. DestinationRule partner: TLS from the gateway on, with
  the host's name checked (subjectAltNames) and sent (sni), against the authorities that the
  proxy's image knows (caCertificates system); without those nothing would be checked.
"""


def manifest() -> Manifest:
    proxies = gateways(EGRESS, POD_PORT)
    partner = actions.expression("host", "request.host")
    sent = actions.descriptors([partner], [partner, actions.account()])
    counted = plain(ratelimit_filter(rls(), domain=LIMITS, limits=sent))
    return envoy_filter("rls-egress", proxies, [http_patch(proxies, counted)], asks=[host("rls")])


def route() -> list[Manifest]:
    """The way of a call from a workload through the gateway to the partner."""
    gateway_host = host("istio-egressgateway", GATEWAYS)
    return [
        made(NETWORKING, "ServiceEntry", "partner", GATEWAYS, spec=_entry()),
        made(NETWORKING, "Gateway", "partner", GATEWAYS, spec=_gateway()),
        *_destination_rules(gateway_host),
        _virtual_service(gateway_host),
    ]


def _entry() -> Manifest:
    ports = [
        {"number": SERVER_PORT, "name": "http", "protocol": "HTTP"},
        {"number": TLS_PORT, "name": "https", "protocol": "HTTPS"},
    ]
    return {
        "hosts": [PARTNER],
        "location": "MESH_EXTERNAL",
        "resolution": "DNS",
        "ports": ports,
    }


def _gateway() -> Manifest:
    server = {
        "port": {"number": SERVER_PORT, "name": "https", "protocol": "HTTPS"},
        "hosts": [PARTNER],
        "tls": {"mode": "ISTIO_MUTUAL"},
    }
    return {"selector": dict(EGRESS), "servers": [server]}


def _destination_rules(gateway_host: str) -> list[Manifest]:
    mutual = {"tls": {"mode": "ISTIO_MUTUAL", "sni": PARTNER}}
    level = {"port": {"number": SERVER_PORT}, **mutual}
    subset = {"name": "partner", "trafficPolicy": {"portLevelSettings": [level]}}
    tls = {
        "mode": "SIMPLE",
        "sni": PARTNER,
        "subjectAltNames": [PARTNER],
        "caCertificates": "system",
    }
    partner = {"portLevelSettings": [{"port": {"number": TLS_PORT}, "tls": tls}]}
    to_egress = {"host": gateway_host, "subsets": [subset]}
    onward = {"host": PARTNER, "trafficPolicy": partner}
    return [
        made(NETWORKING, "DestinationRule", "to-egress", GATEWAYS, spec=to_egress),
        made(NETWORKING, "DestinationRule", "partner", GATEWAYS, spec=onward),
    ]


def _virtual_service(gateway_host: str) -> Manifest:
    to_gateway = {"host": gateway_host, "subset": "partner", "port": {"number": SERVER_PORT}}
    to_partner = {"host": PARTNER, "port": {"number": TLS_PORT}}
    http = [
        {
            "name": "to-gateway",
            "match": [{"gateways": ["mesh"], "port": SERVER_PORT}],
            "route": [{"destination": to_gateway}],
        },
        {
            "name": "to-partner",
            "match": [{"gateways": [f"{GATEWAYS}/partner"], "port": SERVER_PORT}],
            "route": [{"destination": to_partner}],
        },
    ]
    spec = {"hosts": [PARTNER], "gateways": [f"{GATEWAYS}/partner", "mesh"], "http": http}
    return made(NETWORKING, "VirtualService", "partner", GATEWAYS, spec=spec)


def overlay() -> Overlay:
    return Overlay(
        "ratelimit-egress-gateway",
        ABOUT,
        {
            "route.yaml": Sheet(ROUTE_ABOUT, route()),
            "envoyfilter.yaml": Sheet(FILTER_ABOUT, [manifest()]),
        },
    )
