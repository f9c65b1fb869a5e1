"""
What an operator may set: one list makes the plain manifests, `values.yaml` and its schema.

The objects are built from a `Values`. For kustomize that gives each value's default; for the Helm
chart it gives the template expression that stands for it. So both have the same objects.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

OPEN, CLOSE = "⟦", "⟧"
"""Stand for Helm's braces until the text is written; braces that mean Prometheus are no Helm."""


class Knob(NamedTuple):
    """One value of the chart."""

    path: str
    """`rls.resources`, as values.yaml nests it."""
    default: Any
    schema: Mapping[str, Any]
    """JSON Schema (draft 7, which Helm speaks)."""
    about: str


class Values(Protocol):
    """Where the builders of objects get what an operator may set."""

    @property
    def namespace(self) -> str: ...

    def __call__(self, path: str) -> Any:
        """The value to stand in the object, whatever its type."""
        ...

    def text(self, path: str) -> str:
        """The value as part of a longer text."""
        ...

    def settings(self, path: str) -> Any:
        """A map of settings as the `env` list of a container."""
        ...


class Defaults:
    """Every value as it is unless an operator sets it: what kustomize renders."""

    def __init__(self, namespace: str, knobs: Mapping[str, Knob]) -> None:
        self.namespace = namespace
        self._knobs = knobs

    def __call__(self, path: str) -> Any:
        return self._knobs[path].default

    def text(self, path: str) -> str:
        return str(self(path))

    def settings(self, path: str) -> Any:
        found: Mapping[str, str] = self(path)
        return [{"name": name, "value": found[name]} for name in sorted(found)]


class Templated:
    """Every value as the expression that Helm puts it in for."""

    namespace = f"{OPEN} .Release.Namespace {CLOSE}"

    def __init__(self, knobs: Mapping[str, Knob]) -> None:
        self._knobs = knobs

    def __call__(self, path: str) -> Any:
        kind = self._knobs[path].schema["type"]
        how = {"string": " | quote", "integer": "", "boolean": ""}.get(kind, " | toJson")
        return f"{OPEN} .Values.{path}{how} {CLOSE}"

    def text(self, path: str) -> str:
        return f"{OPEN} .Values.{path} {CLOSE}"

    def settings(self, path: str) -> Any:
        return f'{OPEN} include "tollhouse.settings" .Values.{path} {CLOSE}'


def nested(knobs: Mapping[str, Knob]) -> dict[str, Any]:
    """The defaults as values.yaml nests them."""
    tree: dict[str, Any] = {}
    for path, knob in knobs.items():
        *above, last = path.split(".")
        branch = tree
        for name in above:
            branch = branch.setdefault(name, {})
        branch[last] = knob.default
    return tree


def schema(knobs: Mapping[str, Knob]) -> dict[str, Any]:
    """values.schema.json: every value has its type, and no other is taken."""
    root = _closed("Values of the Tollhouse chart")
    root["$schema"] = "http://json-schema.org/draft-07/schema#"
    # Helm's own; it hands them to every chart that is a part of another one.
    root["properties"]["global"] = {"type": "object"}
    for path, knob in knobs.items():
        *above, last = path.split(".")
        branch = root
        for name in above:
            branch = branch["properties"].setdefault(name, _closed(name))
        branch["properties"][last] = {"description": knob.about, **knob.schema}
    return root


def _closed(title: str) -> dict[str, Any]:
    return {"title": title, "type": "object", "additionalProperties": False, "properties": {}}
