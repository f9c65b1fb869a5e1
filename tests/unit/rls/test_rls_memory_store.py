"""What only the memory store does; the contract of all stores is in tests/contract."""

from rls.counters import Counter, Hit
from rls.counters.memory import MemoryStore
from rls.limits import Algorithm, RateLimit, Unit
from rls.window import SLACK_SECONDS, US

WINDOW = Hit(Counter(b"w", RateLimit(10, Unit.MINUTE)), 1)
BUCKET = Hit(Counter(b"b", RateLimit(10, Unit.SECOND, Algorithm.TOKEN_BUCKET, 10)), 10)
NOW_US = 1_700_000_040 * US  # a full minute


def remembered(store: MemoryStore) -> int:
    return len(store._expires_us) + len(store._windows) + len(store._buckets)


def test_an_unused_counter_is_forgotten_after_the_slack() -> None:
    store = MemoryStore()
    store.hit([WINDOW, BUCKET], NOW_US)
    ends_us = NOW_US + (60 + SLACK_SECONDS) * US
    other = Hit(Counter(b"other", WINDOW.counter.limit), 0)
    store.hit([other], ends_us)
    assert remembered(store) == 2  # the window; the bucket was full again long before
    store.hit([other], ends_us + 10 * US)
    assert remembered(store) == 0


def test_a_clock_that_steps_back_by_less_than_the_slack_finds_what_was_spent() -> None:
    store = MemoryStore()
    store.hit([WINDOW], NOW_US)
    assert store.hit([WINDOW], NOW_US + (60 + SLACK_SECONDS - 1) * US) == [1]
    assert store.hit([WINDOW], NOW_US + 1) == [2]


def test_a_look_is_not_remembered() -> None:
    store = MemoryStore()
    looks = [WINDOW._replace(addend=0), BUCKET._replace(addend=0)]
    assert store.hit(looks, NOW_US) == [0, 0]
    assert remembered(store) == 0
