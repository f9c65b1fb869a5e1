"""The rendered manifests as the checks see them: documents, patches, and what surrounds them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

Body = Mapping[str, Any]


class Document(NamedTuple):
    """One object and the file that it stands in."""

    file: str
    body: Body

    def __str__(self) -> str:
        name = self.body.get("metadata", {}).get("name", "")
        return f"{self.file}: {self.body.get('kind', 'document')} {name}".rstrip()

    @property
    def kind(self) -> str:
        return str(self.body.get("kind", ""))

    @property
    def namespace(self) -> str:
        return str(self.body["metadata"].get("namespace", ""))

    @property
    def spec(self) -> Body:
        found: Body = self.body.get("spec", {})
        return found

    @property
    def folder(self) -> str:
        return self.file.rpartition("/")[0]

    @property
    def attached(self) -> tuple[str, str]:
        """What an EnvoyFilter or a policy is for: namespace, and labels or target as text."""
        selector = self.spec.get("workloadSelector") or self.spec.get("selector") or {}
        labels = selector.get("labels") or selector.get("matchLabels") or {}
        return self.namespace, str(sorted(labels.items()))


class Patch(NamedTuple):
    """One patch of an EnvoyFilter."""

    apply_to: str
    match: Body
    operation: str
    value: Body

    @property
    def context(self) -> str:
        return str(self.match.get("context", ""))

    @property
    def listener(self) -> Body:
        found: Body = self.match.get("listener", {})
        return found

    @property
    def route(self) -> Body:
        found: Body = self.match.get("routeConfiguration", {})
        return found

    @property
    def beside(self) -> str:
        """The HTTP filter that the patch stands beside or merges into."""
        sub = self.listener.get("filterChain", {}).get("filter", {}).get("subFilter", {})
        return str(sub.get("name", ""))


class World(NamedTuple):
    """What the manifests say of each other."""

    ports: Mapping[str, Mapping[int, str]]
    """Host → Service port → its name, or its appProtocol where it has one."""
    providers: Mapping[str, Body]
    """Extension providers that some MeshConfig has, by name."""
    documents: Sequence[Document]


Check = Callable[[Document, World], Iterator[str]]


def read(folder: Path) -> list[Document]:
    """Every object below `folder/kubernetes`; kustomize's own files left out."""
    files = sorted((folder / "kubernetes").rglob("*.yaml"))
    return [
        Document(f"deploy/{file.relative_to(folder)}", body)
        for file in files
        if file.name != "kustomization.yaml"
        for body in yaml.safe_load_all(file.read_text())
    ]


def patches(document: Document) -> Iterator[Patch]:
    """The patches of an EnvoyFilter; none of any other object."""
    if document.kind != "EnvoyFilter":
        return
    for each in document.spec["configPatches"]:
        patch = each["patch"]
        match = each.get("match", {})
        yield Patch(each["applyTo"], match, patch["operation"], patch.get("value", {}))


def typed_configs(value: Any) -> Iterator[Body]:
    """Every object below `value` that names its protobuf type, outermost first."""
    if isinstance(value, list):
        for item in value:
            yield from typed_configs(item)
    elif isinstance(value, Mapping):
        if "@type" in value:
            yield value
        for item in value.values():
            yield from typed_configs(item)


def of_type(value: Any, message: str) -> Iterator[Body]:
    """The typed configs of one message, by the end of its type's name."""
    for config in typed_configs(value):
        if str(config["@type"]).endswith(f".{message}"):
            yield config


def at_waypoint(document: Document) -> bool:
    return "targetRefs" in document.spec


def world_of(documents: Sequence[Document]) -> World:
    ports: dict[str, dict[int, str]] = {}
    providers: dict[str, Body] = {}
    for document in documents:
        for host, port in _served(document):
            named = str(port.get("appProtocol") or port.get("name", ""))
            ports.setdefault(host, {})[port.get("port", port.get("number", 0))] = named
        for provider in document.body.get("meshConfig", {}).get("extensionProviders", ()):
            providers[provider["name"]] = provider
    return World(ports, providers, documents)


def _served(document: Document) -> Iterator[tuple[str, Body]]:
    if document.kind == "Service":
        name = document.body["metadata"]["name"]
        for port in document.spec["ports"]:
            yield f"{name}.{document.namespace}.svc.cluster.local", port
    if document.kind == "ServiceEntry":
        for host in document.spec["hosts"]:
            for port in document.spec["ports"]:
                yield host, port
