"""New versions of the services themselves, tried before they serve all: Flagger, Argo Rollouts."""

from deploy.manifests.names import HOME
from deploy.manifests.objects import Manifest, made, selected
from deploy.manifests.overlay import BASE, Overlay
from deploy.manifests.shapes import SHAPES, Shape
from deploy.manifests.sheet import Sheet

PROMETHEUS = "http://prometheus.monitoring:9090"
LOAD_TESTER = "http://flagger-loadtester.flagger-system/"
STEPS = (5, 20, 50)

PROBES = {
    "rls": (
        "envoy.service.ratelimit.v3.RateLimitService.ShouldRateLimit",
        '{"domain":"flagger","descriptors":[{"entries":[{"key":"probe","value":"probe"}]}]}',
    ),
    "authz": (
        "envoy.service.auth.v3.Authorization.Check",
        '{"attributes":{"request":{"http":{"method":"GET","path":"/flagger"}}}}',
    ),
}

FLAGGER_ABOUT = """
The base under Flagger: a new image or setting of rls or authz is tried before it serves anyone.
Needs Flagger, its load tester in namespace flagger-system (with a sidecar, for the services take
mTLS only), and the metrics (overlays/monitoring).
Apply: kubectl apply -k deploy/kubernetes/overlays/rollout-flagger
Flagger makes Deployments rls-primary and authz-primary and takes over the Services from here on.
"""

CANARY_ABOUT = """
provider kubernetes (blue-green), not istio: filters call the cluster of the Service itself. A
  VirtualService divides no such calls, and a canary behind one would be judged without any.
webhook load-test: ghz asks the new version through reflection; its metrics are then its own.
iterations 10 every 30 s, threshold 3: as many failures, and the old version stays.
tollhouse-errors: calls that the new version could not answer, by its own count.
autoscalerRef: the autoscaler follows the Deployment under its new name.
portDiscovery: Flagger writes the Services anew, and the admin port must stay.
The selectors of NetworkPolicies and budgets use app.kubernetes.io/name: Flagger changes `app`.
"""

ARGO_ABOUT = """
The base under Argo Rollouts: rls and authz as Rollouts that take the Deployments' pod templates.
Needs Argo Rollouts, and the metrics (overlays/monitoring).
Apply: kubectl apply -k deploy/kubernetes/overlays/rollout-argo
Without a mesh for the division of calls the weights are numbers of pods, which suits both services:
their Service stays one, and cluster names do not change.
"""

ROLLOUT_ABOUT = """
workloadRef with scaleDown onsuccess: the Deployment goes to 0 once the Rollout serves.
The HorizontalPodAutoscaler is pointed at the Rollout by the overlay's patch.
steps: 5, 20, 50 percent, each with its analysis; a failed one puts the old version back.
maxUnavailable 0: pods come before others go; both drain without losing a call.
AnalysisTemplates: the share of failed calls, of the canary's own pods by rollouts-pod-template-hash
  where the scrape carries it, else of all.
failureLimit 1, inconclusive never passes: `default(…)` gives 1, a failure, where there is no data
  but errors, and 0 where nothing was asked.
"""


def errors(shape: Shape, selector: str) -> str:
    """PromQL: the share of calls that failed for reasons of the service, of pods that match."""
    if shape.name == "rls":
        series, bad = "tollhouse_rls_requests_total", 'code="error"'
    else:
        series, bad = "tollhouse_authz_verdicts_total", 'reason=~"internal|not_ready"'
    return (
        f"sum(rate({series}{{{bad},{selector}}}[1m])) / "
        f"clamp_min(sum(rate({series}{{{selector}}}[1m])), 1)"
    )


def canary(shape: Shape) -> Manifest:
    errors_metric = {
        "name": f"tollhouse-errors-{shape.name}",
        "templateRef": {"name": f"tollhouse-errors-{shape.name}"},
        "thresholdRange": {"max": 0.01},
        "interval": "30s",
    }
    load = {
        "name": "load-test",
        "url": LOAD_TESTER,
        "timeout": "5s",
        "metadata": {"type": "cmd", "cmd": _load(shape)},
    }
    port_name = f"grpc-{shape.name}"
    spec = {
        "provider": "kubernetes",
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": shape.name},
        "autoscalerRef": {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "name": shape.name,
        },
        "progressDeadlineSeconds": 120,
        "skipAnalysis": False,
        "service": {
            "port": shape.port,
            "targetPort": port_name,
            "portName": port_name,
            "portDiscovery": True,
        },
        "analysis": {
            "interval": "30s",
            "threshold": 3,
            "iterations": 10,
            "metrics": [errors_metric],
            "webhooks": [load],
        },
    }
    return made("flagger.app/v1beta1", "Canary", shape.name, HOME, spec=spec)


def _load(shape: Shape) -> str:
    """Asks the new version for 25 s; the body counts or judges nothing of anyone."""
    method, body = PROBES[shape.name]
    return (
        f"ghz -z 25s -q 50 --insecure --call {method} -d '{body}'"
        f" {shape.name}-canary.{HOME}:{shape.port}"
    )


def metric_template(shape: Shape) -> Manifest:
    pods = 'namespace="{{ namespace }}",pod=~"{{ target }}-[0-9a-z]+-[0-9a-z]+"'
    spec = {
        "provider": {"type": "prometheus", "address": PROMETHEUS},
        "query": errors(shape, pods),
    }
    kind = "MetricTemplate"
    return made("flagger.app/v1beta1", kind, f"tollhouse-errors-{shape.name}", HOME, spec=spec)


def flagger() -> Overlay:
    objects = [each(shape) for shape in SHAPES for each in (metric_template, canary)]
    return Overlay(
        "rollout-flagger", FLAGGER_ABOUT, {"canary.yaml": Sheet(CANARY_ABOUT, objects)}, on=[BASE]
    )


def rollout(shape: Shape) -> Manifest:
    template = {"templateName": f"tollhouse-errors-{shape.name}"}
    steps: list[Manifest] = []
    for weight in STEPS:
        steps += [{"setWeight": weight}, {"pause": {"duration": "1m"}}]
        steps.append({"analysis": {"templates": [template]}})
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": shape.name}
    spec = {
        "selector": selected({"app": shape.name}),
        "workloadRef": {**reference, "scaleDown": "onsuccess"},
        "strategy": {"canary": {"maxSurge": 1, "maxUnavailable": 0, "steps": steps}},
    }
    return made("argoproj.io/v1alpha1", "Rollout", shape.name, HOME, spec=spec)


def analysis_template(shape: Shape) -> Manifest:
    query = errors(shape, f'namespace="{HOME}"')
    metric = {
        "name": "errors",
        "interval": "30s",
        "count": 4,
        "failureLimit": 1,
        "successCondition": "len(result) > 0 && result[0] < 0.01",
        "provider": {"prometheus": {"address": PROMETHEUS, "query": query}},
    }
    name = f"tollhouse-errors-{shape.name}"
    api = "argoproj.io/v1alpha1"
    return made(api, "AnalysisTemplate", name, HOME, spec={"metrics": [metric]})


def argo() -> Overlay:
    objects = [each(shape) for shape in SHAPES for each in (analysis_template, rollout)]
    target = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
    scaled = [
        made(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            shape.name,
            HOME,
            spec={"scaleTargetRef": {**target, "name": shape.name}},
        )
        for shape in SHAPES
    ]
    return Overlay(
        "rollout-argo",
        ARGO_ABOUT,
        {"rollout.yaml": Sheet(ROLLOUT_ABOUT, objects)},
        on=[BASE],
        patches=scaled,
    )
