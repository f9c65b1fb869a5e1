"""The nouns of a decision: the request, who sent it, and the answer."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple


class Request(NamedTuple):
    """One HTTP request as Envoy described it; nothing in it is trusted beyond what is said."""

    method: str
    host: str
    """`:authority`, port included, as sent."""
    path: str
    """`:path` with the query, as Envoy normalised it."""
    headers: Mapping[str, tuple[str, ...]]
    """Lower-case name → each value by itself, in order. Pseudo headers are among them."""
    source_ip: str
    """The peer of the connection, X-Forwarded-For not applied; empty for a Unix socket."""
    remote_ip: str
    """The client after trusted X-Forwarded-For hops."""
    destination_ip: str
    destination_port: int
    principal: str
    """First SAN of the peer's verified certificate (`spiffe://…`); empty without mTLS."""
    sni: str


class JwtIdentity(NamedTuple):
    """A verified token."""

    issuer: str
    subject: str
    claims: Mapping[str, Any]
    payload: str
    """The token's middle part as it was sent: unpadded base64url."""

    @property
    def request_principal(self) -> str:
        return f"{self.issuer}/{self.subject}"


class Reason(StrEnum):
    """Why a request is refused: the class that the body, the metrics and the log name."""

    MISSING_TOKEN = "missing_token"  # noqa: S105 - a reason, not a secret
    INVALID_TOKEN = "invalid_token"  # noqa: S105
    EXPIRED_TOKEN = "expired_token"  # noqa: S105
    UNKNOWN_ISSUER = "unknown_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    KEYS_UNAVAILABLE = "keys_unavailable"
    DENIED_BY_POLICY = "denied_by_policy"
    NO_POLICY_ALLOWS = "no_policy_allows"
    BAD_REQUEST = "bad_request"
    NOT_READY = "not_ready"
    INTERNAL = "internal"


class Deny(NamedTuple):
    """A refusal. A value, never an exception: an RPC error would obey `failure_mode_allow`."""

    status: int
    """HTTP status of the answer to the client."""
    reason: Reason
    policy: str = ""
    """`namespace/name` of the policy that decided; for log and metrics, never for the client."""
    challenge: str = ""
    """Value of WWW-Authenticate (RFC 6750 section 3), or empty for none."""


class Allow(NamedTuple):
    """The request may pass, changed as said."""

    set_headers: tuple[tuple[str, str], ...] = ()
    remove_headers: tuple[str, ...] = ()
    remove_params: tuple[str, ...] = ()
    """Query parameters that held a token which is not to be passed on."""
    policy: str = ""
    """`namespace/name` of the ALLOW policy that matched; empty when none had to."""


Verdict = Allow | Deny
