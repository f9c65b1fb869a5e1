"""Rate limits in the sidecars of a workload: every call to it is counted, whoever calls."""

from deploy.filters import actions
from deploy.filters.mirrored import unless_mirrored
from deploy.manifests.envoyfilter import envoy_filter, http_patch, sidecars
from deploy.manifests.names import INGRESS_IDENTITY, WORKLOAD_PORT, rls
from deploy.manifests.objects import Manifest
from deploy.manifests.overlay import Overlay
from deploy.manifests.sheet import Sheet
from deploy.wiring import descriptors, plain, ratelimit_filter

ABOUT = """
Rate limits in the sidecars of the workload app=httpbin in namespace shop.
Needs the base. Apply: kubectl apply -k deploy/kubernetes/overlays/ratelimit-sidecar
Over a limit: 429 with X-RateLimit headers; gRPC callers see RESOURCE_EXHAUSTED.
No answer from rls within 0.25 s, or an error: 503.
"""

FILTER_ABOUT = """
priority: settles the order among several patches of one place.
context SIDECAR_INBOUND: without it the filter also lands on every outbound listener and every
  request is counted twice.
portNumber 8080: the container's port; the Service's port would match nothing, silently.
INSERT_BEFORE the router: after Istio's own filters, so that a refused request costs no limit and
  the claims of a verified token are there. ADD would put it behind the router, and the proxy would
  refuse its whole configuration.
ExtensionWithMatcher: a request that the ingress gateway has mirrored here (host …-shadow, and the
  gateway's own certificate) was counted where it went; it is not counted again.
cluster_name: istiod's name for port 8081 of the Service rls.
timeout 0.25s: Envoy's default, 20 ms, is less than one lost packet costs.
failure_mode_deny, status_on_error: without an answer the request is refused with 503. To let it
  pass instead, remove failure_mode_deny.
rate_limited_as_resource_exhausted: gRPC callers see RESOURCE_EXHAUSTED; the default, UNAVAILABLE,
  invites them to try again.
rate_limits: in the filter itself, so that no route needs a patch. They replace those of routes.
  request.url_path: ":path" includes the query, and each query string would be its own counter.
  re.capture: the calling namespace or service account, from the SPIFFE identity in the peer's
  certificate. Without a certificate the descriptor is not sent.
  remote_address: the last entry of X-Forwarded-For, which a gateway writes; without one, the
  calling pod. Workloads of the mesh can write that header, so limit those by namespace.
  x-tenant: written by authz from the token. payload.sub: the same from Istio's own token check, if
  a RequestAuthentication of the mesh does it; nothing is sent otherwise.
  response_ms: a budget of milliseconds. Asked for with 0 before the request, charged with the time
  it took after it (apply_on_stream_done); the one that breaks the budget still gets its answer.
  skip_if_absent is not set: a descriptor without its header is dropped whole; with it the rest
  would be sent, and counted as if it were the path's own.
"""


def manifest() -> Manifest:
    proxies = sidecars(WORKLOAD_PORT)
    sent = [
        *descriptors(),
        *actions.descriptors(
            [actions.path(), actions.account()], [actions.path(), actions.claim("sub", "subject")]
        ),
        *actions.charged_by_time(actions.constant("budget", "response_ms"), actions.account()),
    ]
    counted = unless_mirrored(ratelimit_filter(rls(), limits=sent), INGRESS_IDENTITY)
    return envoy_filter("rls", proxies, [http_patch(proxies, plain(counted))])


def overlay() -> Overlay:
    return Overlay(
        "ratelimit-sidecar", ABOUT, {"envoyfilter.yaml": Sheet(FILTER_ABOUT, [manifest()])}
    )
