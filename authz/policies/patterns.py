"""
Istio's string matching: exact, `prefix*`, `*suffix` and `*`.

A star counts only as the first or the last character, and a leading one wins: `a*c` is the text
itself, `*a*` ends with `a*` (Istio, `pilot/pkg/security/authz/matcher/string.go`).
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

Matcher = Callable[[str], bool]

ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class Patterns(NamedTuple):
    """The values of one list, by shape."""

    exact: frozenset[str]
    prefixes: tuple[str, ...]
    suffixes: tuple[str, ...]
    wildcard: bool
    """Whether `*` is among them; what it takes depends on the field."""


def sort_out(values: Iterable[str]) -> Patterns:
    """Take the stars off."""
    exact: set[str] = set()
    prefixes: list[str] = []
    suffixes: list[str] = []
    wildcard = False
    for value in values:
        if value == "*":
            wildcard = True
        elif value.startswith("*"):
            suffixes.append(value[1:])
        elif value.endswith("*"):
            prefixes.append(value[:-1])
        else:
            exact.add(value)
    return Patterns(frozenset(exact), tuple(prefixes), tuple(suffixes), wildcard)


def compile_shapes(patterns: Patterns) -> Matcher:
    """Match everything but `*`, which is left to the field."""
    exact, prefixes, suffixes, _ = patterns
    if not prefixes and not suffixes:
        return exact.__contains__
    if not exact and not suffixes:
        return lambda text: text.startswith(prefixes)
    return lambda text: text in exact or text.startswith(prefixes) or text.endswith(suffixes)


def compile_patterns(values: Iterable[str]) -> Matcher:
    """Match text; `*` takes what is not empty."""
    patterns = sort_out(values)
    shapes = compile_shapes(patterns)
    if not patterns.wildcard:
        return shapes
    return lambda text: is_something(text) or shapes(text)


def is_something(text: str) -> bool:
    """What Envoy's `.+` takes: its RE2 stops at a line break, which a claim may contain."""
    return bool(text) and "\n" not in text


def fold_case(text: str) -> str:
    """
    Lower case as Envoy's `ignore_case` has it: of A to Z only.

    No other letter may become one of these: the Kelvin sign is no k.
    """
    return text.lower() if text.isascii() else text.translate(ASCII_LOWER)
