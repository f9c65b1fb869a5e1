"""
What a Kubernetes document is to this service: one of its two kinds, a list, or somebody else's.

A document that nearly is one of ours is an error, not somebody else's: a DENY under a misspelt
kind would be skipped and fail open.
"""

from difflib import get_close_matches
from enum import StrEnum

from serving.documents import Node
from serving.problems import Problems, accepted

GROUP = "security.istio.io"
VERSIONS = ("v1", "v1beta1")
API_VERSIONS = tuple(f"{GROUP}/{version}" for version in VERSIONS)
NEAR_GROUP, NEAR_KIND = 0.8, 0.85
"""How alike two names are that are taken for misspelt; `PeerAuthentication` stays clear of it."""


class Kind(StrEnum):
    """What becomes of a document."""

    AUTHORIZATION_POLICY = "AuthorizationPolicy"
    REQUEST_AUTHENTICATION = "RequestAuthentication"
    LIST = "List"
    OTHER = "other"
    """Not for us: ignored, and said so."""
    WRONG = "wrong"
    """Nearly ours: a problem."""


OURS = (Kind.AUTHORIZATION_POLICY.value, Kind.REQUEST_AUTHENTICATION.value)
ELSEWHERE = ("PeerAuthentication",)
"""Kinds of Istio's group that are not about single requests."""


def classify(document: Node, problems: Problems) -> Kind:
    """Tell what a document is; a near miss adds a problem and is WRONG."""
    api_version, kind = described(document)
    group = api_version.rpartition("/")[0]
    if kind == "List" or (group == GROUP and kind in [f"{one}List" for one in OURS]):
        return Kind.LIST
    if group == GROUP:
        return _in_our_group(document, api_version, kind, problems)
    if _is_near_miss(group, kind):
        problems.add(document.place, f"apiVersion is {api_version!r}; {_api_versions()}")
        return Kind.WRONG
    return Kind.OTHER


def _is_near_miss(group: str, kind: str) -> bool:
    """Another project may have a kind of the same name, but not in no group or one of Istio's."""
    near_group = _is_near(group, [GROUP], NEAR_GROUP)
    if not kind:
        return near_group
    meant = not group or near_group or group.endswith(".istio.io")
    return meant and _is_near(kind, OURS, NEAR_KIND)


def described(document: Node) -> tuple[str, str]:
    """The text of `apiVersion` and `kind`, empty where there is none."""
    found = (document.entries.get(key) for key in ("apiVersion", "kind"))
    api_version, kind = (node.text if node and node.kind == "str" else "" for node in found)
    return api_version, kind


def _in_our_group(document: Node, api_version: str, kind: str, problems: Problems) -> Kind:
    if kind in ELSEWHERE:
        return Kind.OTHER
    if kind not in OURS:
        place = document.entries.get("kind", document).place
        problems.add(place, f"kind is {kind!r}; {accepted(kind, (*OURS, *ELSEWHERE))}")
        return Kind.WRONG
    if api_version not in API_VERSIONS:
        place = document.entries["apiVersion"].place
        problems.add(place, f"apiVersion is {api_version!r}; {_api_versions()}")
        return Kind.WRONG
    return Kind(kind)


def _api_versions() -> str:
    return accepted("", API_VERSIONS)


def _is_near(name: str, names: tuple[str, ...] | list[str], cutoff: float) -> bool:
    known = [one.lower() for one in names]
    return bool(get_close_matches(name.lower(), known, n=1, cutoff=cutoff))
