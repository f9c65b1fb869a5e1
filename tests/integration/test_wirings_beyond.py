"""
The wirings that are no EnvoyFilter alone: containers in the pod, plain Envoy, Envoy Gateway, local
limits, and the limit of Bookinfo. Each manifest in a real Envoy, asking real services.
"""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap

from deploy.local.envoy import envoy
from deploy.local.ports import LOOPBACK, reserved
from deploy.local.processes import http_answers
from deploy.local.services import ServicePorts, authz, rls
from deploy.render import FOLDER
from deploy.traps.types import refusal
from tests.integration.envoy_gateway import EG_LISTENER, json_patched, translated
from tests.integration.istio_envoy import Running, running
from tests.integration.istio_patcher import patched
from tests.integration.istio_proxy import Proxy, gateway, sidecar
from tests.integration.istio_world import RLS_HOST, World, manifests, world

HOUR = {"unit": "hour"}
SHOP = "shop/app=httpbin"
LIMITS = {
    "shop": [
        {"key": "path", "value": path, "rate_limit": {**HOUR, "requests_per_unit": 2}}
        for path in ("/socket", "/plain", "/patched")
    ],
    "bookinfo": yaml.safe_load(
        next(
            yaml.safe_load(each["patch"])["data"]["bookinfo.yaml"]
            for each in yaml.safe_load(
                (FOLDER / "kubernetes/overlays/bookinfo/kustomization.yaml").read_text()
            )["patches"]
            if "rls-limits" in each["patch"]
        )
    )["descriptors"],
}
POLICIES = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: closed, namespace: shop}
spec:
  selector: {matchLabels: {app: httpbin}}
  rules:
    - to: [{operation: {notPaths: [/closed]}}]
      when: [{key: "request.headers[x-debug]", notValues: ["on"]}]
"""


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("services"), LIMITS, POLICIES, [SHOP]) as made:
        yield made


@pytest.fixture(scope="module")
def sockets(services: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Both services again, as the containers of a pod: on Unix sockets."""
    folder = tmp_path_factory.mktemp("pod")
    documents = manifests("sidecar-containers", "workload.yaml")
    (pod,) = (each["spec"]["template"] for each in documents if each["kind"] == "Deployment")
    modes = {
        variable["value"]
        for container in pod["spec"]["initContainers"]
        for variable in container["env"]
        if variable["name"] == "GRPC_UDS_MODE"
    }
    (mode,) = modes
    limits = folder / "limits"
    limits.mkdir()
    (limits / "shop.yaml").write_text(yaml.safe_dump({"domain": "shop", **_shop()}))
    (folder / "policies.yaml").write_text(POLICIES)
    own = {"GRPC_UDS_MODE": mode}
    with ExitStack() as stack:
        ports = stack.enter_context(reserved(2))
        limiting = {**own, "GRPC_UDS": str(folder / "rls.sock")}
        judging = {
            **own,
            "GRPC_UDS": str(folder / "authz.sock"),
            "WORKLOAD_NAMESPACE": "shop",
            "WORKLOAD_LABELS": "app=httpbin",
        }
        at = [ServicePorts(0, port) for port in ports]
        started = [
            stack.enter_context(rls(folder, at[0], limits, valkey_port=None, settings=limiting)),
            stack.enter_context(authz(folder, at[1], folder / "policies.yaml", settings=judging)),
        ]
        for process, where in zip(started, at, strict=True):
            process.wait_until(http_answers(where.admin, "/readyz"))
        assert (folder / "rls.sock").stat().st_mode & 0o777 == int(mode, 8)
        yield folder


def _shop() -> dict[str, Any]:
    return {"descriptors": LIMITS["shop"]}


def in_the_pod(services: World, sockets: Path) -> Proxy:
    """The example workload with both containers beside it, the sockets where the test has them."""
    text = json.dumps(manifests("sidecar-containers"))
    filters = json.loads(text.replace("/var/run/tollhouse", str(sockets)))
    made = sidecar("shop", {"app": "httpbin"}, 8080, 8000, services.files["workload"])
    return patched(made, filters)


def limited_locally(services: World) -> Proxy:
    """The local limits with an hour for each second, and a twentieth of each bucket."""
    filters = manifests("local-ratelimit")
    for bucket in _buckets(filters):
        assert bucket["fill_interval"] == "1s"
        bucket["fill_interval"] = "3600s"
        bucket["max_tokens"] = bucket["tokens_per_fill"] = bucket["max_tokens"] // 10
    made = sidecar("shop", {"app": "httpbin"}, 8080, 8000, services.files["workload"])
    return patched(made, filters)


def _buckets(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "fill_interval" in value:
            yield value
        for item in value.values():
            yield from _buckets(item)
    elif isinstance(value, list):
        for item in value:
            yield from _buckets(item)


@pytest.fixture(scope="module")
def front(
    services: World, sockets: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Running]]:
    here = {"name": "productpage", "match": {"prefix": "/"}, "route": {"cluster": "inbound"}}
    entrance = gateway({"istio": "ingressgateway"}, 8080, 80, "bookinfo.example", [here])
    made = {
        "pod": in_the_pod(services, sockets),
        "local": limited_locally(services),
        "bookinfo": patched(entrance, manifests("bookinfo", "limit.yaml")),
    }
    asks = {name: {RLS_HOST: services.rls} if name == "bookinfo" else {} for name in made}
    folder: Path = tmp_path_factory.mktemp("envoy")
    with running(folder, made, asks, services.upstream) as started:
        yield started


def test_containers_of_the_pod_are_asked_over_their_sockets(front: dict[str, Running]) -> None:
    assert front["pod"].ask("/closed").status == 403
    assert front["pod"].statuses(3, "/socket") == [200, 200, 429]


def test_in_the_pod_a_refused_request_costs_no_limit(front: dict[str, Running]) -> None:
    debug = [("x-debug", "on")]
    assert front["pod"].ask("/socket?refused", headers=debug).status == 403


def test_local_limits_of_an_address_bind_without_any_service(
    front: dict[str, Running],
) -> None:
    """Two of each address (20 a second in the manifest, divided by ten)."""
    one = {"x-forwarded-for": "203.0.113.1"}
    other = {"x-forwarded-for": "203.0.113.2"}
    assert front["local"].statuses(3, "/", headers=one) == [200, 200, 429]
    assert front["local"].ask("/", headers=other).status == 200


def test_local_connections_over_the_limit_are_closed(front: dict[str, Running]) -> None:
    """Five connections (50 a second in the manifest, divided by ten), some of which are used up."""
    client = {"x-forwarded-for": "203.0.113.3"}
    with pytest.raises(ConnectionError):
        front["local"].statuses(6, "/", headers=client)


def test_bookinfos_page_is_limited_for_each_user(front: dict[str, Running]) -> None:
    jason = {"host": "bookinfo.example", "headers": {"end-user": "jason"}}
    nobody = {"host": "bookinfo.example"}
    assert front["bookinfo"].statuses(6, "/productpage?u=normal", **jason) == [200] * 5 + [429]
    assert front["bookinfo"].statuses(7, "/productpage", **nobody) == [200] * 7


@pytest.fixture(scope="module", params=["ratelimit.yaml", "authz.yaml", "both.yaml"])
def plain_envoy(
    request: pytest.FixtureRequest,
    services: World,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, Running]]:
    """A bootstrap of deploy/envoy as it stands, but for where everything is."""
    folder = tmp_path_factory.mktemp("plain")
    text = (FOLDER / "envoy" / request.param).read_text()
    asked = {"rls": services.rls, "authz": services.authz[SHOP], "upstream": services.upstream}
    with reserved(2) as (admin, port):
        made = yaml.safe_load(text)
        assert refusal(made, Bootstrap) == ""
        made["admin"]["address"]["socket_address"]["port_value"] = admin
        for listener in made["static_resources"]["listeners"]:
            where = {"address": LOOPBACK, "port_value": port}
            listener["address"]["socket_address"] = where
        for cluster in made["static_resources"]["clusters"]:
            (endpoints,) = cluster["load_assignment"]["endpoints"]
            (one,) = endpoints["lb_endpoints"]
            where = {"address": LOOPBACK, "port_value": asked[cluster["name"]]}
            one["endpoint"]["address"]["socket_address"] = where
        with envoy("plain", Bootstrap.from_dict(made), folder) as process:
            process.wait_until(http_answers(admin, "/ready"))
            yield request.param, Running(port)


def test_plain_envoy_asks_whom_its_bootstrap_names(plain_envoy: tuple[str, Running]) -> None:
    name, front = plain_envoy
    path = f"/plain?{time.monotonic_ns()}"
    limited = front.statuses(3, path)[-1]
    closed = front.ask("/closed").status
    expected = {"ratelimit.yaml": (429, 200), "authz.yaml": (200, 403), "both.yaml": (429, 403)}
    assert (limited, closed) == expected[name]


def test_envoy_gateway_takes_the_patch_and_limits(
    services: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (policy,) = manifests("envoy-gateway-patch", "envoypatch.yaml")
    with reserved(2) as (admin, port):
        made = json_patched(translated(admin, port, services.upstream), policy)
        asked = made["static_resources"]["clusters"][-1]
        assert asked["name"] == "tollhouse-rls"
        _moved(asked, services.rls)
        with _running(made, admin, tmp_path_factory.mktemp("gateway")):
            assert Running(port).statuses(3, "/patched") == [200, 200, 429]


def test_envoy_gateway_asks_authz_with_the_workloads_context(
    services: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    security, _, raw = manifests("envoy-gateway-authz", "security-policy.yaml")
    with reserved(2) as (admin, port):
        made = translated(admin, port, services.upstream, security, services.authz[SHOP])
        with _running(json_patched(made, raw), admin, tmp_path_factory.mktemp("gateway")):
            front = Running(port)
            assert front.ask("/open").status == 200
            assert front.ask("/closed").status == 403
            twice = [("x-debug", "off"), ("x-debug", "on")]
            assert front.ask("/open", headers=twice).status == 403


def test_the_patches_name_the_listener_that_envoy_gateway_makes() -> None:
    for overlay, file in (
        ("envoy-gateway-patch", "envoypatch.yaml"),
        ("envoy-gateway-authz", "security-policy.yaml"),
    ):
        for document in manifests(overlay, file):
            if document["kind"] == "EnvoyPatchPolicy":
                names = {
                    each["name"]
                    for each in document["spec"]["jsonPatches"]
                    if each["type"].endswith("Listener")
                }
                assert names == {EG_LISTENER}


def _moved(cluster: dict[str, Any], port: int) -> None:
    (endpoints,) = cluster["load_assignment"]["endpoints"]
    where = {"address": LOOPBACK, "port_value": port}
    endpoints["lb_endpoints"][0]["endpoint"]["address"]["socket_address"] = where


def _running(made: dict[str, Any], admin: int, folder: Path) -> ExitStack:
    assert refusal(made, Bootstrap) == ""
    stack = ExitStack()
    process = stack.enter_context(envoy("gateway", Bootstrap.from_dict(made), folder))
    process.wait_until(http_answers(admin, "/ready"))
    return stack
