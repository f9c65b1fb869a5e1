"""A pod of one of the two services, and the same container beside a workload."""

from deploy.manifests.objects import Manifest, selected
from deploy.manifests.shapes import (
    DRAIN_DELAY_SECONDS,
    DRAIN_TIMEOUT_SECONDS,
    GRACE_SECONDS,
    LEAVING_SECONDS,
    Shape,
)
from deploy.manifests.values import Values

USER = 65532

NAME_LABEL = "app.kubernetes.io/name"
"""What policies and budgets select by: Flagger gives the pods that it makes another `app`."""

NOT_ROOT = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
NO_PRIVILEGES = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def labels(shape: Shape) -> dict[str, str]:
    """`app` and `version` are what Kiali draws by; the others are Kubernetes' recommended ones."""
    return {
        "app": shape.name,
        "version": "v1",
        NAME_LABEL: shape.name,
        "app.kubernetes.io/part-of": "tollhouse",
    }


def annotations(shape: Shape) -> dict[str, str]:
    leaving = DRAIN_DELAY_SECONDS + DRAIN_TIMEOUT_SECONDS + LEAVING_SECONDS
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(shape.admin_port),
        "prometheus.io/path": "/metrics",
        "prometheus.istio.io/merge-metrics": "false",
        "traffic.sidecar.istio.io/excludeInboundPorts": str(shape.admin_port),
        "proxy.istio.io/config": f"terminationDrainDuration: {leaving}s\n",
    }


def pod(shape: Shape, values: Values) -> Manifest:
    """The pod template."""
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": selected({NAME_LABEL: shape.name}),
    }
    return {
        "metadata": {"labels": labels(shape), "annotations": annotations(shape)},
        "spec": {
            "serviceAccountName": shape.name,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "securityContext": dict(NOT_ROOT),
            "topologySpreadConstraints": [spread],
            "nodeSelector": values(f"{shape.name}.nodeSelector"),
            "tolerations": values(f"{shape.name}.tolerations"),
            "containers": [_container(shape, values)],
            "volumes": [{"name": "files", "configMap": {"name": shape.config_map}}],
        },
    }


def _container(shape: Shape, values: Values) -> Manifest:
    grpc = {"port": shape.port, "service": shape.health}
    return {
        "name": shape.name,
        "image": values("image"),
        "imagePullPolicy": values("imagePullPolicy"),
        "command": ["/bin/" + COMMANDS[shape.name]],
        "env": values.settings(f"{shape.name}.settings"),
        "ports": [
            {"name": f"grpc-{shape.name}", "containerPort": shape.port},
            {"name": "http-admin", "containerPort": shape.admin_port},
        ],
        "startupProbe": {
            "httpGet": {"path": "/healthz", "port": "http-admin"},
            "periodSeconds": 1,
            "failureThreshold": 30,
        },
        "readinessProbe": {"grpc": grpc, "periodSeconds": 2},
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http-admin"}},
        "resources": values(f"{shape.name}.resources"),
        "securityContext": dict(NO_PRIVILEGES),
        "volumeMounts": [{"name": "files", "mountPath": shape.mounted, "readOnly": True}],
    }


COMMANDS = {"rls": "ratelimit", "authz": "authz"}
"""The programs of the image; `/bin/ratelimit` is where envoyproxy/ratelimit's image has its own."""
