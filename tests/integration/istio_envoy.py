"""One real Envoy that runs the listeners of many proxies, each on a port of its own."""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap

from deploy.local import bootstrap
from deploy.local.certificates import Files
from deploy.local.envoy import envoy
from deploy.local.ports import LOOPBACK, reserved
from deploy.local.processes import http_answers
from deploy.traps.clusters import asked
from deploy.traps.types import refusal
from deploy.wiring import plain
from tests.integration.istio_proxy import Proxy

Json = dict[str, Any]

PATIENCE_SECONDS = 20


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: str


class Running(NamedTuple):
    """A proxy's way in."""

    port: int

    def ask(
        self,
        path: str,
        *,
        host: str = "httpbin",
        tls: Files | None = None,
        method: str = "GET",
        headers: "list[tuple[str, str]] | dict[str, str] | None" = None,
    ) -> Answer:
        """One request; with `tls` over mTLS under that identity. Repeated headers as a list."""
        connection = self._connection(tls)
        pairs = headers.items() if isinstance(headers, dict) else headers or []
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in (("host", host), *pairs):
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            body = response.read().decode()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, body)
        finally:
            connection.close()

    def statuses(self, count: int, path: str, **more: Any) -> list[int]:
        return [self.ask(path, **more).status for _ in range(count)]

    def _connection(self, tls: Files | None) -> http.client.HTTPConnection:
        if tls is None:
            return http.client.HTTPConnection(LOOPBACK, self.port, timeout=PATIENCE_SECONDS)
        return http.client.HTTPSConnection(
            LOOPBACK, self.port, timeout=PATIENCE_SECONDS, context=tls_context(tls)
        )


def tls_context(files: Files) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(files.authority))
    context.check_hostname = False  # certificates of a mesh name identities, not hosts
    context.load_cert_chain(files.certificate, files.key)
    return context


@contextmanager
def running(
    folder: Path,
    proxies: Mapping[str, Proxy],
    asks: Mapping[str, Mapping[str, int]],
    upstream: int,
) -> Iterator[dict[str, Running]]:
    """
    Run all proxies while the context is open.

    Args:
        folder: gets the bootstrap and the log.
        proxies: by a name of the test's own.
        asks: name of the proxy → host → the port where that service really is.
        upstream: where requests go that get through.
    """
    with reserved(len(proxies) + 1) as (admin, *ports):
        listeners, clusters = [], [plain(bootstrap.cluster("inbound", upstream))]
        for (name, proxy), port in zip(proxies.items(), ports, strict=True):
            text = json.dumps({"listeners": proxy.listeners, "clusters": proxy.clusters})
            _has_what_it_asks(name, proxy, json.loads(text))
            for host, service in asks[name].items():
                text = text.replace(f'||{host}"', f'||{host}#{name}"')
                for number in _ports_of(json.loads(text), f"{host}#{name}"):
                    cluster = f"outbound|{number}||{host}#{name}"
                    clusters.append(plain(bootstrap.cluster(cluster, service, http2=True)))
            made = json.loads(text)
            listeners.append(_bound(name, made["listeners"][0], port))
            clusters += made["clusters"]
        configuration = {
            **plain(bootstrap.bootstrap("istio", admin, [], [])),
            "static_resources": {"listeners": listeners, "clusters": clusters},
        }
        assert refusal(configuration, Bootstrap) == ""
        with envoy("istio", Bootstrap.from_dict(configuration), folder) as process:
            process.wait_until(http_answers(admin, "/ready"))
            yield {name: Running(port) for name, port in zip(proxies, ports, strict=True)}


def _has_what_it_asks(name: str, proxy: Proxy, made: Json) -> None:
    """istiod gives gateways and waypoints no clusters but those that something references."""
    hosts = {service.host for service in asked(made["listeners"])}
    assert proxy.everything or hosts <= proxy.hosts, (name, hosts - proxy.hosts)


def _ports_of(made: Json, host: str) -> set[int]:
    return {service.port for service in asked(made["listeners"]) if service.host == host}


def _bound(name: str, listener: Json, port: int) -> Json:
    """The listener where the test can reach it; its port has done its part in the matches."""
    chains = listener["filter_chains"]
    for chain in chains:
        chain.get("filter_chain_match", {}).pop("destination_port", None)
    inspector = {
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3."
            "TlsInspector"
        },
    }
    distinct = [chain for chain in chains if chain.get("filter_chain_match")] or chains[:1]
    return {
        "name": name,
        "address": plain(bootstrap.address(port)),
        "listener_filters": [inspector],
        "filter_chains": distinct,
    }
