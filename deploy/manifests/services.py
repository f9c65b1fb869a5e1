"""The objects of one service: what it reads, what it is, how many there are."""

from deploy.manifests.network import destination_rule, network_policy
from deploy.manifests.objects import Manifest, made, selected
from deploy.manifests.pods import NAME_LABEL, pod
from deploy.manifests.shapes import Shape
from deploy.manifests.sheet import Part
from deploy.manifests.values import Values

MESH, NETWORK = "mesh.enabled", "networkPolicy.enabled"


def service_parts(shape: Shape, values: Values) -> list[Part]:
    """Everything of one service, in the order in which it is needed."""
    home = values.namespace
    data = {"data": values(f"{shape.name}.{shape.files}")}
    return [
        Part(made("v1", "ConfigMap", shape.config_map, home, **data)),
        Part(made("v1", "ServiceAccount", shape.name, home)),
        Part(service(shape, home)),
        Part(deployment(shape, values)),
        Part(autoscaler(shape, values)),
        Part(disruption_budget(shape, home)),
        Part(network_policy(shape, values), NETWORK),
        Part(destination_rule(shape.name, home), MESH),
    ]


def service(shape: Shape, namespace: str) -> Manifest:
    grpc = f"grpc-{shape.name}"
    ports = [
        {"name": grpc, "port": shape.port, "targetPort": grpc},
        {"name": "http-admin", "port": shape.admin_port, "targetPort": "http-admin"},
    ]
    spec = {"selector": {"app": shape.name}, "ports": ports}
    labels = {"app": shape.name, "app.kubernetes.io/part-of": "tollhouse"}
    return made("v1", "Service", shape.name, namespace, labels=labels, spec=spec)


def deployment(shape: Shape, values: Values) -> Manifest:
    """No `replicas`: the autoscaler owns that number, and applying again must not reset it."""
    spec = {
        "selector": selected({"app": shape.name}),
        "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": pod(shape, values),
    }
    return made("apps/v1", "Deployment", shape.name, values.namespace, spec=spec)


def autoscaler(shape: Shape, values: Values) -> Manifest:
    cpu = {
        "name": "cpu",
        "target": {
            "type": "Utilization",
            "averageUtilization": values(f"{shape.name}.targetCPUPercent"),
        },
    }
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": shape.name},
        "minReplicas": values(f"{shape.name}.minReplicas"),
        "maxReplicas": values(f"{shape.name}.maxReplicas"),
        "metrics": [{"type": "Resource", "resource": cpu}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
    }
    kind = "HorizontalPodAutoscaler"
    return made("autoscaling/v2", kind, shape.name, values.namespace, spec=spec)


def disruption_budget(shape: Shape, namespace: str) -> Manifest:
    spec = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": selected({NAME_LABEL: shape.name}),
    }
    return made("policy/v1", "PodDisruptionBudget", shape.name, namespace, spec=spec)
