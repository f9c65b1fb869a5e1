"""The Kubernetes objects agree with each other and with what the services read."""

from dataclasses import fields
from typing import Any

import pytest

import authz.settings
import rls.settings
from deploy import istio, workloads
from deploy.istio import destination_rule, extension_provider, ratelimit_patch
from deploy.workloads import AUTHZ, RLS, Shape, service_objects, valkey_objects
from serving.settings import names_of, read_settings

SHAPES = [(RLS, rls.settings.Settings), (AUTHZ, authz.settings.Settings)]
NAMES = ["rls", "authz"]


def of_kind(kind: str, objects: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


def container(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (only,) = of_kind("Deployment", objects)["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = only
    return found


def environment(objects: list[dict[str, Any]]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container(objects)["env"]}


@pytest.mark.parametrize(("shape", "kind"), SHAPES, ids=NAMES)
def test_every_variable_is_one_that_the_service_reads(shape: Shape, kind: type[Any]):
    known = {name for field in fields(kind) for name in names_of(field)}
    assert environment(service_objects(shape)).keys() <= known
    read_settings(kind, environment(service_objects(shape)))  # raises for a malformed value


@pytest.mark.parametrize(("shape", "kind"), SHAPES, ids=NAMES)
def test_ports_are_those_the_service_listens_on(shape: Shape, kind: type[Any]):
    settings = read_settings(kind, environment(service_objects(shape)))
    listening = {f"grpc-{shape.name}": settings.grpc_port, "http-admin": settings.admin_port}
    ports = container(service_objects(shape))["ports"]
    assert {port["name"]: port["containerPort"] for port in ports} == listening
    probe = container(service_objects(shape))["readinessProbe"]["grpc"]
    assert probe == {"port": settings.grpc_port, "service": shape.health}


def test_files_are_mounted_where_the_services_look():
    limits = read_settings(rls.settings.Settings, environment(service_objects(RLS)))
    policies = read_settings(authz.settings.Settings, environment(service_objects(AUTHZ)))
    assert str(limits.limits_folder) == RLS.mounted
    assert list(map(str, policies.policy_paths)) == [AUTHZ.mounted]


def test_authz_judges_for_the_workload_that_the_patches_select():
    settings = read_settings(authz.settings.Settings, environment(service_objects(AUTHZ)))
    patched = ratelimit_patch()
    assert settings.workload.namespace == patched["metadata"]["namespace"]
    assert settings.workload.labels == patched["spec"]["workloadSelector"]["labels"]


@pytest.mark.parametrize("shape", [RLS, AUTHZ], ids=NAMES)
def test_config_map_holds_the_operators_files(shape: Shape):
    data = of_kind("ConfigMap", service_objects(shape))["data"]
    files = sorted((workloads.CONFIG / shape.files).glob("*.yaml"))
    assert data == {file.name: file.read_text() for file in files}
    assert data


@pytest.mark.parametrize("objects", [service_objects(RLS), service_objects(AUTHZ)], ids=NAMES)
def test_service_port_is_recognised_as_grpc(objects: list[dict[str, Any]]):
    (port,) = of_kind("Service", objects)["spec"]["ports"]
    assert port["name"].startswith("grpc-")
    assert port["targetPort"] in {each["name"] for each in container(objects)["ports"]}


@pytest.mark.parametrize(
    "objects", [service_objects(RLS), service_objects(AUTHZ), valkey_objects()]
)
def test_pods_run_without_privileges(objects: list[dict[str, Any]]):
    pod = of_kind("Deployment", objects)["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container(objects)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(("shape", "kind"), SHAPES, ids=NAMES)
def test_kubernetes_waits_longer_than_the_drain(shape: Shape, kind: type[Any]):
    settings = read_settings(kind, environment(service_objects(shape)))
    pod = of_kind("Deployment", service_objects(shape))["spec"]["template"]["spec"]
    drain = settings.drain_delay_seconds + settings.drain_timeout_seconds
    assert pod["terminationGracePeriodSeconds"] > drain


def test_clusters_are_those_of_our_services():
    """istiod names a cluster by the Service's port, so both must agree."""
    for shape in (RLS, AUTHZ):
        service = of_kind("Service", service_objects(shape))
        where = istio.service(shape.name, shape.port)
        metadata = service["metadata"]
        host = f"{metadata['name']}.{metadata['namespace']}.svc.cluster.local"
        assert where == (f"outbound|{service['spec']['ports'][0]['port']}||{host}", host)
        assert destination_rule(shape.name)["spec"]["host"] == host


def test_provider_is_the_one_that_the_policy_names():
    (provider,) = extension_provider()["meshConfig"]["extensionProviders"]
    assert istio.custom_policy()["spec"]["provider"]["name"] == provider["name"]
    assert provider["envoyExtAuthzGrpc"]["service"] == istio.host("authz")


def test_rls_counts_in_the_valkey_of_the_manifests():
    settings = read_settings(rls.settings.Settings, environment(service_objects(RLS)))
    (port,) = of_kind("Service", valkey_objects())["spec"]["ports"]
    assert settings.redis_url == f"{istio.host('valkey')}:{port['port']}"
    policy = of_kind("AuthorizationPolicy", valkey_objects())
    (rule,) = policy["spec"]["rules"]
    account = of_kind("ServiceAccount", service_objects(RLS))["metadata"]
    principal = f"cluster.local/ns/{account['namespace']}/sa/{account['name']}"
    assert rule["from"] == [{"source": {"principals": [principal]}}]
