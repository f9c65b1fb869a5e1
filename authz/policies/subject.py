"""What rules look at: one request and its identity, laid out once so that no rule does it again."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from authz.policies.patterns import fold_case
from authz.request import JwtIdentity, Request

NO_CLAIMS: Mapping[str, Any] = {}


class Subject(NamedTuple):
    """The attributes of Istio's rules; text is empty where a request lacks the attribute."""

    method: str
    host: str
    """In lower case, port included."""
    path: str
    """Without query and fragment."""
    headers: Mapping[str, tuple[str, ...]]
    source_ip: str
    remote_ip: str
    destination_ip: str
    destination_port: int
    principal: str
    sni: str
    claims: Mapping[str, Any]
    """Of the verified token; none without one."""


Check = Callable[[Subject], bool]
"""A compiled piece of a policy."""


def describe(request: Request, identity: JwtIdentity | None) -> Subject:
    """Lay out what one decision is about."""
    return Subject(
        request.method,
        fold_case(request.host),
        without_query(request.path),
        request.headers,
        request.source_ip,
        request.remote_ip,
        request.destination_ip,
        request.destination_port,
        request.principal,
        request.sni,
        NO_CLAIMS if identity is None else identity.claims,
    )


def without_query(path: str) -> str:
    """The path as Envoy's matchers take it: up to the first `?` or `#`."""
    return path.partition("?")[0].partition("#")[0]
