"""A JwtRule made ready for requests: which tokens it takes, and what a taken one means."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from authz.claim_headers import Headers, normalised_claims, output_headers
from authz.credentials import Place, places_of
from authz.jwt_rule import JwtRule, KeySource
from authz.refusal import Failure
from authz.request import JwtIdentity
from authz.token import Token

SPACE_DELIMITED = ("scope", "permission")


@dataclass(frozen=True, slots=True, eq=False)
class Provider:
    """Envoy's word for a rule at work."""

    rank: int
    """Where it stands when several take the same tokens."""
    rule: JwtRule
    places: tuple[Place, ...]
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

    def __init__(self, rules: Sequence[JwtRule]) -> None:
        ordered = sorted(rules, key=lambda rule: rule.issuer)  # as istiod sorts them
        providers = [_make_provider(rank, rule) for rank, rule in enumerate(ordered)]
        self.places = tuple(dict.fromkeys(place for each in providers for place in each.places))
        """Where any rule looks for a token."""
        self._tables = {place: _by_issuer(providers, place) for place in self.places}

    def of(self, places: Sequence[Place], issuer: str) -> Sequence[Provider]:
        """Those that look at one of the places and take the issuer, in the order of trial."""
        found = [
            self._tables[place].get(issuer) or self._tables[place].get("", ()) for place in places
        ]
        if len(found) == 1:
            return found[0]
        return sorted({each for some in found for each in some}, key=lambda each: each.rank)


def _make_provider(rank: int, rule: JwtRule) -> Provider:
    return Provider(rank, rule, places_of(rule), rule.source, frozenset(map(bare, rule.audiences)))


def _by_issuer(providers: Iterable[Provider], place: Place) -> Mapping[str, Sequence[Provider]]:
    """Issuer → the providers that take it at `place`; those of no issuer take any and come first."""
    table: dict[str, Sequence[Provider]] = {"": ()}
    for provider in providers:
        if place in provider.places:
            issuer = provider.rule.issuer
            table[issuer] = (*table.get(issuer, table[""]), provider)
    return table


def bare(audience: str) -> str:
    """
    An audience as it is compared: without scheme and without one slash at the end.

    Envoy, `check_audience.cc`: `https://orders/`, `http://orders` and `orders` are the same.
    """
    audience = audience.removesuffix("/")
    if audience.startswith(("https://", "http://")):
        return audience.partition("://")[2]
    return audience
