"""The Kubernetes objects agree with each other and with what the services read."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

import authz.settings
import rls.settings
from deploy.manifests import names
from deploy.manifests.base import rooms
from deploy.manifests.knobs import knobs
from deploy.manifests.names import HOME
from deploy.manifests.shapes import AUTHZ, RLS, Shape
from deploy.manifests.values import Defaults
from deploy.manifests.wirings import authz_provider, ratelimit_sidecar
from deploy.render import FOLDER
from serving.problems import ConfigError
from serving.settings import names_of, read_settings
from serving.worker_settings import leave_seconds

SHAPES = [(RLS, rls.settings.Settings), (AUTHZ, authz.settings.Settings)]
NAMES = ["rls", "authz"]
ROOMS = rooms(Defaults(HOME, knobs()))

COMING = {
    "REDIS_TYPE": "Sentinel and Cluster (issue 6)",
    "TRUST_XFCC": "callers behind a waypoint (issue 7)",
}
"""Manifests already name a value of these that the services refuse until a later change."""


def objects(room: str) -> list[dict[str, Any]]:
    return [part.manifest for part in ROOMS[room].parts]


RLS_OBJECTS, AUTHZ_OBJECTS = objects("rls.yaml"), objects("authz.yaml")
BOTH = [RLS_OBJECTS, AUTHZ_OBJECTS]


def of_kind(kind: str, among: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = [each for each in among if each["kind"] == kind]
    return found


def pod(among: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = of_kind("Deployment", among)["spec"]["template"]
    return found


def container(among: list[dict[str, Any]]) -> dict[str, Any]:
    (only,) = pod(among)["spec"]["containers"]
    found: dict[str, Any] = only
    return found


def environment(among: list[dict[str, Any]]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container(among)["env"]}


def shaped(shape: Shape) -> list[dict[str, Any]]:
    return RLS_OBJECTS if shape is RLS else AUTHZ_OBJECTS


def every_container() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each container of the rendered files that runs one of our services, overlays included."""
    for file in sorted((FOLDER / "kubernetes").rglob("*.yaml")):
        documents = list(yaml.safe_load_all(file.read_text()))
        if file.name == "kustomization.yaml":
            (kustomization,) = documents
            documents = [yaml.safe_load(each["patch"]) for each in kustomization.get("patches", ())]
        for document in documents:
            spec = document.get("spec", {}).get("template", {}).get("spec", {})
            for one in (*spec.get("containers", ()), *spec.get("initContainers", ())):
                if one["name"].removeprefix("tollhouse-") in NAMES:
                    yield str(file.relative_to(FOLDER)), one


@pytest.mark.parametrize(("file", "found"), list(every_container()))
def test_every_variable_is_one_that_the_service_reads(file: str, found: dict[str, Any]):
    _, kind = SHAPES[NAMES.index(found["name"].removeprefix("tollhouse-"))]
    known = {name for field in fields(kind) for name in names_of(field)}
    given = {each["name"]: each.get("value", "user:password") for each in found.get("env", ())}
    assert given.keys() <= known, file
    coming = {name: given.pop(name) for name in COMING.keys() & given.keys()}
    read_settings(kind, given)  # raises for a malformed value
    for name, value in coming.items():
        # Ignored, the first would count in one server and the second let a DENY by caller pass.
        with pytest.raises(ConfigError, match=name):
            read_settings(kind, {name: value})


@pytest.mark.parametrize(("shape", "kind"), SHAPES, ids=NAMES)
def test_ports_are_those_the_service_listens_on(shape: Shape, kind: type[Any]):
    settings = read_settings(kind, environment(shaped(shape)))
    listening = {f"grpc-{shape.name}": settings.grpc_port, "http-admin": settings.admin_port}
    ports = container(shaped(shape))["ports"]
    assert {port["name"]: port["containerPort"] for port in ports} == listening
    probe = container(shaped(shape))["readinessProbe"]["grpc"]
    assert probe == {"port": settings.grpc_port, "service": shape.health}
    annotations = pod(shaped(shape))["metadata"]["annotations"]
    outside = annotations["traffic.sidecar.istio.io/excludeInboundPorts"]
    assert outside == annotations["prometheus.io/port"] == str(settings.admin_port)


def test_files_are_mounted_where_the_services_look():
    limits = read_settings(rls.settings.Settings, environment(RLS_OBJECTS))
    policies = read_settings(authz.settings.Settings, environment(AUTHZ_OBJECTS))
    assert str(limits.limits_folder) == RLS.mounted
    assert list(map(str, policies.policy_paths)) == [AUTHZ.mounted]
    for shape in (RLS, AUTHZ):
        (mount,) = container(shaped(shape))["volumeMounts"]
        (volume,) = pod(shaped(shape))["spec"]["volumes"]
        config = of_kind("ConfigMap", shaped(shape))["metadata"]["name"]
        assert (mount["mountPath"], volume["configMap"]["name"]) == (shape.mounted, config)


def test_authz_judges_for_the_workload_that_the_patches_select():
    settings = read_settings(authz.settings.Settings, environment(AUTHZ_OBJECTS))
    for patched in (ratelimit_sidecar.manifest(), authz_provider.manifest()):
        assert settings.workload_namespace == patched["metadata"]["namespace"]
        labels = patched["spec"]["workloadSelector"]["labels"]
        assert dict(settings.workload_labels) == labels


@pytest.mark.parametrize("shape", [RLS, AUTHZ], ids=NAMES)
def test_config_map_holds_the_operators_files(shape: Shape):
    data = of_kind("ConfigMap", shaped(shape))["data"]
    assert data == shape.contents()
    assert data


@pytest.mark.parametrize("among", BOTH, ids=NAMES)
def test_service_ports_are_recognised_and_lead_to_the_container(among: list[dict[str, Any]]):
    grpc, admin = of_kind("Service", among)["spec"]["ports"]
    assert grpc["name"].startswith("grpc-")
    assert admin["name"] == "http-admin"
    listening = {each["name"]: each["containerPort"] for each in container(among)["ports"]}
    assert listening == {each["targetPort"]: each["port"] for each in (grpc, admin)}


@pytest.mark.parametrize("among", [*BOTH, objects("valkey.yaml")], ids=[*NAMES, "valkey"])
def test_pods_run_without_privileges(among: list[dict[str, Any]]):
    spec = pod(among)["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert container(among)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(("shape", "kind"), SHAPES, ids=NAMES)
def test_kubernetes_waits_longer_than_the_drain_and_the_supervisor(shape: Shape, kind: type[Any]):
    settings = read_settings(kind, environment(shaped(shape)))
    assert pod(shaped(shape))["spec"]["terminationGracePeriodSeconds"] > leave_seconds(settings)
    proxy = yaml.safe_load(pod(shaped(shape))["metadata"]["annotations"]["proxy.istio.io/config"])
    assert proxy == {"terminationDrainDuration": f"{leave_seconds(settings):g}s"}


@pytest.mark.parametrize("among", BOTH, ids=NAMES)
def test_what_surrounds_the_pods_selects_them(among: list[dict[str, Any]]):
    labels = pod(among)["metadata"]["labels"].items()
    deployment = of_kind("Deployment", among)
    selectors = [
        of_kind("Service", among)["spec"]["selector"],
        deployment["spec"]["selector"]["matchLabels"],
        of_kind("PodDisruptionBudget", among)["spec"]["selector"]["matchLabels"],
        of_kind("NetworkPolicy", among)["spec"]["podSelector"]["matchLabels"],
        pod(among)["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]
    assert all(selector and selector.items() <= labels for selector in selectors)
    target = of_kind("HorizontalPodAutoscaler", among)["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"]  # the autoscaler's


@pytest.mark.parametrize(
    ("shape", "among"), [(RLS, RLS_OBJECTS), (AUTHZ, AUTHZ_OBJECTS)], ids=NAMES
)
def test_clusters_are_those_of_our_services(shape: Shape, among: list[dict[str, Any]]):
    """istiod names a cluster by the Service's port, so both must agree."""
    service = of_kind("Service", among)
    where = names.service(shape.name, shape.port)
    metadata = service["metadata"]
    host = f"{metadata['name']}.{metadata['namespace']}.svc.cluster.local"
    assert where == (f"outbound|{service['spec']['ports'][0]['port']}||{host}", host)
    assert of_kind("DestinationRule", among)["spec"]["host"] == host


def test_provider_is_the_one_that_the_policy_names():
    (provider,) = authz_provider.extension_provider()["meshConfig"]["extensionProviders"]
    policy = authz_provider.custom_policy("ask", "shop")
    assert policy["spec"]["provider"]["name"] == provider["name"]
    assert provider["envoyExtAuthzGrpc"]["service"] == names.host("authz")
    assert provider["envoyExtAuthzGrpc"]["failOpen"] is False


def test_rls_counts_in_the_valkey_of_the_manifests():
    settings = read_settings(rls.settings.Settings, environment(RLS_OBJECTS))
    valkey = objects("valkey.yaml")
    service = of_kind("Service", valkey)
    assert (
        settings.redis_url == f"{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    )
    (rule,) = of_kind("AuthorizationPolicy", valkey)["spec"]["rules"]
    account = of_kind("ServiceAccount", RLS_OBJECTS)["metadata"]
    principal = f"cluster.local/ns/{account['namespace']}/sa/{account['name']}"
    assert rule["from"] == [{"source": {"principals": [principal]}}]
    (ingress,) = of_kind("NetworkPolicy", valkey)["spec"]["ingress"]
    (peer,) = ingress["from"]
    selected = peer["podSelector"]["matchLabels"].items()
    assert selected <= pod(RLS_OBJECTS)["metadata"]["labels"].items()


def test_examples_load_as_the_services_load_them(tmp_path: Path):
    """What the chart and the base put into ConfigMaps, and Bookinfo's, are good files."""
    kustomization = FOLDER / "kubernetes/overlays/bookinfo/kustomization.yaml"
    patches = yaml.safe_load(kustomization.read_text())["patches"]
    for each in (yaml.safe_load(patch["patch"]) for patch in patches):
        package = "rls" if each["metadata"]["name"] == "rls-limits" else "authz"
        file = tmp_path / f"{package}.yaml"
        file.write_text(each["data"]["bookinfo.yaml"])
        checked = subprocess.run(
            [sys.executable, "-m", package, "check", str(file)],
            capture_output=True,
            check=False,
            text=True,
        )
        assert checked.returncode == 0, checked.stderr
