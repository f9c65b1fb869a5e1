"""Each rate limit wiring: its manifest applied to a proxy as istiod makes it, in a real Envoy."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.istio_envoy import Running, running
from tests.integration.istio_patcher import patched
from tests.integration.istio_proxy import Proxy, gateway, jwt_authn, sidecar, waypoint
from tests.integration.istio_world import RLS_HOST, World, manifests, world

HOUR = {"unit": "hour"}
PARTNER = "api.partner.example"
WAYPOINT_HOST = "httpbin.shop.svc.cluster.local"


def limit(requests: int) -> dict[str, object]:
    return {"rate_limit": {**HOUR, "requests_per_unit": requests}}


def path(value: str, *below: dict[str, object], **own: object) -> dict[str, object]:
    return {"key": "path", "value": value, **own, **({"descriptors": list(below)} if below else {})}


LIMITS = {
    "shop": [
        path("/by-path", **limit(2)),
        path("/mirrored", **limit(2)),
        path("/grpc", **limit(1)),
        path("/by-namespace", {"key": "source_namespace", **limit(2)}),
        path("/by-account", {"key": "source_account", **limit(2)}),
        path("/by-subject", {"key": "subject", **limit(2)}),
        path("/by-tenant", {"key": "tenant", **limit(1)}),
        path("/waypoint", **limit(1)),
        path("/waypoint-identity", {"key": "source_identity", **limit(1)}),
        {
            "key": "budget",
            "value": "response_ms",
            "descriptors": [
                {"key": "source_account", "value": "ns/reports/sa/nightly", **limit(1)}
            ],
        },
    ],
    "edge": [
        {"key": "remote_address", "value": "203.0.113.7", **limit(3)},
        path("/login", {"key": "remote_address", **limit(1)}),
        {"key": "masked_remote_address", "value": "2001:db8:1:2::/64", **limit(2)},
    ],
    "egress": [
        {"key": "host", "value": PARTNER, "descriptors": [{"key": "source_account", **limit(2)}]}
    ],
}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("services"), LIMITS, "", []) as made:
        yield made


def proxies(services: World) -> dict[str, Proxy]:
    here = {"match": {"prefix": "/"}, "route": {"cluster": "inbound"}}
    login = {"match": {"path": "/login"}, "route": {"cluster": "inbound"}, "name": "login"}
    workload = sidecar(
        "shop",
        {"app": "httpbin", "version": "v1"},
        8080,
        8000,
        services.files["workload"],
        jwt_authn(services.issuer),
    )
    ingress = gateway(
        {"istio": "ingressgateway"}, 8080, 80, "shop.example.com", [login, here], trusted=1
    )
    egress = gateway(
        {"istio": "egressgateway"}, 8080, 80, PARTNER, [here], files=services.files["gateway"]
    )
    point = waypoint("shop", "waypoint", WAYPOINT_HOST, 8000)
    return {
        "sidecar": patched(workload, manifests("ratelimit-sidecar")),
        "ingress": patched(ingress, manifests("ratelimit-ingress-gateway")),
        "egress": patched(egress, manifests("ratelimit-egress-gateway")),
        "waypoint": patched(point, manifests("ratelimit-waypoint")),
    }


@pytest.fixture(scope="module")
def front(
    services: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Running]]:
    made = proxies(services)
    asks = {name: {RLS_HOST: services.rls} for name in made}
    folder: Path = tmp_path_factory.mktemp("envoy")
    with running(folder, made, asks, services.upstream) as started:
        yield started


def test_sidecar_limits_a_path_whatever_its_query_and_says_how_much_is_left(
    front: dict[str, Running], services: World
) -> None:
    web = services.files["web"]
    first, second, third = (
        front["sidecar"].ask(f"/by-path?n={number}", tls=web) for number in range(3)
    )
    assert (first.status, second.status, third.status) == (200, 200, 429)
    assert first.headers["x-ratelimit-remaining"] == "1"
    assert third.headers["x-ratelimit-limit"] == "2, 2;w=3600"
    assert third.headers["x-envoy-ratelimited"] == "true"


def test_sidecar_counts_each_calling_namespace_by_itself(
    front: dict[str, Running], services: World
) -> None:
    for name in ("web", "batch"):
        tls = services.files[name]
        assert front["sidecar"].statuses(3, "/by-namespace", tls=tls) == [200, 200, 429]
    assert front["sidecar"].statuses(3, "/by-namespace") == [200, 200, 200]  # nobody is known


def test_sidecar_counts_each_service_account(front: dict[str, Running], services: World) -> None:
    tls = services.files["web"]
    assert front["sidecar"].statuses(3, "/by-account", tls=tls) == [200, 200, 429]
    assert front["sidecar"].ask("/by-account", tls=services.files["productpage"]).status == 200


def test_sidecar_counts_a_claim_of_a_verified_token(
    front: dict[str, Running], services: World
) -> None:
    now = int(time.time())

    def as_user(name: str) -> dict[str, str]:
        return {"authorization": f"Bearer {services.issuer.token({'sub': name}, now)}"}

    alice, bob = as_user("alice"), as_user("bob")
    assert front["sidecar"].statuses(3, "/by-subject", headers=alice) == [200, 200, 429]
    assert front["sidecar"].ask("/by-subject", headers=bob).status == 200
    assert front["sidecar"].statuses(3, "/by-subject") == [200, 200, 200]


def test_sidecar_counts_a_header(front: dict[str, Running]) -> None:
    blue, green = {"x-tenant": "blue"}, {"x-tenant": "green"}
    assert front["sidecar"].statuses(2, "/by-tenant", headers=blue) == [200, 429]
    assert front["sidecar"].ask("/by-tenant", headers=green).status == 200


def test_a_budget_of_response_time_is_spent_by_responses_that_take_it(
    front: dict[str, Running], services: World
) -> None:
    """One millisecond an hour: whoever has used it gets no more; others have their own."""
    spender, web = services.files["spender"], services.files["web"]
    give_up = time.monotonic() + 10
    first = front["sidecar"].ask("/slow", tls=spender).status
    assert first == 200
    while front["sidecar"].ask("/slow", tls=spender).status == 200:
        assert time.monotonic() < give_up
    assert front["sidecar"].ask("/slow", tls=web).status == 200


def test_a_mirrored_request_is_not_counted_twice(
    front: dict[str, Running], services: World
) -> None:
    mirrored = {"host": "httpbin-shadow:8000", "tls": services.files["gateway"]}
    assert front["sidecar"].statuses(5, "/mirrored", **mirrored) == [200] * 5
    assert front["sidecar"].statuses(2, "/mirrored") == [200, 200]
    assert front["sidecar"].ask("/mirrored").status == 429


def test_nobody_else_slips_past_a_limit_as_a_mirror(
    front: dict[str, Running], services: World
) -> None:
    front["sidecar"].statuses(2, "/mirrored")
    pretending = {"host": "httpbin-shadow", "tls": services.files["web"]}
    assert front["sidecar"].ask("/mirrored", **pretending).status == 429
    assert front["sidecar"].ask("/mirrored", host="httpbin-shadow").status == 429


def test_a_grpc_caller_sees_resource_exhausted(front: dict[str, Running]) -> None:
    grpc = {"content-type": "application/grpc"}
    front["sidecar"].ask("/grpc", headers=grpc)
    refused = front["sidecar"].ask("/grpc", headers=grpc)
    assert (refused.status, refused.headers["grpc-status"]) == (200, "8")


def test_ingress_counts_the_client_and_not_what_it_says_of_itself(
    front: dict[str, Running],
) -> None:
    """One trusted proxy: the last entry is what it saw; what the client wrote stands before it."""
    lies = [{"x-forwarded-for": f"198.51.100.{n}, 203.0.113.7"} for n in range(4)]
    statuses = [
        front["ingress"].ask("/", host="shop.example.com", headers=each).status for each in lies
    ]
    assert statuses == [200, 200, 200, 429]
    other = {"x-forwarded-for": "203.0.113.7, 203.0.113.8"}
    assert front["ingress"].ask("/", host="shop.example.com", headers=other).status == 200


def test_ingress_limits_its_login_route_besides(front: dict[str, Running]) -> None:
    client = {"host": "shop.example.com", "headers": {"x-forwarded-for": "203.0.113.20"}}
    assert front["ingress"].statuses(2, "/login", **client) == [200, 429]
    assert front["ingress"].statuses(2, "/other", **client) == [200, 200]


def test_ingress_counts_a_network_of_ipv6_as_one(front: dict[str, Running]) -> None:
    statuses = [
        front["ingress"]
        .ask("/", host="shop.example.com", headers={"x-forwarded-for": f"2001:db8:1:2::{n}"})
        .status
        for n in range(1, 4)
    ]
    assert statuses == [200, 200, 429]


def test_egress_counts_each_account_on_its_way_to_the_partner(
    front: dict[str, Running], services: World
) -> None:
    web, batch = services.files["web"], services.files["batch"]
    assert front["egress"].statuses(3, "/", host=PARTNER, tls=web) == [200, 200, 429]
    assert front["egress"].ask("/", host=PARTNER, tls=batch).status == 200


def test_waypoint_counts_paths_and_identities(front: dict[str, Running]) -> None:
    assert front["waypoint"].statuses(2, "/waypoint") == [200, 429]
    web = {"x-test-peer": "spiffe://cluster.local/ns/web/sa/front"}
    batch = {"x-test-peer": "spiffe://cluster.local/ns/batch/sa/nightly"}
    assert front["waypoint"].statuses(2, "/waypoint-identity", headers=web) == [200, 429]
    assert front["waypoint"].ask("/waypoint-identity", headers=batch).status == 200


def test_waypoints_tunnel_is_left_alone(services: World) -> None:
    tunnel = proxies(services)["waypoint"].listeners[1]
    (manager,) = tunnel["filter_chains"][0]["filters"]
    assert tunnel["name"] == "connect_terminate"
    assert [each["name"] for each in manager["typed_config"]["http_filters"]] == [
        "envoy.filters.http.router"
    ]
