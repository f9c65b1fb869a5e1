"""Texts of a document that must not be empty where they are given."""

from collections.abc import Mapping

from serving.documents import Node, string, strings
from serving.problems import Problems


def text(entries: Mapping[str, Node], key: str, problems: Problems) -> str:
    """The text under `key`; empty when it is not there."""
    return (
        _checked(entries[key], string(entries[key], problems), problems) if key in entries else ""
    )


def texts(entries: Mapping[str, Node], key: str, problems: Problems) -> tuple[str, ...]:
    """The list of texts under `key`; empty when it is not there."""
    if key not in entries:
        return ()
    return tuple(_checked(node, value, problems) for node, value in strings(entries[key], problems))


def _checked(node: Node, value: str, problems: Problems) -> str:
    if node.kind == "str" and not value:
        problems.add(node.place, "found ''; an empty text is not accepted")
    return value
