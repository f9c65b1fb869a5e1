"""The nouns of RequestAuthentication: one rule for the tokens of one issuer."""

from dataclasses import dataclass
from typing import NamedTuple

from authz.keys.jwks import KeySet
from authz.keys.web_address import without_password
from serving.problems import Place


class KeySource(NamedTuple):
    """Where the keys of an issuer are fetched; what a key set is kept under."""

    issuer: str
    jwks_uri: str
    """Empty: found by OIDC discovery at the issuer."""

    @property
    def shown(self) -> str:
        """The address for logs and people, without a password that may stand in it."""
        if not self.jwks_uri:
            return f"discovery at {without_password(self.issuer)}"
        return without_password(self.jwks_uri)


class HeaderLocation(NamedTuple):
    """A header that may carry a token."""

    name: str
    """In lower case."""
    prefix: str
    """What stands before the token; empty when the token is the whole value."""


class ClaimToHeader(NamedTuple):
    """A claim that the upstream gets as a header."""

    header: str
    """In lower case."""
    claim: str
    """Dots lead into nested objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtRule:
    """One of `spec.jwtRules`; names and meanings are Istio's."""

    place: Place
    issuer: str
    """What `iss` must be; empty takes any issuer."""
    audiences: tuple[str, ...] = ()
    """One of them must be in `aud`; empty asks for none."""
    jwks_uri: str = ""
    jwks: KeySet | None = None
    """Inline keys; without them and without `jwks_uri` the issuer is asked where its keys are."""
    from_headers: tuple[HeaderLocation, ...] = ()
    from_params: tuple[str, ...] = ()
    from_cookies: tuple[str, ...] = ()
    output_payload_to_header: str = ""
    """In lower case; empty for none."""
    output_claim_to_headers: tuple[ClaimToHeader, ...] = ()
    forward_original_token: bool = False
    timeout_seconds: float = 5.0
    """For fetching the keys, and for a request that waits for them."""
    space_delimited_claims: tuple[str, ...] = ()
    """Besides `scope` and `permission`."""

    @property
    def source(self) -> KeySource | None:
        """Where the keys are fetched, unless they are inline."""
        return KeySource(self.issuer, self.jwks_uri) if self.jwks is None else None
