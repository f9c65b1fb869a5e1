"""Where a rule says its keys are: in the document, at an address, or to be discovered."""

from collections.abc import Mapping
from typing import NamedTuple

from authz.keys.jwk import Unusable
from authz.keys.jwks import KeySet, read_inline_key_set
from authz.keys.web_address import is_plain_http, is_web_address, without_password
from authz.nonempty import text
from serving.documents import Node, string
from serving.problems import Problems
from serving.values import duration_seconds

ALTERNATIVES = ("jwksUri", "jwks_uri", "jwks")
LOCATION_KEYS = ("issuer", *ALTERNATIVES, "timeout")
MAX_URI = 2048
DEFAULT_TIMEOUT_SECONDS = 5.0


class KeyLocation(NamedTuple):
    """The part of a JwtRule that says whose tokens it is for and how their keys are had."""

    issuer: str
    jwks_uri: str
    jwks: KeySet | None
    timeout_seconds: float


def read_key_location(
    node: Node, entries: Mapping[str, Node], problems: Problems, *, allow_http: bool
) -> KeyLocation:
    """Read the `LOCATION_KEYS` of a rule; `node` is the rule itself."""
    given = [entries[key] for key in ALTERNATIVES if key in entries]
    for extra in given[1:]:
        problems.add(extra.place, f"only one of {', '.join(ALTERNATIVES)} may be given")
    issuer = text(entries, "issuer", problems)
    jwks_uri = "".join(_read_uri(entries, key, problems) for key in ALTERNATIVES[:2])
    if node.kind == "map" and not entries.keys() & {"issuer", "jwksUri", "jwks_uri"}:
        problems.add(node.place, "'issuer' or 'jwksUri' must say whose tokens are meant")
    discovered = all(each.kind == "str" and not each.text for each in given)
    for each in [entries["issuer"]] if issuer and discovered else given:
        if is_plain_http(each.text) and not allow_http:
            _refuse_http(each, problems)
    return KeyLocation(issuer, jwks_uri, _read_jwks(entries, problems), _timeout(entries, problems))


def _read_uri(entries: Mapping[str, Node], key: str, problems: Problems) -> str:
    value = text(entries, key, problems)
    if len(value) > MAX_URI:
        problems.add(entries[key].place, f"{len(value)} characters; at most {MAX_URI}")
    elif value and not is_web_address(value):
        message = f"found {without_password(value)!r}; an https:// address is wanted"
        problems.add(entries[key].place, message)
    return value


def _refuse_http(node: Node, problems: Problems) -> None:
    message = (
        f"found {without_password(node.text)!r}; keys that come over plain http can be exchanged"
        " on the way: use https, or set JWKS_ALLOW_HTTP=true"
    )
    problems.add(node.place, message)


def _read_jwks(entries: Mapping[str, Node], problems: Problems) -> KeySet | None:
    if "jwks" not in entries:
        return None
    node = entries["jwks"]
    if node.kind == "map":
        problems.add(
            node.place, "found a map; the key set is wanted as text: write it after 'jwks: |'"
        )
        return None
    value = string(node, problems)
    key_set = read_inline_key_set(value) if value else None
    if isinstance(key_set, Unusable):
        problems.add(node.place, f"not a usable key set: {key_set.reason}")
        return None
    return key_set


def _timeout(entries: Mapping[str, Node], problems: Problems) -> float:
    """Go's durations, whole milliseconds, one at least."""
    if "timeout" not in entries:
        return DEFAULT_TIMEOUT_SECONDS
    node = entries["timeout"]
    try:
        seconds = duration_seconds(string(node, problems))
    except ValueError as error:
        if node.kind == "str":
            problems.add(node.place, f"found {node.shown}; accepted: {error}")
        return DEFAULT_TIMEOUT_SECONDS
    if seconds < 0.001 or round(seconds * 1e9) % 1_000_000:
        problems.add(node.place, f"found {node.shown}; accepted: whole milliseconds, one at least")
    return seconds
