"""Counters in a store of your own: Sentinel, Cluster, or any by URL."""

from deploy.manifests.names import HOME
from deploy.manifests.objects import Manifest, made
from deploy.manifests.overlay import BASE, Overlay

OF_VALKEY = (
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("apps/v1", "Deployment"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("security.istio.io/v1", "AuthorizationPolicy"),
)

SENTINEL_ABOUT = """
The base with counters in a Valkey or Redis that Sentinel watches, without the base's own Valkey.
REDIS_TYPE sentinel, REDIS_URL master's name, then the Sentinels: rls follows a failover by itself.
REDIS_AUTH from the Secret rls-store, key auth: `password` or `user:password`. Make it first:
kubectl -n tollhouse create secret generic rls-store --from-literal=auth=…
Apply: kubectl apply -k deploy/kubernetes/overlays/store-sentinel
"""

CLUSTER_ABOUT = """
The base with counters in a Valkey or Redis Cluster, without the base's own Valkey.
REDIS_TYPE cluster, REDIS_URL some of its nodes: the others are found from them.
REDIS_AUTH from the Secret rls-store, as in overlays/store-sentinel.
Apply: kubectl apply -k deploy/kubernetes/overlays/store-cluster
"""

SENTINELS = ",".join(
    ["mymaster"] + [f"sentinel-{number}.sentinel.stores.svc:26379" for number in range(3)]
)
NODES = ",".join(f"valkey-{number}.valkey.stores.svc:6379" for number in range(3))


def sentinel() -> Overlay:
    return _store("store-sentinel", SENTINEL_ABOUT, "sentinel", SENTINELS)


def cluster() -> Overlay:
    return _store("store-cluster", CLUSTER_ABOUT, "cluster", NODES)


def _store(name: str, about: str, kind: str, url: str) -> Overlay:
    secret = {"secretKeyRef": {"name": "rls-store", "key": "auth"}}
    env = [
        {"name": "REDIS_TYPE", "value": kind},
        {"name": "REDIS_URL", "value": url},
        {"name": "REDIS_AUTH", "valueFrom": secret},
    ]
    template = {"spec": {"containers": [{"name": "rls", "env": env}]}}
    changed = made("apps/v1", "Deployment", "rls", HOME, spec={"template": template})
    return Overlay(name, about, {}, on=[BASE], patches=[*map(_gone, OF_VALKEY), changed])


def _gone(which: tuple[str, str]) -> Manifest:
    return {"$patch": "delete", **made(*which, "valkey", HOME)}
