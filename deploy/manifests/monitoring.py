"""What the Prometheus operator and Grafana's sidecar pick up."""

from deploy.manifests import alerts, dashboards
from deploy.manifests.objects import Manifest, made, selected
from deploy.manifests.shapes import SHAPES, Shape
from deploy.manifests.sheet import Part
from deploy.manifests.values import Values

MONITORING_API = "monitoring.coreos.com/v1"

ABOUT = """
Metrics, alerts and dashboards. Needs the Prometheus operator's CRDs.
labels release: by them the operator finds ServiceMonitors and rules; those of your installation may
  differ (kubectl get prometheus -A -o yaml: serviceMonitorSelector, ruleSelector).
ServiceMonitor: the admin port, which stands outside of the mesh; the NetworkPolicy of the base lets
  namespace "monitoring" in.
jobLabel app: the job is called rls or authz, which the alert on `up` asks for.
PrometheusRule: each alert names its part of deploy/docs/runbook.md.
ConfigMap grafana_dashboard "1": what Grafana's sidecar looks for.
Without the operator: deploy/dashboards has the rules as a file of Prometheus, and the dashboards.
"""


def parts(values: Values) -> list[Part]:
    labels = values("monitoring.labels")
    home = values.namespace
    found = {"labels": labels}
    rules = made(MONITORING_API, "PrometheusRule", "tollhouse", home, **found, spec=alerts.groups())
    boards = made(
        "v1",
        "ConfigMap",
        "tollhouse-dashboards",
        home,
        labels={"grafana_dashboard": "1"},
        data=dict(dashboards.files()),
    )
    monitors = [_monitor(shape, home, labels) for shape in SHAPES]
    return [Part(each) for each in (*monitors, rules, boards)]


def _monitor(shape: Shape, namespace: str, labels: object) -> Manifest:
    spec = {
        "jobLabel": "app",
        "selector": selected({"app": shape.name}),
        "endpoints": [{"port": "http-admin", "path": "/metrics", "interval": "15s"}],
    }
    return made(MONITORING_API, "ServiceMonitor", shape.name, namespace, labels=labels, spec=spec)
