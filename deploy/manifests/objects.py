"""What every manifest is made of: an object, and the YAML text of several."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import yaml

Manifest = dict[str, Any]


def made(api_version: str, kind: str, name: str, namespace: str | None, **rest: Any) -> Manifest:
    """
    An object.

    Args:
        api_version: with its group.
        kind: as Kubernetes spells it.
        name: of the object.
        namespace: None for an object of the whole cluster.
        rest: `spec` and its like; `labels` and `annotations` go to its metadata.
    """
    metadata: Manifest = {"name": name}
    if namespace is not None:
        metadata["namespace"] = namespace
    for key in ("labels", "annotations"):
        if key in rest:
            metadata[key] = rest.pop(key)
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def seconds(duration: timedelta) -> str:
    """As protobuf's JSON has a duration."""
    return f"{duration.total_seconds():g}s"


def as_yaml(documents: Iterable[Any], *, start: bool = True) -> str:
    """The documents in block style; `start` puts `---` above each."""
    return yaml.dump_all(
        documents,
        Dumper=_Dumper,
        sort_keys=False,
        explicit_start=start,
        width=10_000,
        allow_unicode=True,
    )


def comment(text: str, mark: str = "# ") -> str:
    """The lines of `text` as a comment; empty ones are left out."""
    return "".join(f"{mark}{line}\n" for line in text.splitlines() if line)


def selected(labels: Mapping[str, str]) -> Manifest:
    return {"matchLabels": dict(labels)}


class _Dumper(yaml.SafeDumper):
    """Block style: lists indented, texts of several lines as they are, no aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
