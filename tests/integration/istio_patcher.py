"""
Applies EnvoyFilters to a proxy's configuration, as istiod does where it was watched doing it.

Only what the manifests use; anything else is an error of the test. A patch that matches nothing is
one as well: istiod says nothing of it, so this is where it is said.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from tests.integration.istio_proxy import Proxy

Json = dict[str, Any]

MANAGER = "envoy.filters.network.http_connection_manager"
REFERENCED = "envoyfilter.istio.io/referenced-services"


class NoMatch(AssertionError):
    """A patch changed nothing."""


def patched(proxy: Proxy, filters: Sequence[Json]) -> Proxy:
    """The proxy after all `filters` that select it, in istiod's order."""
    found = deepcopy(proxy)
    ours = [each for each in filters if _selects(each, proxy)]
    for envoy_filter in sorted(ours, key=_order):
        annotations = envoy_filter["metadata"].get("annotations", {})
        found.hosts |= set(filter(None, annotations.get(REFERENCED, "").split(",")))
        for patch in envoy_filter["spec"]["configPatches"]:
            if not _apply(found, patch):
                raise NoMatch(f"{envoy_filter['metadata']['name']}: {patch['match']}")
    return found


def _order(envoy_filter: Json) -> tuple[int, str, str]:
    metadata = envoy_filter["metadata"]
    return envoy_filter["spec"].get("priority", 0), metadata["namespace"], metadata["name"]


def _selects(envoy_filter: Json, proxy: Proxy) -> bool:
    spec = envoy_filter["spec"]
    if envoy_filter["metadata"]["namespace"] != proxy.namespace:
        return False
    if proxy.gateway:  # a waypoint
        return any(
            target["kind"] == "Gateway" and target["name"] == proxy.gateway
            for target in spec.get("targetRefs", ())
        )
    wanted = spec.get("workloadSelector", {}).get("labels", {})
    return "targetRefs" not in spec and wanted.items() <= proxy.labels.items()


def _apply(proxy: Proxy, patch: Json) -> int:
    """How many places the patch changed."""
    kind, match = patch["applyTo"], patch["match"]
    operation, value = patch["patch"]["operation"], patch["patch"]["value"]
    if match["context"] != proxy.context:
        return 0
    if kind == "CLUSTER":
        assert operation == "ADD"
        proxy.clusters.append(deepcopy(value))
        return 1
    if kind == "HTTP_ROUTE":
        assert operation == "MERGE"
        routes = list(_routes(proxy, match["routeConfiguration"]))
        for route in routes:
            _merge(route, value)
        return len(routes)
    assert kind in ("HTTP_FILTER", "NETWORK_FILTER")
    changed = 0
    for chain in _chains(proxy, match["listener"]):
        wanted = match["listener"]["filterChain"]["filter"]
        filters = chain["filters"]
        if kind == "HTTP_FILTER":
            assert wanted["name"] == MANAGER
            managers = [each for each in filters if each["name"] == MANAGER]
            name = wanted["subFilter"]["name"]
            changed += sum(
                _place(each["typed_config"]["http_filters"], name, operation, value)
                for each in managers
            )
        else:
            changed += _place(filters, wanted["name"], operation, value)
    return changed


def _place(filters: list[Json], name: str, operation: str, value: Json) -> int:
    at = next((index for index, each in enumerate(filters) if each["name"] == name), None)
    if at is None:
        return 0
    if operation == "INSERT_BEFORE":
        filters.insert(at, deepcopy(value))
    else:
        assert operation == "MERGE"
        _merge(filters[at], value)
    return 1


def _chains(proxy: Proxy, match: Json) -> Iterator[Json]:
    for listener in proxy.listeners:
        if match.get("name", listener["name"]) != listener["name"]:
            continue
        for chain in listener["filter_chains"]:
            port = proxy.port_of(listener, chain)
            if match.get("portNumber", port) == port:
                yield chain


def _routes(proxy: Proxy, match: Json) -> Iterator[Json]:
    vhost = match.get("vhost", {})
    for listener in proxy.listeners:
        for chain in listener["filter_chains"]:
            for each in chain["filters"]:
                configuration = each["typed_config"].get("route_config")
                if configuration is None or (
                    "portNumber" in match
                    and match["portNumber"] != proxy.route_port(listener, chain)
                ):
                    continue
                for host in configuration["virtual_hosts"]:
                    if vhost.get("name", host["name"]) == host["name"]:
                        wanted = vhost.get("route", {}).get("name")
                        yield from (
                            route
                            for route in host["routes"]
                            if wanted in (None, route.get("name", ""))
                        )


def _merge(into: Json, value: Mapping[str, Any]) -> None:
    """As protobuf merges: lists grow, messages merge, the rest is replaced."""
    for name, new in value.items():
        old = into.get(name)
        if isinstance(old, dict) and isinstance(new, Mapping):
            _merge(old, new)
        elif isinstance(old, list):
            into[name] = old + deepcopy(new)
        else:
            into[name] = deepcopy(new)
