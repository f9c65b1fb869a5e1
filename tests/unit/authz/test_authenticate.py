"""Authentication over time: keys that have to be fetched, tokens that are remembered."""

import asyncio
from typing import Any

from authz.keys.jwk import VerificationKey
from authz.keys.jwks import KeySet, read_inline_key_set
from authz.keys.key_fetch import KeyFetcher
from authz.keys.key_record import COOL_DOWN_SECONDS, REFRESH_SECONDS
from authz.keys.key_ring import KeyRing
from authz.request import Deny, Reason, Request
from authz.tokens.authenticate import Authenticated, Authenticator
from authz.tokens.jwt_rule import ClaimToHeader, HeaderLocation, JwtRule
from authz.tokens.refusal import Failure, refuse
from serving.problems import Place
from tests.token_mint import ISSUER, NOW, key_set, mint
from tests.unit.authz.conftest import KEYS, Answer, Issuer

REQUEST = Request("GET", "shop.example", "/", {}, "", "", "", 80, "", "")


class Bench:
    """An authenticator of one fetched rule, its ring, and the ring's clock."""

    def __init__(self, issuer: Issuer, **fields: Any) -> None:
        self.clock = 1000.0
        self.rule = JwtRule(
            place=Place("a.yaml", 1, 1, ""), issuer=ISSUER, jwks_uri=issuer.keys_url, **fields
        )
        self.ring = KeyRing(KeyFetcher(allow_http=True), lambda: self.clock, lambda: 0.0)
        self.ring.use([self.rule])
        self.authenticator = Authenticator([self.rule], self.ring, 60)

    async def fetch(self) -> None:
        await asyncio.gather(*self.ring.fetch_due())

    def ask(self, token: str, now: float = NOW) -> Any:
        """The outcome, or what it has to be awaited from."""
        return self.authenticator.authenticate(bearer(token), now)


def bearer(token: str) -> Request:
    return REQUEST._replace(headers={"authorization": (f"Bearer {token}",)})


def denied(failure: Failure) -> Deny:
    return refuse(failure, REQUEST)


def passes(outcome: object) -> bool:
    return isinstance(outcome, Authenticated) and outcome.identity is not None


async def test_a_known_key_is_never_waited_for(issuer: Issuer) -> None:
    bench = Bench(issuer)
    await bench.fetch()
    issuer.open.clear()
    bench.clock += REFRESH_SECONDS
    bench.ring.fetch_due()  # a refresh that does not come back
    assert passes(bench.ask(mint()))
    assert bench.ask(mint(by="rsa-2", header={"kid": "rsa"})) == denied(Failure.BAD_SIGNATURE)


async def test_the_first_request_waits_for_the_keys(issuer: Issuer) -> None:
    bench = Bench(issuer)
    outcomes = await asyncio.gather(*(bench.ask(mint()) for _ in range(20)))
    assert all(map(passes, outcomes))
    assert issuer.asked == [KEYS]


async def test_a_token_that_fails_anyway_waits_for_nothing(issuer: Issuer) -> None:
    bench = Bench(issuer, audiences=("orders",))
    assert bench.ask("x") == denied(Failure.MALFORMED)
    assert bench.ask(mint({"exp": 1})) == denied(Failure.EXPIRED)
    assert bench.ask(mint({"iss": "x"})) == denied(Failure.UNKNOWN_ISSUER)
    assert bench.ask(mint()) == denied(Failure.WRONG_AUDIENCE)
    assert issuer.asked == []


async def test_without_keys_the_answer_is_503_and_says_nothing_of_the_token(
    issuer: Issuer,
) -> None:
    issuer.answers[KEYS] = Answer(b"", 500)
    bench = Bench(issuer)
    expected = Deny(503, Reason.KEYS_UNAVAILABLE)
    assert await bench.ask(mint()) == expected
    assert bench.ask(mint()) == expected  # the next fetch is not due: nobody waits
    assert issuer.asked == [KEYS]


async def test_the_wait_ends_with_the_rules_timeout(issuer: Issuer) -> None:
    issuer.open.clear()
    bench = Bench(issuer, timeout_seconds=0.05)
    patient = JwtRule(
        place=bench.rule.place, issuer=ISSUER, jwks_uri=issuer.keys_url, timeout_seconds=30
    )
    bench.ring.use([bench.rule, patient])  # the fetch itself goes on
    assert await bench.ask(mint()) == denied(Failure.KEYS_UNAVAILABLE)
    issuer.open.set()
    assert passes(await bench.ask(mint()))
    assert issuer.asked == [KEYS]


async def test_keys_that_change_are_followed(issuer: Issuer) -> None:
    bench = Bench(issuer)
    await bench.fetch()
    issuer.serve_keys("rsa-2")
    bench.clock += COOL_DOWN_SECONDS
    assert passes(bench.ask(mint()))
    assert passes(await bench.ask(mint(by="rsa-2")))
    assert bench.ask(mint()) == denied(Failure.NO_KEY)  # remembered, but its key is gone


async def test_an_unknown_key_is_refused_at_once_within_the_cool_down(issuer: Issuer) -> None:
    bench = Bench(issuer)
    await bench.fetch()
    assert bench.ask(mint(by="rsa-2")) == denied(Failure.NO_KEY)
    bench.clock += COOL_DOWN_SECONDS
    assert await bench.ask(mint(by="rsa-2")) == denied(Failure.NO_KEY)
    assert bench.ask(mint(by="rsa-2")) == denied(Failure.NO_KEY)
    assert issuer.asked == [KEYS] * 2


async def test_an_unknown_key_is_refused_at_once_while_the_issuer_is_away(issuer: Issuer) -> None:
    bench = Bench(issuer)
    await bench.fetch()
    issuer.answers[KEYS] = Answer(b"", 500)
    bench.clock += REFRESH_SECONDS
    await bench.fetch()
    bench.clock += COOL_DOWN_SECONDS
    assert bench.ask(mint(by="rsa-2")) == denied(Failure.NO_KEY)
    assert passes(bench.ask(mint()))


async def test_a_token_that_names_no_key_may_want_a_newer_one(issuer: Issuer) -> None:
    bench = Bench(issuer)
    await bench.fetch()
    issuer.serve_keys("rsa-2")
    bench.clock += COOL_DOWN_SECONDS
    assert passes(await bench.ask(mint(by="rsa-2", header={"kid": ...})))


async def test_a_secret_that_is_fetched_verifies_nothing(issuer: Issuer) -> None:
    issuer.serve_keys("secret", "rsa")
    bench = Bench(issuer)
    await bench.fetch()
    assert bench.ask(mint(by="secret")) == denied(Failure.NO_KEY)


async def test_a_rule_without_issuer_takes_any(issuer: Issuer) -> None:
    bench = Bench(issuer)
    anyone = JwtRule(place=bench.rule.place, issuer="", jwks_uri=issuer.keys_url)
    bench.ring.use([anyone, bench.rule])
    await bench.fetch()
    authenticator = Authenticator([bench.rule, anyone], bench.ring, 60)
    for claims in ({"iss": "https://else.example"}, {"iss": ""}, {"iss": ...}, {"iss": ISSUER}):
        assert passes(authenticator.authenticate(bearer(mint(claims)), NOW))


async def test_a_rule_that_takes_the_token_spares_the_others_the_wait(issuer: Issuer) -> None:
    """Two rules of one issuer; the first has other keys, and need not look for newer ones."""
    issuer.serve_keys("rsa-2")
    bench = Bench(issuer)
    inline = read_inline_key_set(key_set("rsa"))
    assert isinstance(inline, KeySet)
    second = JwtRule(place=bench.rule.place, issuer=ISSUER, jwks=inline)
    await bench.fetch()
    bench.clock += COOL_DOWN_SECONDS
    authenticator = Authenticator([bench.rule, second], bench.ring, 60)
    assert passes(authenticator.authenticate(bearer(mint()), NOW))
    assert issuer.asked == [KEYS]


class CountedKey:
    """A key set whose one key counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        genuine = read_inline_key_set(key_set("rsa"))
        assert isinstance(genuine, KeySet)
        verify = genuine.keys[0].verifiers["RS256"]

        def counted(signature: bytes, signed: bytes) -> bool:
            self.asked += 1
            return verify(signature, signed)

        self.keys = KeySet((VerificationKey("rsa", {"RS256": counted}),), (), b"")

    def authenticator(self, **fields: Any) -> Authenticator:
        capacity = fields.pop("remembered_tokens", 10)
        rule = JwtRule(place=Place("a.yaml", 1, 1, ""), issuer=ISSUER, jwks=self.keys, **fields)
        return Authenticator([rule], KeyRing(KeyFetcher()), 60, capacity)


def test_a_signature_is_verified_once() -> None:
    counted = CountedKey()
    authenticator, request = counted.authenticator(), bearer(mint())
    first = authenticator.authenticate(request, NOW)
    assert passes(first)
    assert authenticator.authenticate(request, NOW + 100) == first
    assert counted.asked == 1


def test_a_rule_with_the_same_keys_reads_a_remembered_token_in_its_own_way() -> None:
    counted = CountedKey()
    here = Place("a.yaml", 1, 1, "")
    rules = [
        JwtRule(
            place=here,
            issuer=ISSUER,
            jwks=counted.keys,
            from_headers=(HeaderLocation(name, ""),),
            output_claim_to_headers=(ClaimToHeader(f"{name}-sub", "sub"),),
        )
        for name in ("x-a", "x-b")
    ]
    authenticator, token = Authenticator(rules, KeyRing(KeyFetcher()), 60), mint()
    for name in ("x-a", "x-b", "x-a"):
        outcome = authenticator.authenticate(REQUEST._replace(headers={name: (token,)}), NOW)
        assert isinstance(outcome, Authenticated)
        assert outcome.set_headers == ((f"{name}-sub", "alice"),)
    assert counted.asked == 1


def test_a_wrong_signature_is_verified_each_time() -> None:
    """Nothing a stranger sends is remembered, good or bad."""
    counted = CountedKey()
    authenticator, request = (
        counted.authenticator(),
        bearer(mint(by="rsa-2", header={"kid": "rsa"})),
    )
    for _ in range(3):
        assert authenticator.authenticate(request, NOW) == denied(Failure.BAD_SIGNATURE)
    assert counted.asked == 3


def test_a_remembered_token_expires_like_any_other() -> None:
    counted = CountedKey()
    authenticator, request = counted.authenticator(), bearer(mint({"exp": NOW + 10}))
    assert passes(authenticator.authenticate(request, NOW))
    assert passes(authenticator.authenticate(request, NOW + 69.9))
    assert authenticator.authenticate(request, NOW + 70) == denied(Failure.EXPIRED)
    assert counted.asked == 1
    assert passes(authenticator.authenticate(request, NOW))  # the clock was set back
    assert counted.asked == 2


def test_another_text_is_another_token() -> None:
    counted = CountedKey()
    authenticator, token = counted.authenticator(), mint()
    assert passes(authenticator.authenticate(bearer(token), NOW))
    for other in (token + "=", token.swapcase(), token[:-1], token + "A"):
        assert isinstance(authenticator.authenticate(bearer(other), NOW), Deny)


def test_only_so_many_tokens_are_remembered() -> None:
    counted = CountedKey()
    authenticator = counted.authenticator(remembered_tokens=2)
    a, b, c = (bearer(mint({"sub": name})) for name in "abc")
    for request in (a, b, a, b):
        assert passes(authenticator.authenticate(request, NOW))
    assert counted.asked == 2
    for request in (c, b, a):  # c puts out a; then a puts out b
        assert passes(authenticator.authenticate(request, NOW))
    assert counted.asked == 4


def test_expectation_of_tokens() -> None:
    ring = KeyRing(KeyFetcher())
    assert not Authenticator([], ring, 60).expects_tokens
    assert CountedKey().authenticator().expects_tokens


def test_without_rules_nothing_is_looked_at() -> None:
    outcome = Authenticator([], KeyRing(KeyFetcher()), 60).authenticate(bearer("x"), NOW)
    assert outcome == Authenticated(None, False)
