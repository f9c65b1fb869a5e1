"""A JwtRule made ready for requests: which tokens it takes, and what a taken one means."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from authz.request import JwtIdentity
from authz.tokens.claim_headers import Headers, normalised_claims, output_headers
from authz.tokens.credentials import Place, places_of
from authz.tokens.jwt_rule import JwtRule, KeySource
from authz.tokens.refusal import Failure
from authz.tokens.token import Token

SPACE_DELIMITED = ("scope", "permission")


@dataclass(frozen=True, slots=True, eq=False)
class Provider:
    """Envoy's word for a rule at work."""

    rank: int
    """Where it stands when several take the same tokens."""
    rule: JwtRule
    source: KeySource | None
    """Where its keys are fetched; None when the rule holds them."""
    audiences: frozenset[str]
    """As `bare` has them."""

    def check_audience(self, token: Token) -> Failure | None:
        """Whether one of the token's audiences is ours, if we ask for any."""
        if not self.audiences or not self.audiences.isdisjoint(map(bare, token.audiences)):
            return None
        return Failure.WRONG_AUDIENCE

    def identity(self, token: Token) -> JwtIdentity:
        """Who sent the request, once the token is verified."""
        names = (*SPACE_DELIMITED, *self.rule.space_delimited_claims)
        claims = normalised_claims(token.claims, names)
        return JwtIdentity(token.issuer, token.subject, claims, token.payload)

    def headers(self, token: Token) -> Headers:
        """What the upstream is told of the token."""
        return output_headers(self.rule, token)


class Providers:
    """Every rule of a workload, found by where a token was and who issued it."""

    def __init__(self, rules: Iterable[JwtRule]) -> None:
        self._tables: dict[Place, dict[str, tuple[Provider, ...]]] = {}
        ordered = sorted(rules, key=lambda rule: rule.issuer)  # as istiod sorts them
        for rank, rule in enumerate(ordered):
            audiences = frozenset(map(bare, rule.audiences))
            provider = Provider(rank, rule, rule.source, audiences)
            for place in dict.fromkeys(places_of(rule)):
                # A rule without issuer takes any; such rules come first and stand in every row.
                table = self._tables.setdefault(place, {"": ()})
                table[rule.issuer] = (*table.get(rule.issuer, table[""]), provider)

    @property
    def places(self) -> Iterable[Place]:
        """Where any rule looks for a token."""
        return self._tables.keys()

    def of(self, places: Sequence[Place], issuer: str) -> Sequence[Provider]:
        """Those that look at one of the places and take the issuer, in the order of trial."""
        tables = [self._tables[place] for place in places]
        found = [table.get(issuer, table[""]) for table in tables]
        if len(found) == 1:
            return found[0]
        return sorted({each for some in found for each in some}, key=lambda each: each.rank)


def bare(audience: str) -> str:
    """
    An audience as it is compared: without scheme and without one slash at the end.

    Envoy, `check_audience.cc`: `https://orders/`, `http://orders` and `orders` are the same.
    """
    audience = audience.removesuffix("/")
    if audience.startswith(("https://", "http://")):
        return audience.partition("://")[2]
    return audience
