"""The filter configuration: one source for manifests and demo, and what it must say."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from envoy_data_plane.envoy.extensions.filters.http.ext_authz.v3 import ExtAuthz
from envoy_data_plane.envoy.extensions.filters.http.ratelimit.v3 import RateLimit
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
)
from envoy_data_plane.google.protobuf import Any as Packed

from deploy import render
from deploy.local.certificates import Files
from deploy.local.sidecars import InboundPorts, inbound_sidecar
from deploy.traps.documents import typed_configs
from deploy.traps.types import refusal
from deploy.wiring import plain

Plain = dict[str, Any]

FILTERS = "envoyfilter.yaml"


def overlay(name: str, file: str = FILTERS) -> list[Plain]:
    """The objects of a rendered file, read back from its YAML."""
    folder = render.FOLDER / "kubernetes" / "overlays" / name
    return list(yaml.safe_load_all((folder / file).read_text()))


def patch(name: str) -> Plain:
    """The value of the first patch of an overlay's EnvoyFilter."""
    (document,) = overlay(name)
    value: Plain = document["spec"]["configPatches"][0]["patch"]["value"]
    return value


def counting(name: str) -> Plain:
    """The rate limit filter of an overlay, out of the matcher that skips mirrored requests."""
    value = patch(name)
    inner = value["typed_config"].get("extension_config", value)
    return {"name": value["name"], "typed_config": dict(inner["typed_config"])}


def demo_filters() -> list[Plain]:
    """The HTTP filters of the demo's inbound Envoy, taken out of its finished bootstrap."""
    files = Files(Path("/certificate"), Path("/key"), Path("/authority"))
    made = inbound_sidecar(InboundPorts(1, 2, 3, 4, 5), files)
    (listener,) = made.static_resources.listeners
    manager = listener.filter_chains[0].filters[0].typed_config.unpack()
    assert isinstance(manager, HttpConnectionManager)
    return [plain(http_filter) for http_filter in manager.http_filters]


def generated_by_istiod(provider: Plain) -> Plain:
    """
    The ext_authz filter that istiod makes of an envoyExtAuthzGrpc provider.

    As read from a real istiod (its `filter_enabled_metadata`, which ties the filter to the CUSTOM
    policy, left out).
    """
    grpc = provider["envoyExtAuthzGrpc"]
    cluster = f"outbound|{grpc['port']}||{grpc['service']}"
    config = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "grpc_service": {
            "envoy_grpc": {"cluster_name": cluster, "authority": grpc["service"]},
            "timeout": grpc["timeout"],
        },
        "transport_api_version": "V3",
        "failure_mode_allow": grpc["failOpen"],
        "status_on_error": {"code": int(grpc["statusOnError"])},
    }
    return {"name": "envoy.filters.http.ext_authz", "typed_config": config}


def with_cluster(http_filter: Plain, cluster: str) -> Plain:
    """The same filter asking another cluster."""
    config = dict(http_filter["typed_config"])
    holder = "rate_limit_service" if "rate_limit_service" in config else ""
    service = config[holder]["grpc_service"] if holder else config["grpc_service"]
    grpc = {**service, "envoy_grpc": {**service["envoy_grpc"], "cluster_name": cluster}}
    if holder:
        config[holder] = {**config[holder], "grpc_service": grpc}
    else:
        config["grpc_service"] = grpc
    return {**http_filter, "typed_config": config}


def same(left: Plain, right: Plain) -> bool:
    """Equal as Envoy understands them: compared as protobuf messages, not as spellings."""
    messages = [Packed.from_dict(each["typed_config"]) for each in (left, right)]
    return left["name"] == right["name"] and messages[0] == messages[1]


def test_the_demo_asks_authz_before_rls():
    assert [each["name"] for each in demo_filters()] == [
        "envoy.filters.http.ext_authz",
        "envoy.filters.http.ratelimit",
        "envoy.filters.http.router",
    ]


def test_the_ratelimit_manifest_is_the_demos_filter_but_for_cluster_and_more_descriptors():
    manifest = counting("ratelimit-sidecar")
    cluster = manifest["typed_config"]["rate_limit_service"]["grpc_service"]["envoy_grpc"]
    assert cluster["cluster_name"] == "outbound|8081||rls.tollhouse.svc.cluster.local"
    sent = manifest["typed_config"]["rate_limits"]
    demo = demo_filters()[1]
    assert sent[:4] == demo["typed_config"]["rate_limits"]
    manifest["typed_config"]["rate_limits"] = sent[:4]
    assert same(with_cluster(manifest, "rls"), demo)


def test_provider_and_patch_together_are_the_demos_ext_authz_filter_but_for_the_cluster():
    (values,) = overlay("authz-provider", "mesh-config/extension-provider.yaml")
    (provider,) = values["meshConfig"]["extensionProviders"]
    generated, addition = generated_by_istiod(provider), patch("authz-provider")
    merged = {**generated["typed_config"], **addition["typed_config"]}
    assert not generated["typed_config"].keys() & addition["typed_config"].keys() - {"@type"}
    assert same(
        with_cluster({"name": addition["name"], "typed_config": merged}, "authz"),
        demo_filters()[0],
    )


def test_the_comparison_sees_a_difference_in_one_field():
    changed = counting("ratelimit-sidecar")
    changed["typed_config"]["rate_limits"] = changed["typed_config"]["rate_limits"][:4]
    changed["typed_config"]["timeout"] = "0.251s"
    assert not same(with_cluster(changed, "rls"), demo_filters()[1])


RENDERED = sorted(
    name
    for name, text in render.files().items()
    if name.endswith(".yaml") and not name.startswith("helm") and "@type" in text
)


@pytest.mark.parametrize("name", RENDERED)
def test_every_typed_config_is_what_envoys_api_knows(name: str):
    for document in yaml.safe_load_all((render.FOLDER / name).read_text()):
        for config in typed_configs(document):
            assert refusal(config, Packed) == ""
            known = Packed.from_dict(config)
            assert known == Packed.from_dict(plain(known))


def test_an_unknown_field_of_a_typed_config_does_not_pass():
    config = counting("ratelimit-sidecar")["typed_config"]
    assert refusal(config, Packed) == ""
    assert "failure_mode_denny" in refusal({**config, "failure_mode_denny": True}, Packed)


def test_neither_filter_fails_open():
    authz, rls, _ = demo_filters()
    authz_config = Packed.from_dict(authz["typed_config"]).unpack()
    rls_config = Packed.from_dict(rls["typed_config"]).unpack()
    assert isinstance(authz_config, ExtAuthz)
    assert isinstance(rls_config, RateLimit)
    assert not authz_config.failure_mode_allow
    assert rls_config.failure_mode_deny


def test_repeated_headers_reach_authz_one_by_one():
    assert demo_filters()[0]["typed_config"]["encode_raw_headers"] is True


def test_a_descriptor_is_sent_whole_or_not_at_all():
    """An entry that is skipped alone would leave a descriptor that counts for the path's limit."""
    limits = demo_filters()[1]["typed_config"]["rate_limits"]
    assert len(limits) == 4
    for action in (action for limit in limits for action in limit["actions"]):
        assert not action.get("request_headers", {}).get("skip_if_absent")
        assert not action.get("extension", {}).get("typed_config", {}).get("skip_if_error")
