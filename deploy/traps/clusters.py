"""Clusters that a proxy does not have, or that do not speak gRPC: every call then fails."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from deploy.traps.documents import Check, Document, World, at_waypoint, patches

OUTBOUND = re.compile(r"outbound\|(\d+)\|\|(.+)")
REFERENCED = "envoyfilter.istio.io/referenced-services"
HTTP2 = ("grpc", "http2", "kubernetes.io/h2c")


class Asked(NamedTuple):
    """A service that a filter names by its cluster."""

    host: str
    port: int


def asked(value: Any) -> Iterator[Asked]:
    """The services that are named below `value`."""
    if isinstance(value, Mapping):
        if match := OUTBOUND.fullmatch(str(value.get("cluster_name", ""))):
            yield Asked(match[2], int(match[1]))
        for item in value.values():
            yield from asked(item)
    elif isinstance(value, list):
        for item in value:
            yield from asked(item)


def speaks_grpc(port_name: str) -> bool:
    return port_name in HTTP2 or port_name.startswith("grpc-")


def existing(document: Document, world: World) -> Iterator[str]:
    for patch in patches(document):
        for service in asked(patch.value):
            yield from _problems(service, world)


def providers(document: Document, world: World) -> Iterator[str]:
    for provider in document.body.get("meshConfig", {}).get("extensionProviders", ()):
        grpc = provider.get("envoyExtAuthzGrpc") or provider.get("opentelemetry")
        host = grpc["service"].rpartition("/")[2]
        yield from _problems(Asked(host, grpc["port"]), world)


def referenced(document: Document, _: World) -> Iterator[str]:
    if document.kind != "EnvoyFilter":
        return
    annotations = document.body["metadata"].get("annotations", {})
    listed = annotations.get(REFERENCED, "").split(",")
    for patch in patches(document):
        if at_waypoint(document) or patch.context == "GATEWAY":
            for service in asked(patch.value):
                if service.host not in listed:
                    yield f"{REFERENCED} lacks {service.host}: the proxy may not have its cluster"


def added(document: Document, _: World) -> Iterator[str]:
    """A cluster of our own has to say HTTP/2 itself."""
    for patch in patches(document):
        if patch.apply_to == "CLUSTER" and "http2_protocol_options" not in str(patch.value):
            yield "cluster without http2_protocol_options: no gRPC call gets through"


def _problems(service: Asked, world: World) -> Iterator[str]:
    ports = world.ports.get(service.host)
    if ports is None:
        yield f"{service.host}: no Service of the manifests; every call fails"
    elif service.port not in ports:
        yield f"{service.host} has no port {service.port}; every call fails"
    elif not speaks_grpc(ports[service.port].lower()):
        yield f"{service.host}:{service.port} is not named grpc-…; every call fails"


CHECKS: tuple[Check, ...] = (existing, providers, referenced, added)
