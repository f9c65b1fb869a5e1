"""
What a verified token says: matching claims and the request principal.

A claim matches as text, or as a list of which one text matches. Numbers, booleans, objects and
null match nothing, nor does a claim that is not there (Envoy,
`source/common/common/matchers.cc`). Without a token there are no claims.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from authz.policies.patterns import Matcher, compile_patterns, is_something

Claims = Mapping[str, Any]
LISTS = (list, tuple)
ClaimsMatcher = Callable[[Claims], bool]


def compile_claim(path: Sequence[str], values: Iterable[str]) -> ClaimsMatcher:
    """Match the claim found under the names of `path`, one inside the other."""
    matches = compile_patterns(values)
    *outer, last = path

    def holds(claims: Claims) -> bool:
        for name in outer:
            inner = claims.get(name)
            if not isinstance(inner, Mapping):
                return False
            claims = inner
        value = claims.get(last)
        if isinstance(value, str):
            return matches(value)
        if isinstance(value, LISTS):
            for item in value:
                if isinstance(item, str) and matches(item):
                    return True
        return False

    return holds


def compile_request_principals(values: Iterable[str]) -> ClaimsMatcher:
    """
    Match issuer and subject, written `ISSUER/SUBJECT` and split at the last slash.

    Both claims must be there as text; a subject with a slash in it can therefore not be named
    exactly (Istio, `requestPrincipalGenerator`).
    """
    known = tuple(values)
    exact = frozenset(_split(value) for value in known if not _has_star(value))
    others = tuple(_matchers(value) for value in known if _has_star(value))

    def holds(claims: Claims) -> bool:
        issuer, subject = claims.get("iss"), claims.get("sub")
        if not isinstance(issuer, str) or not isinstance(subject, str):
            return False
        return (issuer, subject) in exact or any(
            takes_issuer(issuer) and takes_subject(subject)
            for takes_issuer, takes_subject in others
        )

    return holds


def _has_star(value: str) -> bool:
    return value.startswith("*") or value.endswith("*")


def _split(value: str) -> tuple[str, str]:
    issuer, slash, subject = value.rpartition("/")
    return (issuer, subject) if slash else (value, "")


def _matchers(value: str) -> tuple[Matcher, Matcher]:
    """How issuer and subject are compared: a star belongs to the side it stands at."""
    issuer, subject = _split(value)
    if value.startswith("*"):
        if "/" not in value:
            return is_something, compile_patterns([value])
        return compile_patterns([issuer]), subject.__eq__
    if "/" not in value:
        return _starts_with(value[:-1]), is_something
    return issuer.__eq__, is_something if subject == "*" else _starts_with(subject[:-1])


def _starts_with(prefix: str) -> Matcher:
    return lambda text: text.startswith(prefix)
