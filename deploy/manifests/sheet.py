"""One file of manifests, as kustomize and as Helm read it."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from deploy.manifests.objects import Manifest, as_yaml, comment
from deploy.manifests.values import CLOSE, OPEN

HEADER = "Written by `make manifests` from the Python files of deploy/; edits here are lost."


class Part(NamedTuple):
    """An object and the switch of the chart that it hangs on; no switch: always there."""

    manifest: Manifest
    switch: str = ""


class Sheet(NamedTuple):
    """One file: the comment above its objects, and the objects."""

    about: str
    documents: Sequence[Manifest]

    def text(self) -> str:
        return comment(HEADER + "\n" + self.about) + as_yaml(self.documents)


def plain(parts: Iterable[Part], off: Sequence[str] = ()) -> list[Manifest]:
    """The objects but for those whose switch is `off`."""
    return [part.manifest for part in parts if part.switch not in off]


def template(about: str, parts: Iterable[Part], switch: str) -> str:
    """
    The text of a Helm template.

    Args:
        about: a comment that Helm leaves out.
        parts: objects built with `Templated` values.
        switch: of the whole file; empty for none.
    """
    body = "".join(_when(part.switch, _braces(as_yaml([part.manifest]))) for part in parts)
    return "{{- /*\n" + comment(HEADER + "\n" + about, "") + "*/}}\n" + _when(switch, body)


def _when(switch: str, text: str) -> str:
    return f"{{{{- if .Values.{switch} }}}}\n{text}{{{{- end }}}}\n" if switch else text


def _braces(text: str) -> str:
    """Our expressions in Helm's braces; braces that were there before stay text."""
    kept = re.sub(r"\{\{|\}\}", lambda found: '{{ "' + found.group() + '" }}', text)
    return kept.replace(OPEN, "{{").replace(CLOSE, "}}")
