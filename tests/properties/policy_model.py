"""
AuthorizationPolicy read slowly and obviously: the oracle of the policy properties.

The model walks the document for every request and spells each comparison out as a regular
expression, as Istio hands it to Envoy. It shares no code with `authz` but the nouns it is asked
about.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from authz.request import JwtIdentity, Request

Document = Mapping[str, Any]
Question = tuple[Request, JwtIdentity | None]


SOMETHING = r"[^\n]+"


def as_regex(value: str) -> str:
    """`matcher/string.go`, as a regular expression over the whole text."""
    if value == "*":
        return SOMETHING
    if value.startswith("*"):
        return f"(?s:.*){re.escape(value[1:])}"
    if value.endswith("*"):
        return f"{re.escape(value[:-1])}(?s:.*)"
    return re.escape(value)


def same(value: str, text: str) -> bool:
    return bool(re.fullmatch(as_regex(value), text))


def identity(regex: str, request: Request) -> bool:
    return request.principal != "" and bool(re.fullmatch(regex, request.principal))


def principal(value: str, request: Request) -> bool:
    if value == "*":
        return identity(".+", request)
    if value.startswith("*"):
        return identity(f"spiffe://.*{re.escape(value[1:])}", request)
    return identity(f"spiffe://{as_regex(value)}", request)


def namespace(value: str, request: Request) -> bool:
    return identity(f".*/ns/{re.escape(value).replace(chr(92) + '*', '.*')}/.*", request)


def service_account(value: str, request: Request) -> bool:
    home, _, name = value.rpartition("/")
    return identity(
        f"spiffe://.+/ns/{re.escape(home or 'foo')}/(.+/|)sa/{re.escape(name)}(/.+)?", request
    )


def trust_domain(value: str, request: Request) -> bool:
    if value == "*":
        return identity("spiffe://.*", request)
    return identity(f"spiffe://{re.escape(value).replace(chr(92) + '*', '[^/]*')}/.*", request)


def address(value: str, text: str) -> bool:
    if not text:
        return False
    found, network = ipaddress.ip_address(text), ipaddress.ip_network(value, strict=False)
    return found.version == network.version and found in network


def texts(claim: Any) -> list[str]:
    return [one for one in (claim if isinstance(claim, list) else [claim]) if isinstance(one, str)]


def claim(*path: str) -> Callable[[str, Request, Mapping[str, Any]], bool]:
    def matches(value: str, _request: Request, claims: Mapping[str, Any]) -> bool:
        found: Any = claims
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return any(same(value, text) for text in texts(found))

    return matches


REQUEST_PRINCIPALS = [
    (r"\*", SOMETHING, SOMETHING),
    (r"\*([^/]*)", SOMETHING, "(?s:.*){0}"),
    (r"([^/]*)\*", "{0}(?s:.*)", SOMETHING),
    (r"([^/]*)", "{0}", ""),
    (r"\*/([^/]*)", SOMETHING, "{0}"),
    (r"\*(.*)/([^/]*)", "(?s:.*){0}", "{1}"),
    (r"(.*)/\*", "{0}", SOMETHING),
    (r"(.*)/([^/]*)\*", "{0}", "{1}(?s:.*)"),
    (r"(.*)/([^/]*)", "{0}", "{1}"),
]
"""Shape of a value → issuer, subject; the first counts (the table of `istio-policy.md` 1.7)."""


def request_principal(value: str, _request: Request, claims: Mapping[str, Any]) -> bool:
    issuer, subject = claims.get("iss"), claims.get("sub")
    shapes = ((re.fullmatch(shape, value), *sides) for shape, *sides in REQUEST_PRINCIPALS)
    found, *sides = next(one for one in shapes if one[0])
    parts = [re.escape(group) for group in found.groups()]
    return all(
        isinstance(text, str) and re.fullmatch(side.format(*parts), text)
        for side, text in zip(sides, (issuer, subject), strict=True)
    )


def path(value: str, request: Request) -> bool:
    plain = re.split(r"[?#]", request.path)[0]
    if "{*}" in value or "{**}" in value:
        return fits(value, plain)
    return same(value, plain)


def fits(template: str, plain: str) -> bool:
    """Every way to cut the path up is tried."""
    head, any_segments, tail = template.partition("{**}")
    if any_segments:
        middles = range(len(plain) + 1)
        return any(
            fits(head, plain[:start]) and plain[end:] == tail
            for start in middles
            for end in middles[start:]
        )
    left, right = template.split("/"), plain.split("/")
    return len(left) == len(right) and all(
        there != "" if wanted == "{*}" else wanted == there
        for wanted, there in zip(left, right, strict=True)
    )


def header(name: str) -> Callable[[str, Request, Mapping[str, Any]], bool]:
    def matches(value: str, request: Request, _claims: Mapping[str, Any]) -> bool:
        found = request.headers.get(name, ())
        return bool(found) if value == "*" else any(same(value, text) for text in found)

    return matches


def of_request(ask: Callable[[str, Request], bool]) -> Callable[..., bool]:
    return lambda value, request, _claims: ask(value, request)


MODEL: Mapping[str, Callable[[str, Request, Mapping[str, Any]], bool]] = {
    "principals": of_request(principal),
    "namespaces": of_request(namespace),
    "serviceAccounts": of_request(service_account),
    "trustDomains": of_request(trust_domain),
    "ipBlocks": of_request(lambda value, request: address(value, request.source_ip)),
    "remoteIpBlocks": of_request(lambda value, request: address(value, request.remote_ip)),
    "requestPrincipals": request_principal,
    "hosts": of_request(
        lambda value, request: (
            ":authority" in request.headers
            if value == "*"
            else same(value.lower(), request.host.lower())
        )
    ),
    "ports": of_request(lambda value, request: int(value) == request.destination_port),
    "methods": of_request(lambda value, request: same(value, request.method)),
    "paths": of_request(path),
    "source.principal": of_request(principal),
    "request.auth.audiences": claim("aud"),
    "request.auth.claims[a]": claim("a"),
    "request.auth.claims[a][b]": claim("a", "b"),
    "request.headers[X-A]": header("x-a"),
    "request.headers[host]": header(":authority"),
    "destination.ip": of_request(lambda value, request: address(value, request.destination_ip)),
    "connection.sni": of_request(lambda value, request: same(value, request.sni)),
}


def holds(key: str, values: list[str], question: Question) -> bool:
    request, token = question
    claims = token.claims if token else {}
    return any(MODEL[key](value, request, claims) for value in values)


def fields_hold(fields: Mapping[str, list[str]], question: Question) -> bool:
    return all(
        not holds(name[3].lower() + name[4:], values, question)
        if name.startswith("not")
        else holds(name, values, question)
        for name, values in fields.items()
    )


def rule_holds(rule: Document, question: Question) -> bool:
    sources = [entry["source"] for entry in rule.get("from", [])] or [{}]
    operations = [entry["operation"] for entry in rule.get("to", [])] or [{}]
    return (
        any(fields_hold(fields, question) for fields in sources)
        and any(fields_hold(fields, question) for fields in operations)
        and all(
            (not one.get("values") or holds(one["key"], one["values"], question))
            and not holds(one["key"], one.get("notValues", []), question)
            for one in rule.get("when", [])
        )
    )


def allowed(documents: list[Document], question: Question) -> bool:
    enforced = [
        one["spec"]
        for one in documents
        if one["metadata"]["annotations"]["istio.io/dry-run"] == "false"
    ]
    denying = [spec for spec in enforced if spec["action"] == "DENY"]
    allowing = [spec for spec in enforced if spec["action"] == "ALLOW"]
    if any(rule_holds(rule, question) for spec in denying for rule in spec["rules"]):
        return False
    rules = [rule for spec in allowing for rule in spec["rules"]]
    return not allowing or any(rule_holds(rule, question) for rule in rules)
