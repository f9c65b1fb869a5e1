"""
Each trap is planted in a manifest that had none, and found.

The left column is the list of issue 9 and of the reference page istio-wiring; a row changes one
place of one rendered file.
"""

from copy import deepcopy
from typing import Any

import pytest

from deploy import traps
from deploy.render import FOLDER
from deploy.traps import Document

DOCUMENTS = traps.read(FOLDER)

GONE = object()
"""In a row: take the field away."""

SIDECAR = "ratelimit-sidecar/envoyfilter.yaml"
INGRESS = "ratelimit-ingress-gateway/envoyfilter.yaml"
WAYPOINT = "ratelimit-waypoint/envoyfilter.yaml"
PROVIDER = "authz-provider/envoyfilter.yaml"
MESH = "authz-provider/mesh-config/extension-provider.yaml"
LOCAL = "local-ratelimit/envoyfilter.yaml"
POD = "sidecar-containers/envoyfilter.yaml"

FIRST = ("spec", "configPatches", 0)
MATCH = (*FIRST, "match")
VALUE = (*FIRST, "patch", "value")
CONFIG = (*VALUE, "typed_config")
INNER = (*CONFIG, "extension_config", "typed_config")
"""The filter itself, within the matcher that skips mirrored requests."""
SUB_FILTER = (*MATCH, "listener", "filterChain", "filter", "subFilter")
ROUTE = ("spec", "configPatches", 1, "patch", "value")
GRPC = ("meshConfig", "extensionProviders", 0, "envoyExtAuthzGrpc")
ADDEND = {"rate_limits": [{"actions": [{"remote_address": {}}], "hits_addend": {"number": 2}}]}

ROWS: dict[str, tuple[str, tuple[Any, ...], Any, str]] = {
    "context missing": (SIDECAR, (*MATCH, "context"), GONE, "context missing"),
    "context ANY": (SIDECAR, (*MATCH, "context"), "ANY", "every call counts twice"),
    "context of a waypoint": (WAYPOINT, (*MATCH, "context"), "GATEWAY", "matches nothing there"),
    "Service port": (SIDECAR, (*MATCH, "listener", "portNumber"), 8000, "no pod listens on it"),
    "Service port in a chain": (
        SIDECAR,
        (*MATCH, "listener", "filterChain", "destinationPort"),
        8000,
        "no pod listens on it",
    ),
    "server port at a gateway": (
        INGRESS,
        (*MATCH, "listener", "portNumber"),
        80,
        "no pod listens on it",
    ),
    "unknown workload": (
        SIDECAR,
        ("spec", "workloadSelector", "labels", "app"),
        "other",
        "not known",
    ),
    "unknown field": (SIDECAR, (*INNER, "failure_mode_denny"), True, "failure_mode_denny"),
    "unknown type": (SIDECAR, (*INNER, "@type"), "type.googleapis.com/envoy.No", "unknown type"),
    "unknown place": (SIDECAR, (*FIRST, "applyTo"), "LISTENER", "not one that these manifests"),
    "empty domain": (SIDECAR, (*INNER, "domain"), "", "empty domain"),
    "no domain": (SIDECAR, (*INNER, "domain"), GONE, "empty domain"),
    "stage": (SIDECAR, (*INNER, "rate_limits", 0, "stage"), 1, "stage in the filter's own"),
    "disable_key": (SIDECAR, (*INNER, "rate_limits", 0, "disable_key"), "x", "disable_key in"),
    "hits_addend on a route": (INGRESS, (*ROUTE, "route"), ADDEND, "hits_addend on a route"),
    "hidden route limits": (INGRESS, (*ROUTE, "route"), ADDEND, "hide them"),
    "skipped entry": (
        INGRESS,
        (*CONFIG, "rate_limits", 0, "actions", 0),
        {"request_headers": {"header_name": "a", "descriptor_key": "a", "skip_if_absent": True}},
        "counts as another descriptor",
    ),
    "priority": (SIDECAR, ("spec", "priority"), GONE, "IST0151"),
    "ADD": (SIDECAR, (*FIRST, "patch", "operation"), "ADD", "behind the router"),
    "filter that may be absent": (
        SIDECAR,
        (*SUB_FILTER, "name"),
        "envoy.filters.http.jwt_authn",
        "gets nothing",
    ),
    "no subFilter": (SIDECAR, SUB_FILTER, GONE, "without subFilter"),
    "gateway of a plain server": (
        INGRESS,
        ("spec", "configPatches", 1, "match", "routeConfiguration", "gateway"),
        "istio-system/shop",
        "matches nothing on a plain HTTP server",
    ),
    "virtual host without port": (
        INGRESS,
        ("spec", "configPatches", 1, "match", "routeConfiguration", "vhost", "name"),
        "shop.example.com",
        "without the server's port",
    ),
    "default route at a gateway": (
        INGRESS,
        ("spec", "configPatches", 1, "match", "routeConfiguration", "vhost", "route", "name"),
        "default",
        "by their VirtualService names",
    ),
    "waypoint selector": (WAYPOINT, ("spec", "workloadSelector"), {}, "does nothing at a waypoint"),
    "waypoint target": (WAYPOINT, ("spec", "targetRefs", 0, "kind"), "Service", "does nothing"),
    "waypoint listener": (WAYPOINT, (*MATCH, "listener", "name"), GONE, "on the tunnel itself"),
    "waypoint port": (WAYPOINT, (*MATCH, "listener", "portNumber"), 8000, "at a waypoint"),
    "referenced-services": (WAYPOINT, ("metadata", "annotations"), {}, "may not have its cluster"),
    "referenced-services of a gateway": (
        INGRESS,
        ("metadata", "annotations"),
        {},
        "may not have its cluster",
    ),
    "port name": (
        "base/rls.yaml Service",
        ("spec", "ports", 0, "name"),
        "rls",
        "is not named grpc-…",
    ),
    "appProtocol": (
        "base/rls.yaml Service",
        ("spec", "ports", 0, "appProtocol"),
        "http",
        "is not named grpc-…",
    ),
    "cluster of no Service": (
        SIDECAR,
        (*INNER, "rate_limit_service", "grpc_service", "envoy_grpc", "cluster_name"),
        "outbound|8081||rsl.tollhouse.svc.cluster.local",
        "no Service of the manifests",
    ),
    "cluster of no port": (
        SIDECAR,
        (*INNER, "rate_limit_service", "grpc_service", "envoy_grpc", "cluster_name"),
        "outbound|8082||rls.tollhouse.svc.cluster.local",
        "has no port 8082",
    ),
    "port of a provider": (MESH, (*GRPC, "port"), 9000, "has no port 9000"),
    "cluster without HTTP/2": (
        POD,
        (*VALUE, "typed_extension_protocol_options"),
        {},
        "no gRPC call gets through",
    ),
    "provider of no MeshConfig": (
        "authz-provider/policy.yaml",
        ("spec", "provider", "name"),
        "tolhouse",
        "no MeshConfig has it",
    ),
    "timeout of a provider": (MESH, (*GRPC, "timeout"), GONE, "600 s"),
    "open provider": (MESH, (*GRPC, "failOpen"), True, "everybody gets in"),
    "short name of a provider": (MESH, (*GRPC, "service"), "authz", "a short name"),
    "beginning of another provider": (
        MESH,
        ("meshConfig", "extensionProviders", 0, "name"),
        "pod-local",
        "the beginning of another's name",
    ),
    "raw headers": (PROVIDER, (*CONFIG, "encode_raw_headers"), GONE, "slips past a DENY"),
    "raw headers of an own filter": (
        POD,
        ("spec", "configPatches", 1, "patch", "value", "typed_config", "encode_raw_headers"),
        False,
        "slips past a DENY",
    ),
    "raw headers of a policy": (
        PROVIDER,
        ("spec", "workloadSelector", "labels"),
        {"app": "orders-db"},
        "sets encode_raw_headers for its workload",
    ),
    "open filter": (PROVIDER, (*CONFIG, "failure_mode_allow"), True, "everybody gets in"),
    "per-route name": (
        PROVIDER,
        (*ROUTE, "typed_per_filter_config"),
        {
            "tollhouse.authz": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3."
                "ExtAuthzPerRoute"
            }
        },
        "Istio's filter is called",
    ),
    "local limit that is off": (LOCAL, (*CONFIG, "filter_enforced"), GONE, "nothing is limited"),
    "local interval": (
        LOCAL,
        (*CONFIG, "token_bucket", "fill_interval"),
        "0.01s",
        "fill_interval under 50ms",
    ),
    "patch policy": (
        "envoy-gateway-patch/envoypatch.yaml",
        ("spec", "jsonPatches", 0, "operation", "value", "typed_config", "domian"),
        "shop",
        "domian",
    ),
}


def planted(where: str, path: tuple[Any, ...], value: Any) -> list[Document]:
    """All documents, one of them changed: the first of the file, or the first of a kind in it."""
    file, _, kind = where.partition(" ")
    place = file if file.startswith("base/") else f"overlays/{file}"
    at = next(
        index
        for index, each in enumerate(DOCUMENTS)
        if each.file == f"deploy/kubernetes/{place}" and kind in ("", each.kind)
    )
    body = deepcopy(DOCUMENTS[at].body)
    target: Any = body
    for step in path[:-1]:
        target = target[step]
    if value is GONE:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return [*DOCUMENTS[:at], Document(DOCUMENTS[at].file, body), *DOCUMENTS[at + 1 :]]


def test_the_manifests_have_none() -> None:
    assert traps.found(DOCUMENTS) == []


@pytest.mark.parametrize("row", ROWS)
def test_a_planted_trap_is_found(row: str) -> None:
    where, path, value, wanted = ROWS[row]
    lines = traps.found(planted(where, path, value))
    assert any(wanted in line for line in lines), lines


def test_every_check_has_a_row_that_it_alone_would_miss() -> None:
    """Take any check away, and some row is not found any more."""
    needed = set()
    for where, path, value, wanted in ROWS.values():
        documents = planted(where, path, value)
        world = traps.world_of(documents)
        needed |= {
            check
            for check in traps.CHECKS
            if any(wanted in message for each in documents for message in check(each, world))
        }
    assert needed == set(traps.CHECKS)
