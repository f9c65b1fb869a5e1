"""One entry of `spec.jwtRules` → a JwtRule (Istio, `validateJwtRule`, and the CRD's schema)."""

import re
from collections.abc import Mapping

from authz.keys.key_location import LOCATION_KEYS, read_key_location
from authz.nonempty import text, texts
from authz.tokens.jwt_rule import ClaimToHeader, HeaderLocation, JwtRule
from serving.documents import Node, boolean, choice, elements, fields, string
from serving.problems import Problems

KEYS = (
    *LOCATION_KEYS,
    "audiences",
    "fromHeaders",
    "fromParams",
    "fromCookies",
    "outputPayloadToHeader",
    "outputClaimToHeaders",
    "forwardOriginalToken",
    "spaceDelimitedClaims",
    "presence",
)
MAX_SPACE_DELIMITED = 64

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A field name of RFC 9110 section 5.1. Istio does not look; a pseudo header such as `:path`
would let a token rewrite the request."""
CLAIM_HEADER_NAME = re.compile(r"[-_A-Za-z0-9]+")
"""Istio's own, narrower rule for `outputClaimToHeaders`."""


def read_jwt_rule(node: Node, problems: Problems, *, allow_http: bool) -> JwtRule:
    """Read a rule; `allow_http` lets keys come over plain http."""
    entries = fields(node, problems, KEYS)
    _refuse_presence(entries, problems)
    keys = read_key_location(node, entries, problems, allow_http=allow_http)
    payload = entries.get("outputPayloadToHeader")
    return JwtRule(
        place=node.place,
        issuer=keys.issuer,
        audiences=texts(entries, "audiences", problems),
        jwks_uri=keys.jwks_uri,
        jwks=keys.jwks,
        from_headers=tuple(
            _location(each, problems) for each in _items(entries, "fromHeaders", problems)
        ),
        from_params=texts(entries, "fromParams", problems),
        from_cookies=texts(entries, "fromCookies", problems),
        output_payload_to_header=_header_name(payload, problems)
        if payload and payload.text
        else "",
        output_claim_to_headers=tuple(
            _claim_to_header(each, problems)
            for each in _items(entries, "outputClaimToHeaders", problems)
        ),
        forward_original_token="forwardOriginalToken" in entries
        and boolean(entries["forwardOriginalToken"], problems),
        timeout_seconds=keys.timeout_seconds,
        space_delimited_claims=_space_delimited(entries, problems),
    )


def _items(entries: Mapping[str, Node], key: str, problems: Problems) -> tuple[Node, ...]:
    return elements(entries[key], problems) if key in entries else ()


def _location(node: Node, problems: Problems) -> HeaderLocation:
    entries = _require(node, problems, ("name",), ("prefix",))
    return HeaderLocation(
        _header_name(entries["name"], problems) if "name" in entries else "",
        string(entries["prefix"], problems) if "prefix" in entries else "",
    )


def _claim_to_header(node: Node, problems: Problems) -> ClaimToHeader:
    entries = _require(node, problems, ("header", "claim"))
    header = ""
    if "header" in entries:
        header = _header_name(entries["header"], problems, CLAIM_HEADER_NAME)
    return ClaimToHeader(header, text(entries, "claim", problems))


def _require(
    node: Node, problems: Problems, keys: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Mapping[str, Node]:
    entries = fields(node, problems, (*keys, *optional))
    for key in keys:
        if node.kind == "map" and key not in entries:
            problems.add(node.place, f"{key!r} is missing")
    return entries


def _header_name(node: Node, problems: Problems, form: re.Pattern[str] = HEADER_NAME) -> str:
    name = string(node, problems)
    if node.kind == "str" and not form.fullmatch(name):
        problems.add(node.place, f"found {node.shown}; the name of a header is wanted")
    return name.lower()


def _space_delimited(entries: Mapping[str, Node], problems: Problems) -> tuple[str, ...]:
    names = texts(entries, "spaceDelimitedClaims", problems)
    if len(names) > MAX_SPACE_DELIMITED:
        place = entries["spaceDelimitedClaims"].place
        problems.add(place, f"{len(names)} claims; at most {MAX_SPACE_DELIMITED}")
    return names


def _refuse_presence(entries: Mapping[str, Node], problems: Problems) -> None:
    """Taken and not heeded, `REQUIRED` would let pass what its author wants refused."""
    if "presence" not in entries:
        return
    node = entries["presence"]
    if choice(node, problems, ("OPTIONAL", "REQUIRED")) == "REQUIRED":
        message = (
            "REQUIRED is not supported: demand a token by an AuthorizationPolicy, action DENY,"
            ' with from: [{source: {notRequestPrincipals: ["*"]}}]'
        )
        problems.add(node.place, message)
