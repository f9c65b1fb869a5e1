"""What stands above each manifest: what it is, and the reason of each line that is not obvious."""

NAMESPACE = """
The home of both services and of Valkey. Apply the folder: kubectl apply -f deploy/kubernetes
The files shop-*.yaml wire an example workload: Service httpbin in namespace shop, pods with
app=httpbin, container port 8080.
istio-injection: the services get sidecars, so that calls to them are encrypted: what ext_authz
  sends contains the callers' tokens.
PeerAuthentication STRICT: nothing in plain text gets in. Probes still do; the injector turns them
  into requests to the sidecar's agent.
"""

SERVICE = """
{what}, with its ConfigMap, Service, Deployment and DestinationRule.
image: one with Python 3.11 and this distribution installed.
ConfigMap: the files of config/, mounted as a folder; an edit is taken over without a restart, as
  soon as the kubelet has brought it. A file with an error is refused, the last good one serves on.
Port name grpc-…: Istio must know that it is HTTP/2; under any other name every call fails.
ADMIN_HOST 0.0.0.0: the kubelet asks for /healthz from outside the pod. The pages are read-only.
DRAIN_DELAY + DRAIN_TIMEOUT < terminationGracePeriodSeconds: the service drains by itself, hence no
  preStop hook. terminationDrainDuration keeps the sidecar beside it up for as long.
readinessProbe: grpc.health.v1, which says NOT_SERVING as soon as a drain begins.
livenessProbe: the event loop turns. It does not ask for Valkey: a restart would not bring it back.
readOnlyRootFilesystem: the service writes no file.
DestinationRule
  exportTo "*": the sidecars of other namespaces are the ones that call.
  connectTimeout: Istio's 10 s would outlast the timeout of every call.
  http2MaxRequests: as many waiting at once mean that the service stands still; fail at once.
  outlierDetection: only pods that cannot be reached or do not answer in time are avoided. An answer
    UNAVAILABLE ("Valkey is away") is true of every pod, and avoiding pods for it helps nobody.
A Sidecar resource of a calling namespace must list "tollhouse/*" in its egress hosts, otherwise the
  cluster is missing there and every call fails.
"""

RLS = """
REDIS_URL: one Valkey for all replicas; they count together.
"""

AUTHZ = """
WORKLOAD_NAMESPACE, WORKLOAD_LABELS: the workload this Deployment judges for, as the selectors of
  the policies see it; give each workload with other labels a Deployment of its own.
The policies go to the service as files and not to the API server, where istiod would enforce them a
  second time in the proxy.
"""

VALKEY = """
The counters of the rate limit service.
No persistence: a restart forgets the current windows, which is what a restart may cost.
maxmemory-policy noeviction: evicting a counter would open its limit again. Full means errors, which
  the rate limit service reports; every counter has a time to live.
protected-mode no: Valkey's own guard takes only loopback; here the AuthorizationPolicy lets in
  nobody but the rate limit service, by its certificate.
One replica: for trying. Point REDIS_URL at a managed one for more.
"""

RLS_PATCH = """
Puts the rate limit filter into the sidecars of the workload app=httpbin in namespace shop.
priority: settles the order among several patches of one place.
context SIDECAR_INBOUND: without it the filter also lands on every outbound listener and every
  request is counted twice.
portNumber 8080: the container's port; the Service's port would match nothing, silently.
INSERT_BEFORE the router: after Istio's own filters, so that a refused request costs no limit.
  ADD would put it behind the router, and the proxy would refuse its whole configuration.
cluster_name: istiod's name for port 8081 of the Service rls.
timeout 0.25s: Envoy's default, 20 ms, is less than one lost packet costs.
failure_mode_deny, status_on_error: without an answer the request is refused with 503. To let it
  pass instead, remove failure_mode_deny.
rate_limited_as_resource_exhausted: gRPC callers see RESOURCE_EXHAUSTED; the default, UNAVAILABLE,
  invites them to try again.
rate_limits: in the filter itself, so that no route needs a patch. They replace those of routes.
  request.url_path: ":path" includes the query, and each query string would be its own counter.
  re.capture: the calling namespace, from the SPIFFE identity in the peer's certificate. Without a
  certificate the descriptor is not sent.
  remote_address: the last entry of X-Forwarded-For, which a gateway writes; without one, the
  calling pod. Workloads of the mesh can write that header, so limit those by namespace.
  skip_if_absent is not set: a descriptor without its header is dropped whole; with it the rest
  would be sent, and counted as if it were the path's own.
"""

PROVIDER = """
A part of MeshConfig, as a values file of the istiod chart: helm upgrade istiod … --values this
(in a subfolder, since kubectl cannot apply it). Needed before the CUSTOM policy: a policy with an
unknown provider denies everything.
service: the full host name; a short one denies everything as well.
timeout: unset means 600 s. 0.5s leaves room for the first token of an issuer, whose keys are then
  fetched.
failOpen false: no answer, no entry.
statusOnError 503: the default, 403, would tell callers that they may not.
"""

POLICY = """
Sends every request to the workload app=httpbin in namespace shop to authz, by the provider in
mesh-config/extension-provider.yaml.
rules [{}]: all requests. An exception here would be a hole that no policy of authz shows. Rules on
  identities are not possible in a CUSTOM policy; they stand in authz' own documents.
The check comes first in the chain: before Istio's own token check, DENY and ALLOW, which hold too.
"""

AUTHZ_PATCH = """
Adds to the ext_authz filter of the workload what a provider cannot say.
MERGE into envoy.filters.http.ext_authz: the filter that istiod generates for the CUSTOM policy;
  what the provider sets stays. No port: all inbound chains have it.
encode_raw_headers: each value of a repeated header by itself, as Istio's own filter judges them.
  With the joined map a DENY on a header value is evaded by sending the header twice.
include_tls_session: for connection.sni in policies.
validate_mutations: a malformed header in authz' answer is an error and not forwarded.
"""
