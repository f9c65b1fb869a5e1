"""Envoy Gateway: our rls in the place of its own, rls by a patch, authz by a SecurityPolicy."""

from datetime import timedelta

from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType
from envoy_data_plane.envoy.config.core.v3 import Address, Http2ProtocolOptions, SocketAddress
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

from deploy.filters import actions
from deploy.manifests.envoyfilter import CONNECT_TIMEOUT, HTTP_OPTIONS
from deploy.manifests.knobs import IMAGE
from deploy.manifests.names import (
    AUTHZ_PORT,
    HOME,
    RLS_PORT,
    WORKLOAD_NAMESPACE,
    host,
)
from deploy.manifests.objects import Manifest, as_yaml, made
from deploy.manifests.overlay import Overlay
from deploy.manifests.sheet import Sheet
from deploy.wiring import EXT_AUTHZ_TIMEOUT, ON_ERROR, Service, plain, ratelimit_filter

GROUP = "gateway.networking.k8s.io"
EG = "gateway.envoyproxy.io/v1alpha1"
SYSTEM = "envoy-gateway-system"
GATEWAY, LISTENER, ROUTE = "eg", "http", "httpbin"
CLUSTER = "tollhouse-rls"
MANAGER_PATH = "/default_filter_chain/filters/0/typed_config"
LISTENER_TYPE = "type.googleapis.com/envoy.config.listener.v3.Listener"
CLUSTER_TYPE = "type.googleapis.com/envoy.config.cluster.v3.Cluster"

TARGET = {"group": GROUP, "kind": "Gateway", "name": GATEWAY}
ROUTE_TARGET = {"group": GROUP, "kind": "HTTPRoute", "name": ROUTE}

IMAGE_ABOUT = """
Envoy Gateway runs our rls in the place of envoyproxy/ratelimit; BackendTrafficPolicies stay.
Apply: kubectl apply -k deploy/kubernetes/overlays/envoy-gateway-image
and: kubectl -n envoy-gateway-system rollout restart deployment envoy-gateway
rls takes its limits from Envoy Gateway over xDS (CONFIG_TYPE=GRPC_XDS_SOTW), not from a file.
Over a limit: 429. No answer from rls: Envoy Gateway lets the request pass; failClosed true refuses
it with 500.
"""

CONFIG_ABOUT = """
The configuration of the controller, as the ConfigMap of its chart has it; merge it into yours.
rateLimit.backend: Redis is the only kind it knows; Valkey is one.
failClosed true: a limit that nobody can check is not kept. Its default, false, lets all pass.
timeout 250ms: see deploy/docs/ratelimit.md.
container.image: ours has /bin/ratelimit, reads the same environment (CONFIG_TYPE, REDIS_URL,
  GRPC_SERVER_TLS_…) and answers /healthcheck on 8080.
"""

POLICY_ABOUT = """
A limit of each client address on the route: what Envoy Gateway translates for rls.
"""

PATCH_ABOUT = """
Envoy Gateway's proxies ask the rls of the base, with limits from its files and all of its actions.
Needs the base, and enableEnvoyPatchPolicy in the controller's configuration (see the image overlay
for where that is). Apply: kubectl apply -k deploy/kubernetes/overlays/envoy-gateway-patch
Over a limit: 429 with X-RateLimit headers. No answer from rls within 0.25 s, or an error: 503.
"""

JSON_ABOUT = """
name shop/eg/http: namespace, Gateway and listener. With the runtime flag XDSNameSchemeV2 (default
  from Envoy Gateway 1.10 on) it is tcp-80 instead.
default_filter_chain: an HTTP listener; an HTTPS one has filter_chains/0.
http_filters/0: first, before Envoy Gateway's own. Not at the end: that is the router's place.
Cluster: added whole. HTTP/2 must be said; STRICT_DNS follows the Service's address.
The proxies are outside of Istio's mesh: PeerAuthentication STRICT in the base keeps them out.
  Label their namespace for injection, or set mesh.enabled false, or PERMISSIVE for the port.
"""

AUTHZ_ABOUT = """
Envoy Gateway's proxies ask authz about every request of the HTTPRoute httpbin in namespace shop.
Needs the base. Apply: kubectl apply -k deploy/kubernetes/overlays/envoy-gateway-authz
Not allowed: 403; a bad token: 401. No answer from authz within 0.5 s, or an error: 503.
"""

SECURITY_ABOUT = """
contextExtensions: which workload authz judges for; policies with such a selector apply.
failOpen false, statusOnError 503, timeout 500ms: its defaults are false, 403 and 10 s.
ReferenceGrant: the route's namespace may name a Service of this one.
Envoy Gateway joins repeated headers (encode_raw_headers cannot be set here): authz then also
  matches a DENY against each part. envoypatch.yaml sets it; the filter's place counts from 0, among
  those that your policies make.
"""


def controller() -> Manifest:
    """EnvoyGateway's own configuration."""
    return {
        "apiVersion": EG,
        "kind": "EnvoyGateway",
        "gateway": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
        "provider": {
            "type": "Kubernetes",
            "kubernetes": {"rateLimitDeployment": {"container": {"image": IMAGE}}},
        },
        "rateLimit": {
            "backend": {"type": "Redis", "redis": {"url": f"valkey.{HOME}.svc:6379"}},
            "failClosed": True,
            "timeout": "250ms",
        },
        "extensionApis": {"enableEnvoyPatchPolicy": True},
    }


def traffic_policy() -> Manifest:
    rule = {
        "clientSelectors": [{"sourceCIDR": {"type": "Distinct", "value": "0.0.0.0/0"}}],
        "limit": {"requests": 20, "unit": "Second"},
    }
    spec = {
        "targetRefs": [ROUTE_TARGET],
        "rateLimit": {"type": "Global", "global": {"rules": [rule]}},
    }
    return made(EG, "BackendTrafficPolicy", "limits", WORKLOAD_NAMESPACE, spec=spec)


def image() -> Overlay:
    data = {"envoy-gateway.yaml": as_yaml([controller()], start=False)}
    config = made("v1", "ConfigMap", "envoy-gateway-config", SYSTEM, data=data)
    return Overlay(
        "envoy-gateway-image",
        IMAGE_ABOUT,
        {
            "configuration.yaml": Sheet(CONFIG_ABOUT, [config]),
            "traffic-policy.yaml": Sheet(POLICY_ABOUT, [traffic_policy()]),
        },
    )


def patch_policy() -> Manifest:
    address = [actions.path(), actions.address()]
    sent = actions.descriptors([actions.path()], address)
    http = ratelimit_filter(Service(CLUSTER, host("rls")), limits=sent)
    listener = f"{WORKLOAD_NAMESPACE}/{GATEWAY}/{LISTENER}"
    place = f"{MANAGER_PATH}/http_filters/0"
    patches = [
        _json_patch(LISTENER_TYPE, listener, place, plain(http)),
        _json_patch(CLUSTER_TYPE, CLUSTER, "", plain(_cluster())),
    ]
    spec = {"targetRef": TARGET, "type": "JSONPatch", "jsonPatches": patches}
    return made(EG, "EnvoyPatchPolicy", "rls", WORKLOAD_NAMESPACE, spec=spec)


def patch() -> Overlay:
    policy = Sheet(JSON_ABOUT, [patch_policy()])
    return Overlay("envoy-gateway-patch", PATCH_ABOUT, {"envoypatch.yaml": policy})


def security_policy() -> Manifest:
    said = {
        "tollhouse.namespace": WORKLOAD_NAMESPACE,
        "tollhouse.labels": "app=httpbin",
    }
    backend = {"name": "authz", "namespace": HOME, "port": AUTHZ_PORT}
    spec = {
        "targetRefs": [ROUTE_TARGET],
        "extAuth": {
            "grpc": {"backendRefs": [backend]},
            "contextExtensions": [
                {"name": name, "type": "Value", "value": value} for name, value in said.items()
            ],
            "timeout": f"{EXT_AUTHZ_TIMEOUT // timedelta(milliseconds=1)}ms",
            "failOpen": False,
            "statusOnError": ON_ERROR.value,
        },
    }
    return made(EG, "SecurityPolicy", "authz", WORKLOAD_NAMESPACE, spec=spec)


def raw_headers() -> Manifest:
    """The patch that has repeated headers sent one by one."""
    listener = f"{WORKLOAD_NAMESPACE}/{GATEWAY}/{LISTENER}"
    place = f"{MANAGER_PATH}/http_filters/0/typed_config/encode_raw_headers"
    patches = [_json_patch(LISTENER_TYPE, listener, place, True)]
    spec = {"targetRef": TARGET, "type": "JSONPatch", "jsonPatches": patches}
    return made(EG, "EnvoyPatchPolicy", "authz-raw-headers", WORKLOAD_NAMESPACE, spec=spec)


def grant() -> Manifest:
    spec = {
        "from": [
            {
                "group": "gateway.envoyproxy.io",
                "kind": "SecurityPolicy",
                "namespace": WORKLOAD_NAMESPACE,
            }
        ],
        "to": [{"group": "", "kind": "Service", "name": "authz"}],
    }
    return made(f"{GROUP}/v1beta1", "ReferenceGrant", "authz-for-shop", HOME, spec=spec)


def authz() -> Overlay:
    policies = Sheet(SECURITY_ABOUT, [security_policy(), grant(), raw_headers()])
    return Overlay("envoy-gateway-authz", AUTHZ_ABOUT, {"security-policy.yaml": policies})


def _json_patch(kind: str, name: str, path: str, value: object) -> Manifest:
    operation = {"op": "add", "path": path, "value": value}
    return {"type": kind, "name": name, "operation": operation}


def _cluster() -> Cluster:
    where = Address(socket_address=SocketAddress(address=host("rls"), port_value=RLS_PORT))
    endpoint = LbEndpoint(endpoint=Endpoint(address=where))
    http2 = ExplicitHttp(http2_protocol_options=Http2ProtocolOptions())
    return Cluster(
        name=CLUSTER,
        type=ClusterDiscoveryType.STRICT_DNS,
        connect_timeout=CONNECT_TIMEOUT,
        load_assignment=ClusterLoadAssignment(
            cluster_name=CLUSTER, endpoints=[LocalityLbEndpoints(lb_endpoints=[endpoint])]
        ),
        typed_extension_protocol_options={
            HTTP_OPTIONS: Packed.pack(HttpProtocolOptions(explicit_http_config=http2))
        },
    )
