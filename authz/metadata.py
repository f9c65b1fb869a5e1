"""A document's `metadata`: its name, its namespace, its annotations."""

import re
from collections.abc import Mapping

from serving.documents import Node, fields, string
from serving.problems import Problems

METADATA_KEYS = (
    "name",
    "namespace",
    "annotations",
    "labels",
    "generateName",
    "generation",
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
    "managedFields",
    "selfLink",
)
"""Kubernetes' ObjectMeta: what `kubectl get -o yaml` prints must load as it is."""

SUBDOMAIN = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""RFC 1123 names as Kubernetes takes them, for objects and for namespaces."""

INTERNAL_ANNOTATIONS = (
    "internal.istio.io/webhook-always-reject",
    "internal.istio.io/parents",
    "internal.istio.io/parent-namespace",
)


def annotation(document: Node, name: str) -> Node | None:
    """One of the document's annotations, or None."""
    metadata = document.entries.get("metadata")
    annotations = metadata and metadata.entries.get("annotations")
    return annotations.entries.get(name) if annotations else None


def read_names(document: Node, problems: Problems) -> tuple[str, str]:
    """Read name and namespace; without either a document cannot be placed."""
    node = document.entries.get("metadata")
    metadata = fields(node, problems, METADATA_KEYS) if node and node.kind != "null" else {}
    if "annotations" in metadata:
        _check_annotations(metadata["annotations"], problems)
    return (
        _name(document, metadata, "name", SUBDOMAIN, problems),
        _name(document, metadata, "namespace", LABEL, problems),
    )


def _check_annotations(annotations: Node, problems: Problems) -> None:
    if annotations.kind != "map":
        problems.add(annotations.place, f"found {annotations.shown}; a map is wanted")
    for name in INTERNAL_ANNOTATIONS:
        if name in annotations.entries:
            message = f"{name} is Istio's own; a document with it is rejected"
            problems.add(annotations.entries[name].place, message)


def _name(
    document: Node,
    metadata: Mapping[str, Node],
    key: str,
    form: re.Pattern[str],
    problems: Problems,
) -> str:
    if key not in metadata:
        hint = "; a file has no current namespace" if key == "namespace" else ""
        place = document.entries.get("metadata", document).place
        problems.add(place, f"metadata.{key} is missing{hint}")
        return ""
    node = metadata[key]
    value = string(node, problems)
    if node.kind == "str" and not form.fullmatch(value):
        wanted = "lower-case letters, digits, '-'" + (" and '.'" if form is SUBDOMAIN else "")
        problems.add(node.place, f"found {node.shown}; a Kubernetes name is wanted: {wanted}")
    return value
