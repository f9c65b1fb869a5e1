"""Limits that each proxy keeps by itself: the first line, and what needs no service."""

from deploy.filters import actions
from deploy.filters.local_limits import Bucket, Each, connection_limit, local_limit
from deploy.manifests.envoyfilter import (
    MANAGER,
    envoy_filter,
    http_patch,
    network_patch,
    sidecars,
)
from deploy.manifests.names import WORKLOAD_PORT
from deploy.manifests.objects import Manifest
from deploy.manifests.overlay import Overlay
from deploy.manifests.sheet import Sheet
from deploy.wiring import plain

ABOUT = """
Local rate limits in the sidecars of the workload app=httpbin in namespace shop. Needs nothing of
ours: each proxy counts for itself, so n pods allow n times as much. What that means beside the
global service: deploy/docs/local-limits.md
Apply: kubectl apply -k deploy/kubernetes/overlays/local-ratelimit
Over a limit: 429 with X-RateLimit headers; over the connection limit: closed at once.
"""

FILTER_ABOUT = """
What circulates as an AuthorizationPolicy with request.count, done by the filter that can: no
  policy of Istio counts anything, and a DENY with an unknown key is dropped and lets all pass.
filter_enabled and filter_enforced 100 %: their default is 0, and nothing is limited.
token_bucket: requests that no descriptor has a bucket for. fill_interval must be 50ms or more, or
  the proxy refuses its whole configuration.
descriptors without a value: one bucket for each value, at most max_dynamic_descriptors of them at a
  time (default 20). A request has to find room in every bucket that it matches.
  remote_address: the client as X-Forwarded-For has it; source_namespace: from the certificate;
  user_agent: what the client says of itself, so good against clumsy clients, not against bad ones.
always_consume_default_token_bucket false: a request that has a descriptor's bucket does not also
  take from the pod's.
NETWORK_FILTER: new connections a second, counted before TLS.
"""

POD = Bucket(100)
CONNECTIONS = Bucket(50)
EACH = (
    Each(("remote_address",), (actions.address(),), Bucket(20)),
    Each(("source_namespace",), (actions.namespace(),), Bucket(50)),
    Each(("user_agent",), (actions.header("user-agent", "user_agent"),), Bucket(40)),
)


def manifest() -> Manifest:
    proxies = sidecars(WORKLOAD_PORT)
    return envoy_filter(
        "local-limits",
        proxies,
        [
            http_patch(proxies, plain(local_limit(POD, EACH))),
            network_patch(proxies, plain(connection_limit(CONNECTIONS)), at=MANAGER),
        ],
        priority=5,
    )


def overlay() -> Overlay:
    return Overlay(
        "local-ratelimit", ABOUT, {"envoyfilter.yaml": Sheet(FILTER_ABOUT, [manifest()])}
    )
