"""What stands above the files of the base: the reason of each line that is not obvious."""

NAMESPACE_ABOUT = """
The home of both services and of Valkey.
istio-injection: the services get sidecars, so that calls to them are encrypted: what ext_authz
  sends contains the callers' tokens. In ambient mode take istio.io/dataplane-mode=ambient instead.
pod-security: nothing here needs more than `restricted` allows, once the CNI plugin replaces
  istio-init; hence only a warning.
"""

BASE_ABOUT = """
Both services, Valkey, and what protects them, in namespace tollhouse.
Apply: kubectl apply -k deploy/kubernetes/base
Needs Istio's CRDs; without Istio use the chart with mesh.enabled=false.
Then a wiring: one of the folders in deploy/kubernetes/overlays (deploy/README.md lists them).
"""

MESH_ABOUT = """
PeerAuthentication STRICT: nothing in plain text gets in, so every caller is known by certificate.
"""

SERVICE_ABOUT = """
{what}: files, Service, Deployment and what surrounds it.
ConfigMap: the files of config/, mounted as a folder; an edit is taken over without a restart, as
  soon as the kubelet has brought it. A file with an error is refused, the last good one serves on.
Service port name grpc-…: Istio must know that it is HTTP/2; under any other name every call fails.
ADMIN_HOST 0.0.0.0: kubelet and Prometheus ask from outside the pod. excludeInboundPorts keeps the
  port out of the mesh, so that both can; the NetworkPolicy lets in nobody else.
DRAIN_DELAY + DRAIN_TIMEOUT + 5s < terminationGracePeriodSeconds: the service drains by itself (not
  ready → wait → GOAWAY → serve until proxies have left), hence no preStop hook.
  terminationDrainDuration keeps the sidecar beside it up for as long.
startupProbe, livenessProbe: the event loop turns. Not whether Valkey answers: a restart would not
  bring it back.
readinessProbe: grpc.health.v1, which says NOT_SERVING as soon as a drain begins.
readOnlyRootFilesystem: the service writes no file.
resources: measured, see deploy/README.md. No CPU limit: a throttled pod makes the whole mesh wait.
No replicas: the HorizontalPodAutoscaler owns that number.
PodDisruptionBudget: a drain of nodes takes one pod at a time.
NetworkPolicy egress: DNS, istiod, traces, and the ports of what the service itself asks.
DestinationRule
  exportTo "*": the sidecars of other namespaces are the ones that call.
  connectTimeout: Istio's 10 s would outlast the timeout of every call.
  http2MaxRequests: as many waiting at once mean that the service stands still; fail at once.
  outlierDetection: only pods that cannot be reached or do not answer in time are avoided. An answer
    UNAVAILABLE ("Valkey is away") is true of every pod, and avoiding pods for it helps nobody.
A Sidecar resource of a calling namespace must list "tollhouse/*" in its egress hosts, otherwise the
  cluster is missing there and every call fails.
"""

RLS_ABOUT = (
    SERVICE_ABOUT.format(what="The rate limit service")
    + """
REDIS_URL: one Valkey for all replicas; they count together. See overlays/store-… for your own.
"""
)

AUTHZ_ABOUT = (
    SERVICE_ABOUT.format(what="The authorization service")
    + """
WORKLOAD_NAMESPACE, WORKLOAD_LABELS: the workload judged for where a wiring does not say it in its
  context_extensions, as the selectors of the policies see it.
The policies go to the service as files and not to the API server, where istiod would enforce them a
  second time in the proxy.
NetworkPolicy egress 443: key sets of issuers.
"""
)

VALKEY_ABOUT = """
The counters of the rate limit service.
No persistence: a restart forgets the current windows, which is what a restart may cost.
maxmemory-policy noeviction: evicting a counter would open its limit again. Full means errors, which
  the rate limit service reports; every counter has a time to live.
protected-mode no: Valkey's own guard takes only loopback; here the AuthorizationPolicy lets in
  nobody but the rate limit service, by its certificate.
strategy Recreate: never two stores, of which some replicas would count in one, some in the other.
One replica: for trying. Point REDIS_URL at a managed one for more.
"""
