"""
The fields of a rule's `source` and `operation`: what a value may look like, what it compiles to.

A value that is not there is empty and matches nothing, so each `not` twin holds for it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from authz.policies.addresses import block_problem, compile_blocks, read_block
from authz.policies.claims import compile_request_principals
from authz.policies.path_template import compile_templates, is_template, template_problem
from authz.policies.patterns import Matcher, compile_patterns, compile_shapes, fold_case, sort_out
from authz.policies.principals import (
    compile_namespaces,
    compile_principals,
    compile_service_accounts,
    compile_trust_domains,
    service_account_problem,
    trust_domain_problem,
)
from authz.policies.subject import Check
from authz.policies.trust_domains import TrustDomains

PORT = re.compile(r"0*([0-9]{1,5})")
"""Digits only; Go takes leading zeros."""

MAX_PORT = 65535
MAX_ACCOUNTS = 16


class Scope(NamedTuple):
    """What the meaning of a value may depend on besides itself."""

    namespace: str
    """Of the policy."""
    trust: TrustDomains


class Attribute(NamedTuple):
    """Something a rule can ask about."""

    problem: Callable[[str], str]
    """What is wrong with a value, empty if nothing."""
    compile: Callable[[Sequence[str], Scope], Check]
    """Whether one of the values matches; the values have no problem."""
    cost: int
    """What asking costs, roughly; the cheapest condition of a rule is asked first."""
    most_values: int | None = None
    """How many values one list may have."""


def no_problem(_value: str) -> str:
    return ""


def port_problem(value: str) -> str:
    found = PORT.fullmatch(value)
    return "" if found and int(found[1]) <= MAX_PORT else "a port 0 to 65535 is wanted"


def _principals(values: Sequence[str], scope: Scope) -> Check:
    matches = compile_principals(scope.trust.expand_principals(values))
    return lambda subject: matches(subject.principal)


def _namespaces(values: Sequence[str], _scope: Scope) -> Check:
    matches = compile_namespaces(values)
    return lambda subject: matches(subject.principal)


def _service_accounts(values: Sequence[str], scope: Scope) -> Check:
    matches = compile_service_accounts(values, scope.namespace)
    return lambda subject: matches(subject.principal)


def _trust_domains(values: Sequence[str], scope: Scope) -> Check:
    matches = compile_trust_domains(scope.trust.expand_names(values))
    return lambda subject: matches(subject.principal)


def _request_principals(values: Sequence[str], _scope: Scope) -> Check:
    matches = compile_request_principals(values)
    return lambda subject: matches(subject.claims)


def _source_ip(values: Sequence[str], _scope: Scope) -> Check:
    contains = _blocks(values)
    return lambda subject: contains(subject.source_ip)


def _remote_ip(values: Sequence[str], _scope: Scope) -> Check:
    contains = _blocks(values)
    return lambda subject: contains(subject.remote_ip)


def _destination_ip(values: Sequence[str], _scope: Scope) -> Check:
    contains = _blocks(values)
    return lambda subject: contains(subject.destination_ip)


def _blocks(values: Sequence[str]) -> Matcher:
    return compile_blocks(filter(None, map(read_block, values)))


def _hosts(values: Sequence[str], _scope: Scope) -> Check:
    """`*` takes any request that has an authority, even an empty one."""
    patterns = sort_out(map(fold_case, values))
    matches = compile_shapes(patterns)
    if patterns.wildcard:
        return lambda subject: bool(subject.host) or ":authority" in subject.headers
    return lambda subject: matches(subject.host)


def _ports(values: Sequence[str], _scope: Scope) -> Check:
    # Port 0 is how a destination without one looks.
    ports = frozenset(map(int, values)) - {0}
    return lambda subject: subject.destination_port in ports


def _methods(values: Sequence[str], _scope: Scope) -> Check:
    matches = compile_patterns(values)
    return lambda subject: matches(subject.method)


def _paths(values: Sequence[str], _scope: Scope) -> Check:
    templates = [value for value in values if is_template(value)]
    matches = compile_patterns(value for value in values if not is_template(value))
    if not templates:
        return lambda subject: matches(subject.path)
    fits = compile_templates(templates)
    return lambda subject: matches(subject.path) or fits(subject.path)


def _sni(values: Sequence[str], _scope: Scope) -> Check:
    matches = compile_patterns(values)
    return lambda subject: matches(subject.sni)


SOURCE: Mapping[str, Attribute] = {
    "principals": Attribute(no_problem, _principals, 3),
    "requestPrincipals": Attribute(no_problem, _request_principals, 5),
    "namespaces": Attribute(no_problem, _namespaces, 4),
    "serviceAccounts": Attribute(service_account_problem, _service_accounts, 7, MAX_ACCOUNTS),
    "ipBlocks": Attribute(block_problem, _source_ip, 6),
    "remoteIpBlocks": Attribute(block_problem, _remote_ip, 6),
    "trustDomains": Attribute(trust_domain_problem, _trust_domains, 3),
}
"""`rules[].from[].source`; each has a `not` twin."""

OPERATION: Mapping[str, Attribute] = {
    "hosts": Attribute(no_problem, _hosts, 2),
    "ports": Attribute(port_problem, _ports, 1),
    "methods": Attribute(no_problem, _methods, 1),
    "paths": Attribute(template_problem, _paths, 2),
}
"""`rules[].to[].operation`; each has a `not` twin."""

DESTINATION_IP = Attribute(block_problem, _destination_ip, 6)
SNI = Attribute(no_problem, _sni, 2)
