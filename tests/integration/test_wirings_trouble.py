"""
What a client sees when a service does not answer, as the page of each wiring says.

Unreachable, slow, and two kinds of garbage; behind the sidecar, gateway, waypoint and TCP wirings.
"""

import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from deploy.local.certificates import Authority, Files, Identity
from deploy.local.ports import LOOPBACK, reserved
from deploy.local.processes import running as process
from deploy.wiring import EXT_AUTHZ_TIMEOUT, RATELIMIT_TIMEOUT
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
from tests.integration.istio_world import AUTHZ_HOST, LOCAL_AUTHZ, RLS_HOST, manifests

TROUBLES = ("unreachable", "slow", "noise", "garbage")
LIMITING = ("ratelimit-sidecar", "ratelimit-ingress-gateway", "ratelimit-waypoint", "bookinfo")
JUDGING = ("authz-provider", "authz-loopback", "authz-ingress-gateway", "authz-waypoint")
HOSTS = {**dict.fromkeys(LIMITING, RLS_HOST), **dict.fromkeys(JUDGING, AUTHZ_HOST)}
HOSTS |= {"authz-tcp": AUTHZ_HOST, "authz-loopback": LOCAL_AUTHZ}
HERE = {"name": "all", "match": {"prefix": "/"}, "route": {"cluster": "inbound"}}
SLACK_SECONDS = 4.0
"""For a busy machine; 10 s (Istio's connect timeout) or 600 s (a provider's) is no slack."""


def bare(overlay: str, files: Files) -> Proxy:
    if "waypoint" in overlay:
        return waypoint("shop", "waypoint", "httpbin.shop.svc.cluster.local", 8000)
    if "ingress" in overlay or overlay == "bookinfo":
        return gateway({"istio": "ingressgateway"}, 8080, 80, "shop.example.com", [LOGIN, HERE])
    if overlay == "authz-tcp":
        return tcp_sidecar("shop", {"app": "orders-db"}, 5432, files)
    return sidecar("shop", {"app": "httpbin"}, 8080, 8000, files)


LOGIN = {"name": "login", "match": {"path": "/login"}, "route": {"cluster": "inbound"}}


def wired(overlay: str, files: Files) -> Proxy:
    made = bare(overlay, files)
    if overlay in JUDGING:
        provided = overlay if overlay == "authz-loopback" else "authz-provider"
        (values,) = manifests(provided, "mesh-config/extension-provider.yaml")
        (provider,) = values["meshConfig"]["extensionProviders"]
        (policy,) = manifests(overlay, "policy.yaml")
        custom(made, provider, policy)
    return patched(made, manifests(overlay, "limit.yaml" if overlay == "bookinfo" else FILTERS))


FILTERS = "envoyfilter.yaml"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Authority(tmp_path_factory.mktemp("certificates")).issue(Identity("shop", "httpbin"))


@pytest.fixture(scope="module")
def front(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    folder: Path = tmp_path_factory.mktemp("trouble")
    with ExitStack() as stack:
        ports = stack.enter_context(reserved(len(TROUBLES) + 1))
        *bad, upstream = ports
        for kind, port in zip(TROUBLES, bad, strict=True):
            if kind != "unreachable":
                _start(stack, ["-m", "tests.integration.bad_service", kind, port], port, folder)
        _start(stack, ["-m", "deploy.local.upstream", upstream], upstream, folder)
        made = {f"{kind} {name}": wired(name, files) for kind in TROUBLES for name in HOSTS}
        asks = {
            f"{kind} {name}": {host: port}
            for kind, port in zip(TROUBLES, bad, strict=True)
            for name, host in HOSTS.items()
        }
        yield stack.enter_context(running(folder, made, asks, upstream))


def _start(stack: ExitStack, arguments: list[Any], port: int, folder: Path) -> None:
    started = process(f"on-{port}", [sys.executable, *map(str, arguments)], folder)
    stack.enter_context(started).wait_until(lambda: _listens(port))


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) == 0


def ask(front: Running, overlay: str) -> tuple[int, float]:
    """Status, and the seconds that it took."""
    edge = "ingress" in overlay or overlay == "bookinfo"
    host = "shop.example.com" if edge else "httpbin"
    began = time.monotonic()
    path = "/productpage" if overlay == "bookinfo" else "/"
    status = front.ask(path, host=host, headers={"end-user": "jason"}).status
    return status, time.monotonic() - began


@pytest.mark.parametrize("overlay", LIMITING)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_without_an_answer_about_limits_the_request_is_refused_with_503(
    front: dict[str, Running], trouble: str, overlay: str
) -> None:
    status, seconds = ask(front[f"{trouble} {overlay}"], overlay)
    assert status == 503
    assert seconds < RATELIMIT_TIMEOUT.total_seconds() + SLACK_SECONDS


@pytest.mark.parametrize("overlay", JUDGING)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_without_a_verdict_the_request_is_refused_with_503(
    front: dict[str, Running], trouble: str, overlay: str
) -> None:
    status, seconds = ask(front[f"{trouble} {overlay}"], overlay)
    assert status == 503
    assert seconds < EXT_AUTHZ_TIMEOUT.total_seconds() + SLACK_SECONDS


@pytest.mark.parametrize("trouble", TROUBLES)
def test_without_a_verdict_the_connection_is_closed_without_a_byte(
    front: dict[str, Running], files: Files, trouble: str
) -> None:
    tls: ssl.SSLContext = tls_context(files)
    address = (LOOPBACK, front[f"{trouble} authz-tcp"].port)
    with socket.create_connection(address, timeout=20) as plain, tls.wrap_socket(plain) as inside:
        inside.sendall(b"GET / HTTP/1.0\r\n\r\n")
        try:
            read = inside.recv(8)
        except ConnectionResetError:
            read = b""
    assert read == b""
