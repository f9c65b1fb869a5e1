"""
Which workloads a document governs: its namespace, its selector, its targets.

A proxy looks in its own namespace and in the mesh's root namespace; a document without a selector
governs every workload of its namespace, in the root namespace every workload of the mesh. The
documents found are a union, none overrides another (Istio, `pilot/pkg/model/policyattachment.go`).
A document that names targets is for gateways and waypoints; a sidecar does not heed it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from authz.metadata import read_names
from serving.documents import Node, elements, fields, source_text, string
from serving.problems import Place, Problems, accepted

ATTACHMENT_KEYS = ("selector", "targetRef", "targetRefs")
TARGET_KEYS = ("group", "kind", "name", "namespace")
TARGETS: Mapping[str, tuple[str, ...]] = {
    "Gateway": ("gateway.networking.k8s.io",),
    "GatewayClass": ("gateway.networking.k8s.io",),
    "Service": ("", "core"),
    "ServiceEntry": ("networking.istio.io",),
}
"""What a document may target: kind → its API group."""

MAX_TARGETS = 16
MAX_LABELS = 4096
MAX_LABEL_VALUE = 63


class Workload(NamedTuple):
    """The workload a request is for."""

    namespace: str
    labels: Mapping[str, str]
    root_namespace: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """Where one document stands and whom it governs."""

    name: str
    namespace: str
    place: Place
    selector: Mapping[str, str] | None
    """Labels a workload must carry; None, as an empty map, takes every workload."""
    has_target_refs: bool

    @property
    def full_name(self) -> str:
        return f"{self.namespace}/{self.name}"

    def applies_to(self, workload: Workload) -> bool:
        """Whether the sidecar of `workload` heeds the document."""
        if self.has_target_refs or self.namespace not in (
            workload.namespace,
            workload.root_namespace,
        ):
            return False
        labels = workload.labels
        return all(labels.get(key) == value for key, value in (self.selector or {}).items())


def read_attachment(document: Node, spec: Mapping[str, Node], problems: Problems) -> Attachment:
    """Read `metadata` and the selector or targets of `spec`, the document's own entries."""
    name, namespace = read_names(document, problems)
    given = [spec[key] for key in ATTACHMENT_KEYS if key in spec]
    for node in given[1:]:
        problems.add(node.place, f"only one of {', '.join(ATTACHMENT_KEYS)} may be given")
    selector = _read_selector(spec["selector"], problems) if "selector" in spec else None
    targets = list(_targets(spec, problems))
    for target in targets:
        _check_target(target, problems)
    return Attachment(name, namespace, document.place, selector, bool(targets))


def _read_selector(node: Node, problems: Problems) -> Mapping[str, str]:
    selector = fields(node, problems, ("matchLabels",))
    if "matchLabels" not in selector:
        return {}
    labels = selector["matchLabels"]
    if labels.kind != "map":
        problems.add(labels.place, f"found {labels.shown}; a map of labels is wanted")
    if len(labels.entries) > MAX_LABELS:
        problems.add(labels.place, f"{len(labels.entries)} labels; at most {MAX_LABELS}")
    return {key: _label(key, value, problems) for key, value in labels.entries.items()}


def _label(key: str, node: Node, problems: Problems) -> str:
    value = string(node, problems)
    if not key:
        problems.add(node.place, "a label needs a name")
    if "*" in key or "*" in value:
        problems.add(node.place, "a selector compares labels for equality; '*' is not accepted")
    if len(value) > MAX_LABEL_VALUE:
        problems.add(node.place, f"{len(value)} characters; at most {MAX_LABEL_VALUE}")
    return value


def _targets(spec: Mapping[str, Node], problems: Problems) -> Iterator[Node]:
    if "targetRef" in spec:
        yield spec["targetRef"]
    if "targetRefs" in spec:
        targets = elements(spec["targetRefs"], problems)
        if len(targets) > MAX_TARGETS:
            message = f"{len(targets)} targets; at most {MAX_TARGETS}"
            problems.add(spec["targetRefs"].place, message)
        yield from targets


def _check_target(node: Node, problems: Problems) -> None:
    target = fields(node, problems, TARGET_KEYS)
    if node.kind != "map":
        return
    group, kind, name, namespace = (
        source_text(target[key], problems) if key in target else "" for key in TARGET_KEYS
    )
    if not name:
        problems.add(node.place, "a target needs a name")
    if namespace:
        message = "a target is in the namespace of its document; leave it out"
        problems.add(target["namespace"].place, message)
    if kind not in TARGETS:
        problems.add(node.place, f"kind is {kind!r}; {accepted(kind, TARGETS)}")
    elif group not in TARGETS[kind]:
        wanted = " or ".join(map(repr, TARGETS[kind]))
        problems.add(node.place, f"group is {group!r}; a {kind} is of group {wanted}")
