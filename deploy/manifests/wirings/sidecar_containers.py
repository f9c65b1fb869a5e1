"""Both services in the workload's own pod, reached over Unix sockets."""

from deploy.manifests.envoyfilter import (
    cluster_patch,
    envoy_filter,
    http_patch,
    sidecars,
    socket_cluster,
)
from deploy.manifests.knobs import CPU, IMAGE, MEMORY, resources
from deploy.manifests.names import WORKLOAD_LABELS, WORKLOAD_NAMESPACE, WORKLOAD_PORT
from deploy.manifests.objects import Manifest, made, selected
from deploy.manifests.overlay import Overlay
from deploy.manifests.pods import COMMANDS, NO_PRIVILEGES, NOT_ROOT
from deploy.manifests.shapes import AUTHZ, RLS, SHAPES, VALKEY_PORT, Shape
from deploy.manifests.sheet import Sheet
from deploy.wiring import Service, ext_authz_filter, plain, ratelimit_filter

SOCKETS = "/var/run/tollhouse"
VOLUME = "tollhouse-sockets"
PROXY_GROUP = 1337
"""Istio's proxy runs under this user and group."""

ABOUT = """
Both services as containers of the workload's pod (app=httpbin in namespace shop), asked over Unix
sockets: no network between the proxy and its answer, and a pod fails alone.
Needs Valkey of the base for counters that all pods share; BACKEND_TYPE=memory counts a pod by
itself. Apply: kubectl apply -k deploy/kubernetes/overlays/sidecar-containers
No answer from either service: 503.
"""

DEPLOYMENT_ABOUT = """
The example workload with two more containers. For your own Deployment take initContainers, volumes
and the annotations into its pod template.
initContainers with restartPolicy Always: started before the workload, ended after it (Kubernetes
  1.29); as ordinary containers they could be gone while requests still come.
emptyDir in memory, mounted into the proxy by userVolumeMount: where the sockets are.
fsGroup 1337 and GRPC_UDS_MODE 0660: the proxy's group may connect, nobody else.
ADMIN_PORT: each pod has one network, so the ports of both must differ, and from the workload's.
ConfigMaps: the same files as in the base, but of this namespace.
"""

FILTER_ABOUT = """
Our own ext_authz filter instead of a provider, for a provider cannot name a socket.
CLUSTER ADD: STATIC with a pipe address; HTTP/2 must be said, nothing else tells the proxy.
Name tollhouse.authz: not Istio's, so that a CUSTOM policy's filter would stand beside it.
INSERT_BEFORE the router, two EnvoyFilters with priority 10 and 20: authz first, then the limit.
  Unlike a CUSTOM policy's, the check comes after Istio's own token check and policies.
"""


def workload() -> list[Manifest]:
    """The example workload's objects, and the files of both services in its namespace."""
    files = [
        made("v1", "ConfigMap", shape.config_map, WORKLOAD_NAMESPACE, data=shape.contents())
        for shape in SHAPES
    ]
    spec = {"selector": selected(WORKLOAD_LABELS), "template": _pod()}
    return [*files, made("apps/v1", "Deployment", "httpbin", WORKLOAD_NAMESPACE, spec=spec)]


def manifests() -> list[Manifest]:
    proxies = sidecars(WORKLOAD_PORT)
    made_filters = []
    for priority, shape in ((10, AUTHZ), (20, RLS)):
        cluster = f"tollhouse-{shape.name}"
        asked = Service(cluster, f"{shape.name}.tollhouse.local")
        http = (
            ext_authz_filter(asked, name="tollhouse.authz")
            if shape is AUTHZ
            else ratelimit_filter(asked)
        )
        patches = [
            cluster_patch(proxies, socket_cluster(cluster, _socket(shape))),
            http_patch(proxies, plain(http)),
        ]
        name = f"{shape.name}-container"
        made_filters.append(envoy_filter(name, proxies, patches, priority=priority))
    return made_filters


def _pod() -> Manifest:
    mounts = f'[{{"name":"{VOLUME}","mountPath":"{SOCKETS}","readOnly":true}}]'
    annotations = {"sidecar.istio.io/userVolumeMount": mounts}
    app = {
        "name": "httpbin",
        "image": "mccutchen/go-httpbin:2.20",
        "ports": [{"name": "http", "containerPort": WORKLOAD_PORT}],
    }
    volumes = [
        {"name": f"tollhouse-{shape.files}", "configMap": {"name": shape.config_map}}
        for shape in SHAPES
    ]
    return {
        "metadata": {"labels": dict(WORKLOAD_LABELS), "annotations": annotations},
        "spec": {
            "securityContext": {"fsGroup": PROXY_GROUP},
            "initContainers": [_container(shape) for shape in SHAPES],
            "containers": [app],
            "volumes": [{"name": VOLUME, "emptyDir": {"medium": "Memory"}}, *volumes],
        },
    }


def _container(shape: Shape) -> Manifest:
    settings = {
        **shape.all_settings,
        "GRPC_UDS": _socket(shape),
        "GRPC_UDS_MODE": "0660",
        "ADMIN_PORT": str(shape.admin_port),
    }
    if shape is RLS:
        settings["REDIS_URL"] = f"valkey.tollhouse:{VALKEY_PORT}"
    probe = {"httpGet": {"path": "/healthz", "port": shape.admin_port}}
    return {
        "name": f"tollhouse-{shape.name}",
        "image": IMAGE,
        "restartPolicy": "Always",
        "command": ["/bin/" + COMMANDS[shape.name]],
        "env": [{"name": name, "value": settings[name]} for name in sorted(settings)],
        "startupProbe": {**probe, "periodSeconds": 1, "failureThreshold": 30},
        "livenessProbe": probe,
        "resources": resources(CPU, MEMORY),
        "securityContext": {**NO_PRIVILEGES, **NOT_ROOT, "runAsGroup": PROXY_GROUP},
        "volumeMounts": [
            {"name": VOLUME, "mountPath": SOCKETS},
            {"name": f"tollhouse-{shape.files}", "mountPath": shape.mounted, "readOnly": True},
        ],
    }


def _socket(shape: Shape) -> str:
    return f"{SOCKETS}/{shape.name}.sock"


def overlay() -> Overlay:
    return Overlay(
        "sidecar-containers",
        ABOUT,
        {
            "workload.yaml": Sheet(DEPLOYMENT_ABOUT, workload()),
            "envoyfilter.yaml": Sheet(FILTER_ABOUT, manifests()),
        },
    )
