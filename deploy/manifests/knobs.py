"""The values of the chart, in the order of values.yaml."""

from collections.abc import Iterator
from typing import Any

from deploy.manifests.shapes import AUTHZ, RLS, Shape
from deploy.manifests.values import Knob

IMAGE = "tollhouse:0.1.0"
VALKEY_IMAGE = "valkey/valkey:9.1"

SWITCH = {"type": "boolean"}
COUNT = {"type": "integer", "minimum": 1}
NAME = {"type": "string", "minLength": 1}
STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
FILES = {**STRINGS, "propertyNames": {"pattern": r"^[A-Za-z0-9][-A-Za-z0-9_.]*\.(yaml|yml|json)$"}}
SETTINGS = {**STRINGS, "propertyNames": {"pattern": "^[A-Z][A-Z0-9_]*$"}}
TOLERATIONS = {"type": "array", "items": {"type": "object"}}
QUANTITY = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(m|[kMGT]i?)?$"}
QUANTITIES = {"type": "object", "additionalProperties": QUANTITY}
RESOURCES = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"requests": QUANTITIES, "limits": QUANTITIES},
}

CPU, MEMORY = "100m", "128Mi"
"""Measured (deploy/README.md, "Resources"): 100m carries 650 verdicts or 1,000 limit decisions a
second that come one by one, more that come together; a service holds about 60 MiB. No CPU limit: a
throttled pod answers late, and every request of the mesh waits for it."""


def knobs() -> dict[str, Knob]:
    """Path → value, schema and meaning."""
    return {knob.path: knob for knob in _all()}


def resources(cpu: str, memory: str) -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}


def _all() -> Iterator[Knob]:
    yield Knob("image", IMAGE, NAME, "image of both services, with its tag or digest")
    policy = {"type": "string", "enum": ["Always", "IfNotPresent", "Never"]}
    yield Knob("imagePullPolicy", "IfNotPresent", policy, "as Kubernetes has it")
    about = "PeerAuthentication, DestinationRules and AuthorizationPolicy; needs Istio's CRDs"
    yield Knob("mesh.enabled", True, SWITCH, about)
    about = "who may connect to the pods, and where the pods may connect to"
    yield Knob("networkPolicy.enabled", True, SWITCH, about)
    about = "namespace that Prometheus asks from"
    yield Knob("networkPolicy.monitoringNamespace", "monitoring", NAME, about)
    about = "ServiceMonitors, alert rules and dashboards; needs the Prometheus operator's CRDs"
    yield Knob("monitoring.enabled", False, SWITCH, about)
    about = "labels by which the operator finds its ServiceMonitors and rules"
    yield Knob("monitoring.labels", {"release": "prometheus"}, STRINGS, about)
    about = "a Valkey of one pod without persistence, for trying; else set rls.settings.REDIS_URL"
    yield Knob("valkey.enabled", True, SWITCH, about)
    yield Knob("valkey.image", VALKEY_IMAGE, NAME, "image of Valkey, with its tag or digest")
    about = "memory beyond maxmemory (200mb) is Valkey's own"
    yield Knob("valkey.resources", resources("100m", "256Mi"), RESOURCES, about)
    for shape in (RLS, AUTHZ):
        yield from _service(shape)


def _service(shape: Shape) -> Iterator[Knob]:
    name = shape.name
    yield Knob(f"{name}.enabled", True, SWITCH, f"install {name}")
    yield Knob(f"{name}.minReplicas", 2, COUNT, "one may go away without anyone noticing")
    yield Knob(f"{name}.maxReplicas", 10, COUNT, "where scaling out ends")
    percent = {**COUNT, "maximum": 100}
    about = "mean CPU of the pods, in percent of their request, above which pods are added"
    yield Knob(f"{name}.targetCPUPercent", 70, percent, about)
    yield Knob(f"{name}.resources", resources(CPU, MEMORY), RESOURCES, "see deploy/README.md")
    yield Knob(f"{name}.nodeSelector", {}, STRINGS, "labels of the nodes to run on")
    yield Knob(f"{name}.tolerations", [], TOLERATIONS, "as Kubernetes has them")
    yield Knob(f"{name}.settings", shape.all_settings, SETTINGS, f"environment of {name}")
    about = f"the {shape.files}: file name to content; edits are taken over without a restart"
    yield Knob(f"{name}.{shape.files}", shape.contents(), FILES, about)
