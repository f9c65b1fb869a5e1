"""
What the upstream learns of a verified token: headers made of its payload and claims.

As Istio's proxy writes them: text as it is, whole numbers as digits, true and false by name,
lists and objects as base64 of JSON; a claim that is missing, null or empty gives no header.
Nothing with a control character becomes a header value: a line break would start a header of the
token's choosing, and Envoy answers 503 to any of them.
"""

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from authz.tokens.jwt_rule import ClaimToHeader, JwtRule
from authz.tokens.token import Token

CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Headers = tuple[tuple[str, str], ...]


def output_names(rule: JwtRule) -> tuple[str, ...]:
    """Every header that the rule may set, which a client must therefore never set."""
    payload = rule.output_payload_to_header
    claims = (each.header for each in rule.output_claim_to_headers)
    return tuple(dict.fromkeys((*([payload] if payload else []), *claims)))


def output_headers(rule: JwtRule, token: Token) -> Headers:
    """The headers that the upstream gets for `token`; values of one name are joined by a comma."""
    values: dict[str, list[str]] = {}
    if rule.output_payload_to_header:
        values[rule.output_payload_to_header] = [token.payload]
    for output in rule.output_claim_to_headers:
        text = _text(_find(token.claims, output))
        if text and not CONTROL.search(text):
            values.setdefault(output.header, []).append(text)
    return tuple((name, ",".join(texts)) for name, texts in values.items())


def normalised_claims(claims: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
    """The claims with those of `names` that are text split at blanks, as policies see them."""
    split = {
        name: [part for part in claims[name].split(" ") if part]
        for name in names
        if isinstance(claims.get(name), str)
    }
    return {**claims, **split} if split else claims


def _find(claims: Mapping[str, Any], output: ClaimToHeader) -> object:
    """Dots lead into objects; a claim whose own name has a dot cannot be named."""
    value: object = claims
    for name in output.claim.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() else f"{value:f}"
        case list() | dict():
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            return b64encode(text.encode()).decode()
        case _:
            return ""
