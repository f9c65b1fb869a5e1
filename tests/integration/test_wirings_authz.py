"""Each ext_authz wiring: its manifest applied to a proxy as istiod makes it, in a real Envoy."""

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import authz.settings
from deploy.local.ports import LOOPBACK
from deploy.render import FOLDER
from serving.problems import ConfigError
from serving.settings import read_settings
from tests.integration.istio_envoy import Running, running, tls_context
from tests.integration.istio_patcher import patched
from tests.integration.istio_proxy import (
    Proxy,
    custom,
    gateway,
    sidecar,
    tcp_sidecar,
    waypoint,
)
from tests.integration.istio_world import (
    AUTHZ_HOST,
    ISSUER,
    LOCAL_AUTHZ,
    World,
    manifests,
    world,
)

SHOP, EDGE, DATABASE = "shop/app=httpbin", "istio-system/istio=ingressgateway", "shop/app=orders-db"
WAYPOINT = "shop/app=waypoint"
PAGE, RATINGS = "bookinfo/app=productpage", "bookinfo/app=ratings"
HTTPBIN = {"app": "httpbin", "version": "v1"}

POLICIES = f"""
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: tokens, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: httpbin}}}}
  jwtRules: [{{issuer: {ISSUER}, jwks: 'JWKS'}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: callers, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: httpbin}}}}
  rules:
    - from: [{{source: {{principals: [cluster.local/ns/web/sa/front]}}}}]
    - from: [{{source: {{requestPrincipals: ["{ISSUER}/*"]}}}}]
      to: [{{operation: {{paths: [/with-token]}}}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: no-debug, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: httpbin}}}}
  action: DENY
  rules: [{{when: [{{key: "request.headers[x-debug]", values: ["on"]}}]}}]
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: tokens, namespace: istio-system}}
spec:
  selector: {{matchLabels: {{istio: ingressgateway}}}}
  jwtRules: [{{issuer: {ISSUER}, jwks: 'JWKS'}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: public, namespace: istio-system}}
spec:
  selector: {{matchLabels: {{istio: ingressgateway}}}}
  rules:
    - to: [{{operation: {{paths: [/public]}}}}]
    - from: [{{source: {{requestPrincipals: ["{ISSUER}/*"]}}}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: orders-db, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: orders-db}}}}
  rules: [{{from: [{{source: {{principals: [cluster.local/ns/web/sa/front]}}}}]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: by-selector, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: waypoint}}}}
  rules: [{{to: [{{operation: {{paths: [/nothing]}}}}]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: by-service, namespace: shop}}
spec:
  targetRefs: [{{group: "", kind: Service, name: httpbin}}]
  rules: [{{from: [{{source: {{principals: [cluster.local/ns/web/sa/front]}}}}]}}]
"""


def takes_xfcc() -> bool:
    try:
        read_settings(authz.settings.Settings, {"TRUST_XFCC": "last"})
    except ConfigError:
        return False
    return True


WHOLE = takes_xfcc()
"""Whether authz judges connections, and at waypoints."""
BEHIND_A_WAYPOINT = {WAYPOINT: {"TRUST_XFCC": "last"}} if WHOLE else {}


def bookinfo_policies() -> str:
    """The documents that the Bookinfo overlay gives to authz, with the test's own keys."""
    file = FOLDER / "kubernetes" / "overlays" / "bookinfo" / "kustomization.yaml"
    patches = [
        yaml.safe_load(each["patch"]) for each in yaml.safe_load(file.read_text())["patches"]
    ]
    (patch,) = (each for each in patches if each["metadata"]["name"] == "authz-policies")
    found: str = patch["data"]["bookinfo.yaml"]
    return found.replace(f"jwksUri: {ISSUER}/.well-known/jwks.json", "jwks: 'JWKS'")


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("services")
    policies = f"{POLICIES}---\n{bookinfo_policies()}"
    workloads = [SHOP, EDGE, DATABASE, WAYPOINT, PAGE, RATINGS]
    with world(folder, {}, policies, workloads, BEHIND_A_WAYPOINT) as made:
        yield made


def provider(overlay: str) -> dict[str, Any]:
    (values,) = manifests(overlay, "mesh-config/extension-provider.yaml")
    (found,) = values["meshConfig"]["extensionProviders"]
    return dict(found)


def judged(services: World, overlay: str, provided: str | None = None) -> Proxy:
    """The example workload's sidecar with an overlay's CUSTOM policy and EnvoyFilter."""
    (policy,) = manifests(overlay, "policy.yaml")
    made = sidecar("shop", HTTPBIN, 8080, 8000, services.files["workload"])
    return patched(custom(made, provider(provided or overlay), policy), manifests(overlay))


def bookinfo(services: World, app: str) -> Proxy:
    documents = manifests("bookinfo", "authz.yaml")
    (policy,) = (
        each
        for each in documents
        if each["kind"] == "AuthorizationPolicy"
        and each["spec"]["selector"]["matchLabels"] == {"app": app}
    )
    made = sidecar("bookinfo", {"app": app}, 9080, 9080, services.files["workload"])
    filters = [each for each in documents if each["kind"] == "EnvoyFilter"]
    return patched(custom(made, provider("authz-provider"), policy), filters)


def entrance() -> Proxy:
    (policy,) = manifests("authz-ingress-gateway", "policy.yaml")
    here = {"name": "all", "match": {"prefix": "/"}, "route": {"cluster": "inbound"}}
    made = gateway({"istio": "ingressgateway"}, 8080, 80, "shop.example.com", [here])
    filters = manifests("authz-ingress-gateway")
    return patched(custom(made, provider("authz-provider"), policy), filters)


def point() -> Proxy:
    (policy,) = manifests("authz-waypoint", "policy.yaml")
    made = waypoint("shop", "waypoint", "httpbin.shop.svc.cluster.local", 8000)
    return patched(custom(made, provider("authz-provider"), policy), manifests("authz-waypoint"))


@pytest.fixture(scope="module")
def front(
    services: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Running]]:
    database = tcp_sidecar("shop", {"app": "orders-db"}, 5432, services.files["workload"])
    made = {
        "sidecar": judged(services, "authz-provider"),
        "loopback": judged(services, "authz-loopback"),
        "ingress": entrance(),
        "waypoint": point(),
        "database": patched(database, manifests("authz-tcp")),
        "productpage": bookinfo(services, "productpage"),
        "ratings": bookinfo(services, "ratings"),
    }
    who = {
        "ingress": EDGE,
        "database": DATABASE,
        "waypoint": WAYPOINT,
        "productpage": PAGE,
        "ratings": RATINGS,
    }
    asks = {
        name: {
            host: services.authz[who.get(name, SHOP)]
            for host in (LOCAL_AUTHZ if name == "loopback" else AUTHZ_HOST,)
        }
        for name in made
    }
    folder: Path = tmp_path_factory.mktemp("envoy")
    with running(folder, made, asks, services.upstream) as started:
        yield started


@pytest.fixture(scope="module")
def bearer(services: World) -> dict[str, str]:
    token = services.issuer.token({"sub": "alice"}, int(time.time()))
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize("name", ["sidecar", "loopback"])
def test_sidecar_lets_in_whom_a_policy_allows(
    front: dict[str, Running], services: World, bearer: dict[str, str], name: str
) -> None:
    web, batch = services.files["web"], services.files["batch"]
    assert front[name].ask("/", tls=web).status == 200
    assert front[name].ask("/", tls=batch).status == 403
    assert front[name].ask("/").status == 403
    assert front[name].ask("/with-token", tls=batch, headers=bearer).status == 200
    forged = {"authorization": bearer["authorization"][:-4] + "AAAA"}
    assert front[name].ask("/with-token", tls=batch, headers=forged).status == 401


def test_a_repeated_header_does_not_slip_past_a_deny(
    front: dict[str, Running], services: World
) -> None:
    tls = services.files["web"]
    once = [("x-debug", "on")]
    twice = [("x-debug", "off"), ("x-debug", "on")]
    joined = [("x-debug", "off,on")]
    answers = [front["sidecar"].ask("/", tls=tls, headers=each) for each in (once, twice, joined)]
    assert [each.status for each in answers] == [403, 403, 200]  # one line is one value


def test_ingress_judges_by_token(front: dict[str, Running], bearer: dict[str, str]) -> None:
    host = {"host": "shop.example.com"}
    assert front["ingress"].ask("/public", **host).status == 200
    assert front["ingress"].ask("/orders", **host).status == 403
    assert front["ingress"].ask("/orders", **host, headers=bearer).status == 200


def test_bookinfo_asks_for_a_token_at_the_products_alone(
    front: dict[str, Running], bearer: dict[str, str]
) -> None:
    page = front["productpage"]
    assert page.ask("/productpage").status == 200
    assert page.ask("/api/v1/products").status == 403
    assert page.ask("/api/v1/products/0/reviews").status == 403
    assert page.ask("/api/v1/products", headers=bearer).status == 200


def test_bookinfos_ratings_take_calls_from_productpage_alone(
    front: dict[str, Running], services: World
) -> None:
    ratings = front["ratings"]
    assert ratings.ask("/ratings/0", tls=services.files["productpage"]).status == 200
    assert ratings.ask("/ratings/0", tls=services.files["web"]).status == 403
    assert ratings.ask("/ratings/0").status == 403


def through(front: Running, tls: ssl.SSLContext) -> str:
    """What a TCP client reads after its first bytes; empty when the connection is closed on it."""
    address = (LOOPBACK, front.port)
    with socket.create_connection(address, timeout=20) as plain, tls.wrap_socket(plain) as inside:
        inside.sendall(b"GET / HTTP/1.0\r\n\r\n")
        try:
            return inside.recv(8).decode()
        except ConnectionResetError:
            return ""


def test_a_tcp_connection_is_closed_on_whom_no_policy_allows(
    front: dict[str, Running], services: World
) -> None:
    assert through(front["database"], tls_context(services.files["batch"])) == ""


@pytest.mark.skipif(not WHOLE, reason="authz does not judge connections yet (issue 7)")
def test_a_tcp_connection_of_an_allowed_caller_is_passed_on(
    front: dict[str, Running], services: World
) -> None:
    assert through(front["database"], tls_context(services.files["web"])) == "HTTP/1.0"


def test_the_waypoint_asks_in_its_service_chain(front: dict[str, Running]) -> None:
    assert front["waypoint"].ask("/").status == 403  # nobody is known, no policy allows


@pytest.mark.skipif(not WHOLE, reason="authz does not read XFCC yet (issue 7)")
def test_the_waypoint_says_who_calls_in_the_last_element_of_xfcc(
    front: dict[str, Running],
) -> None:
    web, batch = (
        f"By=spiffe://cluster.local/ns/shop/sa/waypoint;URI=spiffe://cluster.local/ns/{who}"
        for who in ("web/sa/front", "batch/sa/nightly")
    )
    said = {
        who: front["waypoint"].ask("/", headers={"x-forwarded-client-cert": who}).status
        for who in (web, batch, f"{web},{batch}", f"{batch},{web}")
    }
    assert list(said.values()) == [200, 403, 403, 200]
