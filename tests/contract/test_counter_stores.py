"""
The contract of every counter store, and every store under it.

`MemoryStore` is the specification; a real Valkey must say the same numbers to the last bit.
"""

import inspect
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from rls.counter_key import counter_key
from rls.counters import Counter, CounterStore, Hit, Spent
from rls.counters.address import StoreAddress
from rls.counters.memory import MemoryStore
from rls.counters.valkey import ValkeyStore
from rls.limits import Algorithm, Entry, RateLimit, Unit
from rls.window import US

NOW_US = 1_700_000_000 * US
LARGEST = 2**32 - 1


def counter(
    name: str,
    requests: int = 10,
    unit: Unit = Unit.MINUTE,
    algorithm: Algorithm = Algorithm.FIXED_WINDOW,
    burst: int = 0,
) -> Counter:
    limit = RateLimit(requests, unit, algorithm, burst)
    return Counter(counter_key("edge", [Entry("name", name)], limit), limit)


def bucket(name: str, requests: int = 10, unit: Unit = Unit.SECOND, burst: int = 20) -> Counter:
    return counter(name, requests, unit, Algorithm.TOKEN_BUCKET, burst)


async def spent(store: CounterStore, hits: Sequence[Hit], now_us: int = NOW_US) -> Spent:
    answer = store.hit(hits, now_us)
    return await answer if inspect.isawaitable(answer) else answer


@pytest.fixture(params=["memory", "valkey"])
async def store(request: pytest.FixtureRequest, link_to: Any) -> AsyncIterator[CounterStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    valkey = request.getfixturevalue("valkey")
    async with link_to(StoreAddress(host=valkey.host, port=valkey.port)) as link:
        yield ValkeyStore(link)


async def test_hits_of_a_window_add_up(store: CounterStore) -> None:
    ann = counter("ann")
    assert await spent(store, [Hit(ann, 1)]) == [1]
    assert await spent(store, [Hit(ann, 5)]) == [6]


async def test_a_window_counts_beyond_its_limit(store: CounterStore) -> None:
    ann = counter("ann", requests=1)
    assert [await spent(store, [Hit(ann, 1)]) for _ in range(3)] == [[1], [2], [3]]


async def test_every_window_is_a_counter_of_its_own(store: CounterStore) -> None:
    ann = counter("ann")
    ends_us = NOW_US - NOW_US % (60 * US) + 60 * US
    assert await spent(store, [Hit(ann, 3)], ends_us - 1) == [3]
    assert await spent(store, [Hit(ann, 1)], ends_us) == [1]
    assert await spent(store, [Hit(ann, 1)], ends_us - 1) == [4]


async def test_a_look_sees_and_counts_nothing(store: CounterStore) -> None:
    window, tokens = counter("ann"), bucket("ann")
    looks = [Hit(window, 0), Hit(tokens, 0)]
    assert await spent(store, looks) == [0, 0]
    await spent(store, [Hit(window, 2), Hit(tokens, 3)])
    assert await spent(store, looks) == [2, 3]
    assert await spent(store, looks) == [2, 3]


async def test_hits_of_one_request_are_done_in_order(store: CounterStore) -> None:
    window, tokens = counter("ann"), bucket("ann", burst=2)
    hits = [Hit(window, 1), Hit(tokens, 2), Hit(window, 0), Hit(tokens, 1), Hit(window, 4)]
    assert await spent(store, hits) == [1, 2, 1, 3, 5]
    assert await spent(store, [Hit(tokens, 0)]) == [2]


async def test_the_same_window_may_begin_twice_in_one_request(store: CounterStore) -> None:
    ann = counter("ann")
    assert await spent(store, [Hit(ann, 2), Hit(ann, 3)]) == [2, 5]


async def test_a_bucket_is_spent_and_refills(store: CounterStore) -> None:
    tokens = bucket("ann", requests=10, burst=3)
    assert await spent(store, [Hit(tokens, 3)]) == [3]
    assert await spent(store, [Hit(tokens, 1)]) == [4]  # refused, and nothing is taken
    assert await spent(store, [Hit(tokens, 1)], NOW_US + US // 20) == [3.5]
    assert await spent(store, [Hit(tokens, 1)], NOW_US + US // 10) == [3]
    assert await spent(store, [Hit(tokens, 0)], NOW_US + 10 * US) == [0]


async def test_a_clock_that_steps_back_returns_no_tokens(store: CounterStore) -> None:
    tokens = bucket("ann", burst=3)
    await spent(store, [Hit(tokens, 2)])
    assert await spent(store, [Hit(tokens, 1)], NOW_US - 3_600 * US) == [3]
    assert await spent(store, [Hit(tokens, 1)], NOW_US - 1) == [4]
    assert await spent(store, [Hit(tokens, 0)]) == [3]


async def test_largest_numbers(store: CounterStore) -> None:
    window = counter("ann", LARGEST, Unit.YEAR)
    tokens = bucket("ann", 1, Unit.YEAR, LARGEST)
    hits = [Hit(window, 2**32), Hit(tokens, LARGEST), Hit(tokens, 2**32)]
    assert await spent(store, hits) == [2**32, LARGEST, LARGEST + 2**32]
    assert await spent(store, hits[:1]) == [2**33]


@pytest.mark.parametrize(
    ("requests", "unit", "elapsed_us"),
    [
        (3, Unit.SECOND, 1),
        (7, Unit.SECOND, 333_333),
        # Here time times rate is beyond 2^53 and has to be rounded before it is divided.
        (997_188_872, Unit.MONTH, 1_514_035_120_682),
        (4_090_816_274, Unit.DAY, 61_646_843_131),
        (2_576_358_405, Unit.YEAR, 8_077_994_116_101),
    ],
)
async def test_fractions_are_those_of_the_specification(
    store: CounterStore, requests: int, unit: Unit, elapsed_us: int
) -> None:
    tokens, memory = bucket("ann", requests, unit, LARGEST), MemoryStore()
    for now_us in (NOW_US, NOW_US + elapsed_us):
        hits = [Hit(tokens, LARGEST), Hit(tokens, 0), Hit(tokens, 1)]
        assert await spent(store, hits, now_us) == memory.hit(hits, now_us)


@pytest.mark.parametrize("unit", Unit)
async def test_every_unit_has_its_counter(store: CounterStore, unit: Unit) -> None:
    window, tokens = counter("ann", 10, unit), bucket("ann", 10, unit)
    assert await spent(store, [Hit(window, 1), Hit(tokens, 2)]) == [1, 2]
