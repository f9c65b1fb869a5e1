"""Matches that match nothing, or too much; a patch without effect is silent."""

from collections.abc import Iterator

from deploy.traps.documents import Check, Document, Patch, World, at_waypoint, patches

CONTEXTS = ("SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY")
WAYPOINT_LISTENER = "main_internal"
ABSENT = ("envoy.filters.http.jwt_authn", "envoy.filters.http.rbac")

POD_PORTS = {
    ("shop", "[('app', 'httpbin')]"): {8080},
    ("shop", "[('app', 'orders-db')]"): {5432},
    ("bookinfo", "[('app', 'productpage')]"): {9080},
    ("bookinfo", "[('app', 'ratings')]"): {9080},
    ("istio-system", "[('istio', 'ingressgateway')]"): {8080, 8443},
    ("istio-system", "[('istio', 'egressgateway')]"): {8080, 8443},
}
"""What the pods of each workload in the manifests listen on; their Services have other ports."""


def context_missing(document: Document, _: World) -> Iterator[str]:
    for patch in patches(document):
        if patch.context not in CONTEXTS:
            yield (
                f"context {patch.context or 'missing'}: the filter also lands on outbound"
                " listeners, and every call counts twice"
            )
        elif at_waypoint(document) and patch.context != "SIDECAR_INBOUND":
            yield f"context {patch.context} at a waypoint: matches nothing there"


def wrong_port(document: Document, _: World) -> Iterator[str]:
    if document.kind != "EnvoyFilter" or at_waypoint(document):
        return
    known = POD_PORTS.get(document.attached)
    for patch in patches(document):
        for port in _ports(patch):
            if known is None:
                yield f"port {port}: the pods' ports are not known; add them to deploy/traps"
            elif port not in known:
                yield (
                    f"port {port}: no pod listens on it (they do on {_listed(known)}); the"
                    " Service's port matches nothing"
                )


def waypoint_attachment(document: Document, _: World) -> Iterator[str]:
    if not at_waypoint(document) or document.kind != "EnvoyFilter":
        return
    if "workloadSelector" in document.spec:
        yield "workloadSelector beside targetRefs: does nothing at a waypoint"
    for target in document.spec["targetRefs"]:
        if target["kind"] not in ("Gateway", "GatewayClass"):
            yield f"targetRefs to a {target['kind']}: an EnvoyFilter for it does nothing"


def waypoint_listener(document: Document, _: World) -> Iterator[str]:
    if not at_waypoint(document):
        return
    for patch in patches(document):
        if patch.apply_to in ("HTTP_FILTER", "NETWORK_FILTER"):
            if patch.listener.get("name") != WAYPOINT_LISTENER:
                yield "listener.name missing: the filter also lands on the tunnel itself"
            if "portNumber" in patch.listener:
                yield "listener.portNumber at a waypoint: matches nothing"


def operations(document: Document, _: World) -> Iterator[str]:
    if document.kind == "EnvoyFilter" and "priority" not in document.spec:
        yield "priority missing: the order among patches of one place is left to chance (IST0151)"
    for patch in patches(document):
        if patch.apply_to == "HTTP_FILTER" and patch.operation == "ADD":
            yield "ADD of an HTTP filter: behind the router; the proxy refuses its configuration"
        if patch.operation.startswith("INSERT") and patch.beside in ABSENT:
            yield f"{patch.operation} {patch.beside}: a workload without that filter gets nothing"
        placed = patch.apply_to == "HTTP_FILTER" and patch.operation != "INSERT_FIRST"
        if placed and not patch.beside:
            yield f"{patch.operation} without subFilter: before authorization and token checks"


def plain_gateway_names(document: Document, _: World) -> Iterator[str]:
    """`gateway` and `portName` hold for HTTPS servers alone; ours are plain."""
    for patch in patches(document):
        for name in ("gateway", "portName"):
            if name in patch.route:
                yield f"routeConfiguration.{name}: matches nothing on a plain HTTP server"
        vhost = patch.route.get("vhost", {})
        if patch.context == "GATEWAY" and "name" in vhost and ":" not in vhost["name"]:
            yield f"vhost {vhost['name']}: without the server's port it matches nothing"
        if patch.context == "GATEWAY" and vhost.get("route", {}).get("name") == "default":
            yield "route default: on gateways routes are called by their VirtualService names"


def _ports(patch: Patch) -> Iterator[int]:
    listener = patch.listener
    found = [listener.get("portNumber"), listener.get("filterChain", {}).get("destinationPort")]
    if patch.context == "SIDECAR_INBOUND":
        found.append(patch.route.get("portNumber"))
    for port in found:
        if port is not None:
            yield port


def _listed(ports: set[int]) -> str:
    return ", ".join(map(str, sorted(ports)))


CHECKS: tuple[Check, ...] = (
    context_missing,
    wrong_port,
    waypoint_attachment,
    waypoint_listener,
    operations,
    plain_gateway_names,
)
