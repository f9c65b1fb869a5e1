"""The base: both services, Valkey, what protects them; the same objects for kustomize and Helm."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from deploy.manifests import monitoring
from deploy.manifests.base_about import AUTHZ_ABOUT, MESH_ABOUT, RLS_ABOUT, VALKEY_ABOUT
from deploy.manifests.network import strict_mtls
from deploy.manifests.services import MESH, service_parts
from deploy.manifests.shapes import AUTHZ, RLS
from deploy.manifests.sheet import Part
from deploy.manifests.valkey import valkey_parts
from deploy.manifests.values import Values


class Room(NamedTuple):
    """One file of the base: its comment, its objects, and the switch that the file hangs on."""

    about: str
    parts: Sequence[Part]
    switch: str = ""


MONITORING = "monitoring.enabled"


def rooms(values: Values) -> Mapping[str, Room]:
    """File name → content."""
    return {
        "mesh.yaml": Room(MESH_ABOUT, [Part(strict_mtls(values.namespace))], MESH),
        "rls.yaml": Room(RLS_ABOUT, service_parts(RLS, values), "rls.enabled"),
        "authz.yaml": Room(AUTHZ_ABOUT, service_parts(AUTHZ, values), "authz.enabled"),
        "valkey.yaml": Room(VALKEY_ABOUT, valkey_parts(values), "valkey.enabled"),
        "monitoring.yaml": Room(monitoring.ABOUT, monitoring.parts(values), MONITORING),
    }
