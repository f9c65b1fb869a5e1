"""The bootstraps of both Envoys: who must show a certificate, who asks whom, and where."""

import json
from pathlib import Path
from typing import Any

from deploy.local.certificates import Files, Identity
from deploy.local.sidecars import (
    RLS_SERVICE,
    Caller,
    InboundPorts,
    calling_sidecar,
    inbound_sidecar,
)
from deploy.wiring import plain, ratelimit_filter

FILES = Files(Path("/certificate"), Path("/key"), Path("/authority"))
PORTS = InboundPorts(admin=1, listener=2, upstream=3, rls=4, authz=5)
WORKLOAD = Identity("shop", "httpbin")
CALLERS = [
    Caller(Identity("web", "allowed-sa"), FILES, 6),
    Caller(Identity("batch", "other-sa"), FILES, 7),
]


def addresses(value: Any) -> set[str]:
    if isinstance(value, list):
        return {found for item in value for found in addresses(item)}
    if not isinstance(value, dict):
        return set()
    own = {value["address"]} if isinstance(value.get("address"), str) else set()
    return own | {found for item in value.values() for found in addresses(item)}


def manager(listener: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def test_everything_listens_on_the_loopback_address_alone():
    for made in (inbound_sidecar(PORTS, FILES), calling_sidecar(8, 2, WORKLOAD, CALLERS)):
        assert addresses(plain(made)) == {"127.0.0.1"}


def test_nobody_gets_in_without_a_certificate_of_the_mesh():
    (listener,) = plain(inbound_sidecar(PORTS, FILES))["static_resources"]["listeners"]
    tls = listener["filter_chains"][0]["transport_socket"]["typed_config"]
    assert tls["require_client_certificate"] is True
    validation = tls["common_tls_context"]["validation_context"]
    assert validation["trusted_ca"] == {"filename": "/authority"}
    assert validation["match_typed_subject_alt_names"] == [
        {"san_type": "URI", "matcher": {"prefix": "spiffe://cluster.local/"}}
    ]


def test_services_are_asked_over_http2():
    clusters = {
        each["name"]: json.dumps(each)
        for each in plain(inbound_sidecar(PORTS, FILES))["static_resources"]["clusters"]
    }
    assert clusters.keys() == {"upstream", "rls", "authz"}
    spoken = {name: "http2_protocol_options" in text for name, text in clusters.items()}
    assert spoken == {"upstream": False, "rls": True, "authz": True}


def test_each_caller_leaves_under_its_own_identity_and_knows_the_workload():
    resources = plain(calling_sidecar(8, 2, WORKLOAD, CALLERS))["static_resources"]
    assert [each["name"] for each in resources["listeners"]] == ["allowed-sa", "other-sa"]
    for listener, cluster in zip(resources["listeners"], resources["clusters"], strict=True):
        (host,) = manager(listener)["route_config"]["virtual_hosts"]
        assert host["routes"][0]["route"]["cluster"] == cluster["name"]
        tls = cluster["transport_socket"]["typed_config"]["common_tls_context"]
        assert tls["validation_context"]["match_typed_subject_alt_names"] == [
            {"san_type": "URI", "matcher": {"exact": "spiffe://cluster.local/ns/shop/sa/httpbin"}}
        ]


def test_only_the_edge_believes_its_own_eyes():
    """The calling sidecar adds the peer to X-Forwarded-For, the inbound one reads it there."""
    (inbound,) = plain(inbound_sidecar(PORTS, FILES))["static_resources"]["listeners"]
    assert manager(inbound)["use_remote_address"] is False
    for listener in plain(calling_sidecar(8, 2, WORKLOAD, CALLERS))["static_resources"][
        "listeners"
    ]:
        assert manager(listener)["use_remote_address"] is True


def test_arms_have_the_filters_they_were_given_and_no_tls():
    arms = {9: [], 10: [ratelimit_filter(RLS_SERVICE)]}
    made = plain(inbound_sidecar(PORTS, FILES, plain=arms))["static_resources"]["listeners"]
    names = {
        each["address"]["socket_address"]["port_value"]: [
            each["name"] for each in manager(each)["http_filters"]
        ]
        for each in made[1:]
    }
    router = "envoy.filters.http.router"
    assert names == {9: [router], 10: ["envoy.filters.http.ratelimit", router]}
    assert all("transport_socket" not in each["filter_chains"][0] for each in made[1:])


def test_the_access_log_leaves_the_query_out():
    made = inbound_sidecar(PORTS, FILES, access_log=Path("/log"))
    (log,) = manager(plain(made)["static_resources"]["listeners"][0])["access_log"]
    line = log["typed_config"]["log_format"]["text_format_source"]["inline_string"]
    assert log["typed_config"]["path"] == "/log"
    assert "%PATH(NQ)%" in line
    assert "REQ(:PATH)" not in line
