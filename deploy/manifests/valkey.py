"""One Valkey without persistence, open to the rate limit service alone."""

from deploy.manifests.names import DOMAIN
from deploy.manifests.network import valkey_network_policy
from deploy.manifests.objects import Manifest, made, selected
from deploy.manifests.pods import NO_PRIVILEGES, NOT_ROOT
from deploy.manifests.services import MESH, NETWORK
from deploy.manifests.shapes import VALKEY_PORT
from deploy.manifests.sheet import Part
from deploy.manifests.values import Values

NAME, PORT_NAME = "valkey", "tcp-valkey"
VALKEY_USER = 999  # of its image


def valkey_parts(values: Values) -> list[Part]:
    home = values.namespace
    ports = [{"name": PORT_NAME, "port": VALKEY_PORT, "targetPort": PORT_NAME}]
    service = {"selector": {"app": NAME}, "ports": ports}
    deployment = {
        "replicas": 1,
        "selector": selected({"app": NAME}),
        # One store at a time: with two, some replicas of rls would count in one, some in the other.
        "strategy": {"type": "Recreate"},
        "template": _pod(values),
    }
    return [
        Part(made("v1", "ServiceAccount", NAME, home)),
        Part(made("v1", "Service", NAME, home, spec=service)),
        Part(made("apps/v1", "Deployment", NAME, home, spec=deployment)),
        Part(valkey_network_policy(home), NETWORK),
        Part(_only_rls(home), MESH),
    ]


def _pod(values: Values) -> Manifest:
    container = {
        "name": NAME,
        "image": values("valkey.image"),
        "imagePullPolicy": values("imagePullPolicy"),
        "args": [
            *("--save", "", "--appendonly", "no"),
            *("--maxmemory", "200mb", "--maxmemory-policy", "noeviction"),
            *("--protected-mode", "no"),
        ],
        "ports": [{"name": PORT_NAME, "containerPort": VALKEY_PORT}],
        "readinessProbe": {"exec": {"command": ["valkey-cli", "ping"]}, "periodSeconds": 5},
        "resources": values("valkey.resources"),
        "securityContext": dict(NO_PRIVILEGES),
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    return {
        "metadata": {"labels": {"app": NAME, "version": "v1"}},
        "spec": {
            "serviceAccountName": NAME,
            "automountServiceAccountToken": False,
            "securityContext": {**NOT_ROOT, "runAsUser": VALKEY_USER, "runAsGroup": VALKEY_USER},
            "containers": [container],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    }


def _only_rls(namespace: str) -> Manifest:
    source = {"principals": [f"{DOMAIN}/ns/{namespace}/sa/rls"]}
    spec = {
        "selector": selected({"app": NAME}),
        "action": "ALLOW",
        "rules": [{"from": [{"source": source}]}],
    }
    kind = "AuthorizationPolicy"
    return made("security.istio.io/v1", kind, NAME, namespace, spec=spec)
