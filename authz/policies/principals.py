"""
Who the peer is: matching the SPIFFE identity of a verified certificate.

`principals` compares the whole identity; namespaces, service accounts and trust domains look at
parts of it, whatever the rest (Istio, `pilot/pkg/security/authz/model/generator.go`). Without
mTLS the identity is empty and none of them matches.
"""

import re
from collections.abc import Iterable

from authz.policies.patterns import Matcher, is_something, sort_out

SCHEME = "spiffe://"
MAX_SERVICE_ACCOUNT_BYTES = 320


def compile_principals(values: Iterable[str]) -> Matcher:
    """
    Match `TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT` as patterns have it, `spiffe://` put in front.

    `*` takes any identity, even one that is no SPIFFE ID.
    """
    exact, prefixes, suffixes, wildcard = sort_out(values)
    whole = frozenset(SCHEME + value for value in exact)
    starts = tuple(SCHEME + value for value in prefixes)
    ends = _alternatives(f"{SCHEME}.*{re.escape(value)}" for value in suffixes)
    if wildcard:
        return lambda identity: is_something(identity) or identity.startswith(starts)
    if suffixes:
        return lambda identity: identity in whole or identity.startswith(starts) or ends(identity)
    if prefixes:
        return lambda identity: identity in whole or identity.startswith(starts)
    return whole.__contains__


def compile_namespaces(values: Iterable[str]) -> Matcher:
    """Match the namespace; here a star may stand anywhere, and any number of them."""
    names = (".*".join(map(re.escape, value.split("*"))) for value in values)
    pattern = re.compile(f"/ns/(?:{'|'.join(names)})/")
    # A search for the middle of Envoy's `.*/ns/NAME/.*`, whose dots take no line break.
    return lambda identity: pattern.search(identity) is not None and "\n" not in identity


def compile_service_accounts(values: Iterable[str], namespace: str) -> Matcher:
    """Match `NAMESPACE/ACCOUNT`, or `ACCOUNT` of the policy's own `namespace`."""
    pairs = (value.split("/") if "/" in value else (namespace, value) for value in values)
    return _alternatives(
        f"{SCHEME}.+/ns/{re.escape(home)}/(?:.+/)?sa/{re.escape(account)}(?:/.+)?"
        for home, account in pairs
    )


def service_account_problem(text: str) -> str:
    """What is wrong with a value of `serviceAccounts`, empty if nothing."""
    if "*" in text:
        return "a service account is named in full; '*' is not accepted"
    if len(text.encode()) > MAX_SERVICE_ACCOUNT_BYTES:
        return f"longer than {MAX_SERVICE_ACCOUNT_BYTES} bytes"
    if not all(text.split("/")) or text.count("/") > 1:
        return "ACCOUNT or NAMESPACE/ACCOUNT is wanted"
    return ""


def trust_domain_problem(text: str) -> str:
    """What is wrong with a value of `trustDomains`, empty if nothing."""
    if "/" in text:
        return "a trust domain has no '/'"
    return star_problem(text)


def star_problem(text: str) -> str:
    """One star at most, at the start or the end; `source.trustDomain` accepts the rest."""
    if text.count("*") > 1 or "*" in text[1:-1]:
        return "one '*' is accepted, at the start or at the end"
    return ""


def compile_trust_domains(values: Iterable[str]) -> Matcher:
    """Match the trust domain; a star takes no slash."""
    exact, prefixes, suffixes, wildcard = sort_out(values)
    if wildcard:
        return lambda identity: identity.startswith(SCHEME)
    starts = tuple(f"{SCHEME}{value}/" for value in exact)
    if not prefixes and not suffixes:
        return lambda identity: identity.startswith(starts)
    stars = _alternatives(
        [f"{SCHEME}{re.escape(value)}[^/]*/.*" for value in prefixes]
        + [f"{SCHEME}[^/]*{re.escape(value)}/.*" for value in suffixes]
    )
    return lambda identity: identity.startswith(starts) or stars(identity)


def _alternatives(regexes: Iterable[str]) -> Matcher:
    """Match the whole text against any of the expressions."""
    pattern = re.compile("|".join(regexes))
    return lambda text: pattern.fullmatch(text) is not None
