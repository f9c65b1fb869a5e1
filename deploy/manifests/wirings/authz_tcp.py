"""Authorization of connections: a database or a queue behind a sidecar."""

from deploy.filters.tcp import connection_authz
from deploy.manifests.envoyfilter import Proxies, envoy_filter, network_patch
from deploy.manifests.names import WORKLOAD_NAMESPACE, authz
from deploy.manifests.objects import Manifest
from deploy.manifests.overlay import Overlay
from deploy.manifests.sheet import Sheet
from deploy.wiring import EXT_AUTHZ_TIMEOUT, grpc, plain

LABELS = {"app": "orders-db"}
PORT = 5432
TCP_PROXY = "envoy.filters.network.tcp_proxy"

ABOUT = """
Authorization of TCP connections to the workload app=orders-db in namespace shop, port 5432.
Needs the base. Apply: kubectl apply -k deploy/kubernetes/overlays/authz-tcp
Not allowed, or no answer from authz within 0.5 s: the connection is closed without a byte.
"""

FILTER_ABOUT = """
A CUSTOM policy reaches TCP as well, but only with a gRPC provider and without these fields.
INSERT_BEFORE envoy.filters.network.tcp_proxy: the filter that ends the chain. A port that Istio
  takes for HTTP has none; name the Service's port tcp-….
What authz gets: the caller's principal, both addresses, the SNI. No path, no header, no token:
  rules on such things cannot be judged, see Istio's table of TCP attributes.
It asks at the client's first bytes: what a server says first, as MySQL does, goes out unchecked.
failure_mode_allow false: no answer, no connection.
"""


def manifest() -> Manifest:
    proxies = Proxies(WORKLOAD_NAMESPACE, "SIDECAR_INBOUND", LABELS, port=PORT)
    value = plain(connection_authz(grpc(authz(), EXT_AUTHZ_TIMEOUT)))
    return envoy_filter("authz-tcp", proxies, [network_patch(proxies, value, at=TCP_PROXY)])


def overlay() -> Overlay:
    return Overlay("authz-tcp", ABOUT, {"envoyfilter.yaml": Sheet(FILTER_ABOUT, [manifest()])})
