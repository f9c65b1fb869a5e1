"""Authorization in the sidecars of a workload: extension provider, CUSTOM policy, and a MERGE."""

from envoy_data_plane.envoy.extensions.filters.http.ext_authz.v3 import (
    CheckSettings,
    ExtAuthzPerRoute,
)

from deploy.manifests.envoyfilter import (
    Proxies,
    envoy_filter,
    http_patch,
    per_route,
    route_patch,
    sidecars,
)
from deploy.manifests.names import (
    AUTHZ_PORT,
    PROVIDER,
    WORKLOAD_LABELS,
    WORKLOAD_NAMESPACE,
    WORKLOAD_PORT,
    authz,
    host,
)
from deploy.manifests.objects import Manifest, made, seconds, selected
from deploy.manifests.overlay import Overlay
from deploy.manifests.shapes import labels_setting
from deploy.manifests.sheet import Sheet
from deploy.wiring import EXT_AUTHZ, EXT_AUTHZ_TIMEOUT, ON_ERROR, ext_authz_filter, plain

FROM_PROVIDER = ("grpc_service", "transport_api_version", "failure_mode_allow", "status_on_error")
"""Fields of the ext_authz filter that istiod fills from the provider; the patch adds the rest."""

ABOUT = """
Authorization in the sidecars of the workload app=httpbin in namespace shop.
Needs the base, and mesh-config/extension-provider.yaml in istiod's configuration BEFORE the policy:
a policy with an unknown provider denies everything.
Apply: kubectl apply -k deploy/kubernetes/overlays/authz-provider
Not allowed: 403; a bad token: 401. No answer from authz within 0.5 s, or an error: 503.
"""

PROVIDER_ABOUT = """
A part of MeshConfig, as a values file of the istiod chart: helm upgrade istiod … --values this
(not applied by kubectl). Needed before the CUSTOM policy: a policy with an unknown provider denies
everything.
service: the full host name; a short one denies everything as well.
port: one that the Service has. A wrong one is not noticed: every check fails, with 503.
timeout: unset means 600 s. 0.5s leaves room for the first token of an issuer, whose keys are then
  fetched.
failOpen false: no answer, no entry.
statusOnError 503: the default, 403, would tell callers that they may not.
clearRouteCache is not here: istiod does not pass it on.
One provider: two on one workload deny everything that matches either.
"""

POLICY_ABOUT = """
Sends every request to the workload app=httpbin in namespace shop to authz, by the provider in
mesh-config/extension-provider.yaml.
rules [{}]: all requests. An exception here would be a hole that no policy of authz shows. Rules on
  identities are not possible in a CUSTOM policy; they stand in authz' own documents.
The check comes first in the chain: before Istio's own token check, DENY and ALLOW, which hold too.
"""

MERGE_ABOUT = """
Adds to the ext_authz filter of the workload what a provider cannot say.
MERGE into envoy.filters.http.ext_authz: the filter that istiod generates for the CUSTOM policy;
  what the provider sets stays.
encode_raw_headers: each value of a repeated header by itself, as Istio's own filter judges them.
  With the joined map a DENY on a header value is evaded by sending the header twice.
include_tls_session: for connection.sni in policies.
include_peer_certificate: not needed for principals; add it if a policy of yours looks into the
  certificate. It costs about a kilobyte a request.
bootstrap_metadata_labels_key LABELS: the pod's labels, so that selectors of policies find it.
validate_mutations: a malformed header in authz' answer is an error and not forwarded.
context_extensions, by route: namespace and labels of the workload, stated by whoever wires it; they
  win over what the proxy says of itself. The key of the map is the name of Istio's filter.
"""


def extension_provider() -> Manifest:
    """A part of MeshConfig, as values of the istiod chart have it."""
    grpc = {
        "service": host("authz"),
        "port": AUTHZ_PORT,
        "timeout": seconds(EXT_AUTHZ_TIMEOUT),
        "failOpen": False,
        "statusOnError": str(ON_ERROR.value),
    }
    return {"meshConfig": {"extensionProviders": [{"name": PROVIDER, "envoyExtAuthzGrpc": grpc}]}}


def custom_policy(name: str, namespace: str, **attached: object) -> Manifest:
    """Sends every request of what it is attached to, by selector or targetRefs, to the provider."""
    spec = {**attached, "action": "CUSTOM", "provider": {"name": PROVIDER}, "rules": [{}]}
    return made("security.istio.io/v1", "AuthorizationPolicy", name, namespace, spec=spec)


def addition(proxies: Proxies) -> Manifest:
    """The patch that merges into istiod's filter what a provider cannot say."""
    value = plain(ext_authz_filter(authz()))
    value["typed_config"] = {
        name: field for name, field in value["typed_config"].items() if name not in FROM_PROVIDER
    }
    return http_patch(proxies, value, at=EXT_AUTHZ, operation="MERGE")


def context(proxies: Proxies, match: Manifest, said: dict[str, str]) -> Manifest:
    """The patch that has every check of some routes carry what is `said`."""
    own = ExtAuthzPerRoute(check_settings=CheckSettings(context_extensions=said))
    return route_patch(proxies, match, per_route(EXT_AUTHZ, own))


def workload_context(namespace: str, labels: dict[str, str]) -> dict[str, str]:
    """As authz reads it."""
    return {"tollhouse.namespace": namespace, "tollhouse.labels": labels_setting(labels)}


def manifest() -> Manifest:
    proxies = sidecars(WORKLOAD_PORT)
    routes = {"portNumber": WORKLOAD_PORT, "vhost": {"route": {"name": "default"}}}
    said = workload_context(WORKLOAD_NAMESPACE, WORKLOAD_LABELS)
    return envoy_filter("authz", proxies, [addition(proxies), context(proxies, routes, said)])


def overlay() -> Overlay:
    policy = custom_policy("ask-authz", WORKLOAD_NAMESPACE, selector=selected(WORKLOAD_LABELS))
    return Overlay(
        "authz-provider",
        ABOUT,
        {
            "envoyfilter.yaml": Sheet(MERGE_ABOUT, [manifest()]),
            "policy.yaml": Sheet(POLICY_ABOUT, [policy]),
        },
        beside={
            "mesh-config/extension-provider.yaml": Sheet(PROVIDER_ABOUT, [extension_provider()])
        },
    )
