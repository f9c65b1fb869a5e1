"""Typed configuration that Envoy's API does not know: istiod passes it on, Envoy drops it."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from betterproto2 import Message
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.listener.v3 import Filter
from envoy_data_plane.envoy.config.route.v3 import Route, VirtualHost
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter

from deploy.traps.documents import Check, Document, World, patches, typed_configs

PREFIX = "type.googleapis.com/"

VALUES: Mapping[str, type[Message]] = {
    "HTTP_FILTER": HttpFilter,
    "NETWORK_FILTER": Filter,
    "HTTP_ROUTE": Route,
    "VIRTUAL_HOST": VirtualHost,
    "CLUSTER": Cluster,
}


def refusal(value: Any, kind: type[Message]) -> str:
    """What Envoy's API does not know in `value`, or an empty string."""
    for config in typed_configs(value):
        name = str(config["@type"]).removeprefix(PREFIX)
        try:
            # A message can be unpacked once its module has been loaded.
            getattr(import_module(f"envoy_data_plane.{name.rpartition('.')[0]}"), _class(name))
        except (ImportError, AttributeError):
            return f"unknown type {name}"
    try:
        kind.from_dict(value)
    except (KeyError, TypeError, ValueError) as error:
        return str(error).strip("'\"")
    return ""


def unknown_fields(document: Document, _: World) -> Iterator[str]:
    for patch in patches(document):
        kind = VALUES.get(patch.apply_to)
        if kind is None:
            yield f"applyTo {patch.apply_to}: not one that these manifests use"
        elif reason := refusal(patch.value, kind):
            yield f"{reason}: Envoy would drop it, and nobody says so"


def unknown_fields_of_patch_policies(document: Document, _: World) -> Iterator[str]:
    if document.kind != "EnvoyPatchPolicy":
        return
    for patch in document.spec["jsonPatches"]:
        value = patch["operation"].get("value")
        if isinstance(value, Mapping):
            kind = Cluster if patch["type"].endswith(".Cluster") else HttpFilter
            if reason := refusal(value, kind):
                yield f"{reason}: Envoy would refuse or drop it"


def _class(name: str) -> str:
    """The wheel's spelling of a message's name: RBAC is Rbac there."""
    last = name.rpartition(".")[2]
    return last[0] + last[1:].lower() if last.isupper() else last


CHECKS: tuple[Check, ...] = (unknown_fields, unknown_fields_of_patch_policies)
