"""
The keys of a rule's `when`: which attribute each one asks about.

Istio's webhook compares keys by prefix only; what passes it and cannot be built makes istiod drop
the whole rule, so a DENY would let everything through. Here every key is read to its end.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from authz.policies.attributes import (
    DESTINATION_IP,
    OPERATION,
    SNI,
    SOURCE,
    Attribute,
    Scope,
    no_problem,
)
from authz.policies.claims import compile_claim
from authz.policies.patterns import compile_shapes, fold_case, sort_out
from authz.policies.principals import star_problem
from authz.policies.subject import Check
from serving.problems import accepted

NESTED = re.compile(r"(?:\[[^\[\]]*\])+")
NAME = re.compile(r"\[([^\[\]]*)\]")
UNSENDABLE = re.compile(r"[\0\r\n]")
"""Envoy refuses a header name with any of these."""


def claim(*path: str) -> Attribute:
    """A claim of the verified token, found under names one inside the other."""

    def compile_values(values: Sequence[str], _scope: Scope) -> Check:
        matches = compile_claim(path, values)
        return lambda subject: matches(subject.claims)

    return Attribute(no_problem, compile_values, 5)


def header(name: str) -> Attribute:
    """
    A request header, each value of a repeated one by itself: any may match.

    `*` takes a header that is there, even empty. `Host` is `:authority` in Envoy.
    """
    key = fold_case(name)
    key = ":authority" if key == "host" else key

    def compile_values(values: Sequence[str], _scope: Scope) -> Check:
        patterns = sort_out(values)
        if patterns.wildcard:
            return lambda subject: key in subject.headers
        if not patterns.prefixes and not patterns.suffixes:
            exact = patterns.exact
            return lambda subject: not exact.isdisjoint(subject.headers.get(key, ()))
        matches = compile_shapes(patterns)
        return lambda subject: any(map(matches, subject.headers.get(key, ())))

    return Attribute(no_problem, compile_values, 3)


PLAIN: Mapping[str, Attribute] = {
    "source.ip": SOURCE["ipBlocks"],
    "source.namespace": SOURCE["namespaces"],
    "source.serviceAccount": SOURCE["serviceAccounts"],
    "source.principal": SOURCE["principals"],
    "source.trustDomain": SOURCE["trustDomains"]._replace(problem=star_problem),
    "remote.ip": SOURCE["remoteIpBlocks"],
    "request.auth.principal": SOURCE["requestPrincipals"],
    "request.auth.audiences": claim("aud"),
    "request.auth.presenter": claim("azp"),
    "destination.ip": DESTINATION_IP,
    "destination.port": OPERATION["ports"],
    "connection.sni": SNI,
}

ACCEPTED = (*PLAIN, "request.headers[NAME]", "request.auth.claims[NAME]")

REFUSED = {
    "destination.namespace": "the policy's own metadata.namespace says which namespace it is for",
    "destination.labels": "the policy's selector says which workloads it is for",
    "destination.name": "it ended with Istio's v1alpha1; use the policy's selector",
    "destination.user": "it ended with Istio's v1alpha1; use the policy's selector",
    "request.count": (
        "Istio has no such attribute and would drop the rule, so that a DENY lets everything "
        "through; how many requests are allowed is for the rate limit service, in its limits "
        "file: descriptors: [{key: remote_address, rate_limit: {unit: minute, "
        "requests_per_unit: 100}}]"
    ),
}
"""Keys that are asked for and do not exist, each with the way out."""

EXPERIMENTAL = "experimental.envoy.filters."


def read_key(key: str) -> Attribute | str:
    """The attribute behind a key, or what is wrong with the key."""
    if key in PLAIN:
        return PLAIN[key]
    name, bracket, _ = key.partition("[")
    if name in REFUSED:
        return f"{name} is not accepted: {REFUSED[name]}"
    if key.startswith(EXPERIMENTAL):
        return "not accepted: the dynamic metadata of Envoy's filters is not sent to this service"
    read = BRACKETED.get(name)
    if read is None:
        return f"unknown key {key!r}; {accepted(key, ACCEPTED)}"
    inside = bracket + key[len(name) + 1 :]
    if len(inside) <= len("[]") or not inside.endswith("]"):
        return f"found {key!r}; {name}[NAME] is wanted"
    return read(inside)


def _read_header(inside: str) -> Attribute | str:
    name = inside[1:-1]
    if UNSENDABLE.search(name):
        return f"found {name!r}; no header has such a name"
    return header(name)


def _read_claim(inside: str) -> Attribute | str:
    """Successive brackets go one claim deeper; anything else in brackets is one name."""
    path = NAME.findall(inside) if NESTED.fullmatch(inside) else [inside[1:-1]]
    if not all(path):
        return "the name of a claim is empty; Envoy would refuse it"
    return claim(*path)


BRACKETED: Mapping[str, Callable[[str], Attribute | str]] = {
    "request.headers": _read_header,
    "request.auth.claims": _read_claim,
}
