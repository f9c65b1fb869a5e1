"""The key ring against a real issuer on loopback, on a clock of the test's own."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from authz.keys.jwks import KeySet, read_inline_key_set
from authz.keys.key_fetch import KeyFetcher
from authz.keys.key_record import COOL_DOWN_SECONDS, REFRESH_SECONDS
from authz.keys.key_ring import MAX_FETCH_SECONDS, KeyRing
from authz.tokens.jwt_rule import JwtRule, KeySource
from serving.problems import Place
from tests.unit.authz.conftest import KEYS, Answer, Issuer

HERE = Place("a.yaml", 1, 1, "")


class Clock:
    """Seconds that go forward when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ring(clock: Clock) -> KeyRing:
    return KeyRing(KeyFetcher(allow_http=True), clock, chance=lambda: 0.0)


def rule_of(issuer: Issuer, **fields: Any) -> JwtRule:
    return JwtRule(place=HERE, issuer="https://id.example", jwks_uri=issuer.keys_url, **fields)


def source_of(issuer: Issuer) -> KeySource:
    return KeySource("https://id.example", issuer.keys_url)


async def fetch_due(ring: KeyRing) -> int:
    """Run what is due to its end; tells how many fetches that were."""
    flights = ring.fetch_due()
    await asyncio.gather(*flights)
    return len(flights)


async def test_a_set_is_fetched_before_anybody_asks(ring: KeyRing, issuer: Issuer) -> None:
    ring.use([rule_of(issuer)])
    assert ring.unready() == {source_of(issuer): "not fetched yet"}
    assert ring.keys(source_of(issuer)) is None
    assert await fetch_due(ring) == 1
    keys = ring.keys(source_of(issuer))
    assert keys is not None
    assert keys.has("rsa")
    assert ring.unready() == {}
    assert ring.fetches == {"ok": 1, "failed": 0}


async def test_inline_keys_are_never_fetched(ring: KeyRing, issuer: Issuer) -> None:
    keys = read_inline_key_set('{"keys": []}')
    assert isinstance(keys, KeySet)
    ring.use([JwtRule(place=HERE, issuer="i", jwks=keys)])
    assert await fetch_due(ring) == 0
    assert ring.unready() == {}


async def test_a_set_is_fetched_again_when_its_time_has_come(
    ring: KeyRing, issuer: Issuer, clock: Clock
) -> None:
    ring.use([rule_of(issuer)])
    await fetch_due(ring)
    before = ring.keys(source_of(issuer))
    clock.now += REFRESH_SECONDS - 1
    assert await fetch_due(ring) == 0
    clock.now += 1
    assert await fetch_due(ring) == 1
    assert ring.keys(source_of(issuer)) is before  # the same text: what it has verified stays
    issuer.serve_keys("rsa-2")
    clock.now += REFRESH_SECONDS
    await fetch_due(ring)
    after = ring.keys(source_of(issuer))
    assert after is not None
    assert (after.has("rsa"), after.has("rsa-2")) == (False, True)


async def test_the_last_good_set_serves_while_the_issuer_is_away(
    ring: KeyRing, issuer: Issuer, clock: Clock
) -> None:
    ring.use([rule_of(issuer)])
    await fetch_due(ring)
    before = ring.keys(source_of(issuer))
    issuer.answers[KEYS] = Answer(b"", 503)
    clock.now += REFRESH_SECONDS
    await fetch_due(ring)
    assert ring.keys(source_of(issuer)) is before
    assert ring.unready() == {}
    assert ring.fetches == {"ok": 1, "failed": 1}
    clock.now += 0.9
    assert await fetch_due(ring) == 0
    issuer.serve_keys("rsa", "p256")
    clock.now += 0.1
    assert await fetch_due(ring) == 1
    after = ring.keys(source_of(issuer))
    assert after is not None
    assert after.has("p256")


async def test_a_source_that_never_answered_says_why(ring: KeyRing, issuer: Issuer) -> None:
    issuer.answers[KEYS] = Answer(b"", 404)
    ring.use([rule_of(issuer)])
    await fetch_due(ring)
    assert ring.unready() == {source_of(issuer): "HTTP status 404"}
    assert ring.keys(source_of(issuer)) is None


async def test_everyone_who_waits_waits_for_one_fetch(ring: KeyRing, issuer: Issuer) -> None:
    ring.use([rule_of(issuer)])
    issuer.open.clear()
    flights = {ring.seek(source_of(issuer), f"kid {number}") for number in range(100)}
    assert ring.fetch_due() == ()  # it is under way
    issuer.open.set()
    (flight,) = flights
    assert flight is not None
    await flight
    assert issuer.asked == [KEYS]
    assert ring.keys(source_of(issuer)) is not None


async def test_invented_key_names_cost_one_fetch_a_cool_down(
    ring: KeyRing, issuer: Issuer, clock: Clock
) -> None:
    ring.use([rule_of(issuer)])
    await fetch_due(ring)
    clock.now += COOL_DOWN_SECONDS
    started = [ring.seek(source_of(issuer), f"first {number}") for number in range(100)]
    await asyncio.gather(*filter(None, set(started)))
    clock.now += COOL_DOWN_SECONDS - 1
    assert [ring.seek(source_of(issuer), f"next {number}") for number in range(100)] == [None] * 100
    assert issuer.asked == [KEYS] * 2


async def test_a_new_key_is_here_after_the_fetch_it_caused(
    ring: KeyRing, issuer: Issuer, clock: Clock
) -> None:
    ring.use([rule_of(issuer)])
    await fetch_due(ring)
    issuer.serve_keys("rsa", "rsa-2")
    clock.now += COOL_DOWN_SECONDS
    flight = ring.seek(source_of(issuer), "rsa-2")
    assert flight is not None
    await flight
    keys = ring.keys(source_of(issuer))
    assert keys is not None
    assert keys.has("rsa-2")


async def test_nobody_waits_for_a_source_that_is_not_in_use(ring: KeyRing, issuer: Issuer) -> None:
    assert ring.seek(source_of(issuer), "rsa") is None
    assert issuer.asked == []


async def test_sets_are_kept_over_a_reload_and_dropped_with_their_last_rule(
    ring: KeyRing, issuer: Issuer
) -> None:
    ring.use([rule_of(issuer), rule_of(issuer, audiences=("a",))])
    await fetch_due(ring)
    keys = ring.keys(source_of(issuer))
    ring.use([rule_of(issuer, audiences=("b",))])
    assert ring.keys(source_of(issuer)) is keys
    assert await fetch_due(ring) == 0
    ring.use([])
    assert ring.keys(source_of(issuer)) is None
    assert ring.unready() == {}


async def test_a_fetch_for_a_dropped_source_ends(ring: KeyRing, issuer: Issuer) -> None:
    ring.use([rule_of(issuer)])
    issuer.open.clear()
    (flight,) = ring.fetch_due()
    await asyncio.sleep(0)
    ring.use([])
    await asyncio.wait([flight])
    assert flight.cancelled()
    ring.use([rule_of(issuer)])
    issuer.open.set()
    assert await fetch_due(ring) == 1
    assert ring.keys(source_of(issuer)) is not None


async def test_the_longest_timeout_of_a_source_bounds_its_fetch(
    ring: KeyRing, issuer: Issuer
) -> None:
    issuer.open.clear()
    ring.use([rule_of(issuer, timeout_seconds=0.01), rule_of(issuer, timeout_seconds=0.05)])
    await fetch_due(ring)
    assert ring.unready() == {source_of(issuer): "no answer within 0.05 s"}


def test_no_timeout_is_longer_than_ours(ring: KeyRing, issuer: Issuer) -> None:
    ring.use([rule_of(issuer, timeout_seconds=1e12)])
    assert ring._records[source_of(issuer)].timeout_seconds == MAX_FETCH_SECONDS


async def test_a_fault_of_ours_is_a_failed_fetch(issuer: Issuer) -> None:
    """`tls` is no context, so that the HTTP client raises what nobody expects."""
    wrong: Any = "not a context"
    ring = KeyRing(KeyFetcher(allow_http=True, tls=wrong))
    ring.use([rule_of(issuer)])
    await fetch_due(ring)
    assert ring.unready() == {source_of(issuer): "an internal fault, see the log"}
    assert ring.fetches == {"ok": 0, "failed": 1}


async def test_changes_of_readiness_are_told(issuer: Issuer) -> None:
    told: list[dict[KeySource, str]] = []
    ring = KeyRing(KeyFetcher(allow_http=True), changed=lambda: told.append(dict(ring.unready())))
    ring.use([rule_of(issuer)])
    await fetch_due(ring)
    assert told == [{source_of(issuer): "not fetched yet"}, {}]


async def test_the_ring_runs_by_itself(
    ring: KeyRing, issuer: Issuer, clock: Clock, until: Callable[..., Awaitable[None]]
) -> None:
    running = asyncio.create_task(ring.run())
    ring.use([rule_of(issuer)])
    await until(lambda: ring.unready() == {})
    clock.now += REFRESH_SECONDS  # seen without being told, within a second
    await until(lambda: len(issuer.asked) == 2)
    running.cancel()
    await asyncio.wait([running])


async def test_a_fetch_under_way_ends_with_the_ring(
    ring: KeyRing, issuer: Issuer, until: Callable[..., Awaitable[None]]
) -> None:
    issuer.open.clear()
    ring.use([rule_of(issuer)])
    running = asyncio.create_task(ring.run())
    await until(lambda: issuer.asked == [KEYS])
    flight = ring.seek(source_of(issuer), "rsa")
    running.cancel()
    await asyncio.wait([running])
    assert flight is not None
    assert flight.cancelled()
