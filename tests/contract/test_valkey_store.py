"""What only the Valkey store does, on a real Valkey: TTLs, lost scripts and keys, batching."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from rls.counter_key import counter_key, window_key
from rls.counters import Counter, Hit, Spent, StoreUnavailable
from rls.counters.address import StoreAddress
from rls.counters.link import Link
from rls.counters.valkey import FULL, MAX_BEGUN, MAX_BEGUN_BYTES, ValkeyStore
from rls.limits import Algorithm, Entry, RateLimit, Unit
from rls.window import SLACK_SECONDS, US, window_start_seconds

NOW_US = 1_700_000_000 * US
MINUTE_START = 1_699_999_980


def window(name: str, unit: Unit = Unit.MINUTE) -> Hit:
    limit = RateLimit(10, unit)
    return Hit(Counter(counter_key("edge", [Entry("name", name)], limit), limit), 1)


def bucket(name: str, requests: int = 1, unit: Unit = Unit.SECOND, burst: int = 10) -> Hit:
    limit = RateLimit(requests, unit, Algorithm.TOKEN_BUCKET, burst)
    return Hit(Counter(counter_key("edge", [Entry("name", name)], limit), limit), 1)


def key(hit: Hit) -> bytes:
    return window_key(hit.counter.key, MINUTE_START)


class Stored(NamedTuple):
    """A store, its link, and the operator's hand on the server behind."""

    store: ValkeyStore
    link: Link
    client: Any

    def ttls(self) -> dict[bytes, int]:
        return {key: self.client.ttl(key) for key in self.client.keys("*")}


@pytest.fixture
async def stored(valkey: Any, link_to: Any, admin: Any) -> AsyncIterator[Stored]:
    with admin(valkey) as client:
        async with link_to(StoreAddress(host=valkey.host, port=valkey.port)) as link:
            yield Stored(ValkeyStore(link), link, client)


@pytest.mark.parametrize("unit", Unit)
async def test_every_key_has_a_ttl(stored: Stored, unit: Unit) -> None:
    ann, spent = window("ann", unit), bucket("ann", 3, unit, 7)._replace(addend=7)
    await stored.store.hit([ann, ann, spent], NOW_US)
    start = window_start_seconds(NOW_US, unit.seconds)
    full_seconds = 7 / 3 * unit.seconds
    expected = {
        window_key(ann.counter.key, start): unit.seconds + SLACK_SECONDS,
        spent.counter.key: full_seconds + SLACK_SECONDS,
    }
    assert stored.ttls() == pytest.approx(expected, abs=2)


async def test_the_slowest_bucket_has_a_ttl_that_the_server_takes(stored: Stored) -> None:
    spent = bucket("ann", 1, Unit.YEAR, 2**32 - 1)._replace(addend=2**32 - 1)
    assert await stored.store.hit([spent], NOW_US) == [2**32 - 1]
    [ttl] = stored.ttls().values()
    assert ttl == pytest.approx(3.2e9, abs=2)


async def test_a_look_creates_no_key(stored: Stored) -> None:
    looks = [window("ann")._replace(addend=0), bucket("ann")._replace(addend=0)]
    assert await stored.store.hit(looks, NOW_US) == [0, 0]
    assert stored.client.dbsize() == 0


async def test_a_refused_bucket_creates_no_key(stored: Stored) -> None:
    assert await stored.store.hit([bucket("ann")._replace(addend=11)], NOW_US) == [11]
    assert stored.client.dbsize() == 0


async def test_the_greeting_creates_no_key(stored: Stored) -> None:
    assert stored.link.up
    assert stored.client.dbsize() == 0


async def test_a_lost_script_is_mended_in_one_more_write(stored: Stored) -> None:
    stored.client.script_flush()
    writes = stored.link.writes
    hits = [bucket("ann"), window("ann"), bucket("bob"), bucket("ann")]
    assert await stored.store.hit(hits, NOW_US) == [1, 1, 1, 2]
    assert stored.link.writes == writes + 2
    assert await stored.store.hit(hits, NOW_US) == [3, 2, 2, 4]
    assert stored.link.writes == writes + 3


async def test_a_flush_starts_every_counter_afresh_with_a_ttl(stored: Stored, until: Any) -> None:
    hits = [window("ann"), bucket("ann")]
    await stored.store.hit(hits, NOW_US)
    stored.client.flushall()
    assert await stored.store.hit(hits, NOW_US) == [1, 1]
    await until(lambda: all(ttl > 0 for ttl in stored.ttls().values()))
    assert len(stored.ttls()) == 2


async def test_a_key_that_comes_back_has_a_ttl_even_if_its_caller_left(
    stored: Stored, until: Any
) -> None:
    ann = window("ann")
    await stored.store.hit([ann], NOW_US)
    stored.client.delete(key(ann))
    leaving = asyncio.ensure_future(stored.store.hit([ann], NOW_US))
    await asyncio.sleep(0)
    leaving.cancel()
    await until(lambda: stored.client.get(key(ann)) == b"1")
    await until(lambda: stored.client.ttl(key(ann)) > 0)


async def test_a_window_whose_set_was_refused_has_a_ttl(
    new_valkey: Any, link_to: Any, admin: Any, until: Any
) -> None:
    server, ann = new_valkey(), window("ann")
    async with link_to(StoreAddress(host=server.host, port=server.port)) as link:
        with admin(server) as client:
            client.execute_command("ACL", "SETUSER", "default", "-set")
            with pytest.raises(StoreUnavailable, match="NOPERM"):
                await ValkeyStore(link).hit([ann], NOW_US)
            assert client.get(key(ann)) == b"1"
            await until(lambda: client.ttl(key(ann)) > 0)


async def test_a_window_refused_while_the_store_hangs_has_a_ttl_later(
    new_valkey: Any, link_to: Any, admin: Any, until: Any
) -> None:
    server = new_valkey()
    address = StoreAddress(host=server.host, port=server.port)
    with admin(server) as client:
        async with link_to(address, op_timeout_seconds=0.05) as link:
            store = ValkeyStore(link)
            assert await store.hit([window("ann")], NOW_US) == [1]
            pid = client.info("server")["process_id"]
            os.kill(pid, signal.SIGSTOP)
            try:
                with pytest.raises(StoreUnavailable, match=r"^counter store did not answer"):
                    await store.hit([window("ann"), window("bob")], NOW_US)
                with pytest.raises(StoreUnavailable, match=r"^counter store does not answer"):
                    await store.hit([window("carl")], NOW_US)
            finally:
                os.kill(pid, signal.SIGCONT)
            await until(lambda: client.get(key(window("bob"))) == b"1")  # charged when it woke
            hits = [window(name) for name in ("ann", "bob", "carl")]
            assert await patiently(store, hits) == [3, 2, 1]
            assert await store.hit(hits, NOW_US) == [4, 3, 2]
            # Carl's window was not taken for begun, so nothing had to be mended.
            assert "cmdstat_expire" not in client.info("commandstats")
            assert link.generation == 1
        assert all(client.ttl(each) > 0 for each in client.keys("*"))


async def patiently(store: ValkeyStore, hits: list[Hit]) -> Spent:
    async with asyncio.timeout(10):
        while True:
            try:
                return await store.hit(hits, NOW_US)
            except StoreUnavailable:
                await asyncio.sleep(0.001)


async def test_a_window_begins_once_a_connection(stored: Stored, until: Any) -> None:
    async def commands_for(hit: Hit, now_us: int = NOW_US) -> int:
        before = stored.link.commands
        await stored.store.hit([hit], now_us)
        return stored.link.commands - before

    assert await commands_for(window("ann")) == 2  # SET NX, INCRBY
    assert await commands_for(window("ann")) == 1
    assert await commands_for(window("ann"), NOW_US + 60 * US) == 2
    generation = stored.link.generation
    stored.client.client_kill_filter(_type="normal", skipme=True)
    await until(lambda: stored.link.generation > generation)
    assert await commands_for(window("ann"), NOW_US + 60 * US) == 2


async def test_no_more_windows_are_remembered_than_said(stored: Stored) -> None:
    await stored.store.hit([window("ann")], NOW_US)
    await stored.store.hit([window(str(number)) for number in range(MAX_BEGUN)], NOW_US)
    before = stored.link.commands
    assert await stored.store.hit([window("ann")], NOW_US) == [2]
    assert stored.link.commands == before + 2


async def test_a_long_key_is_not_remembered(stored: Stored) -> None:
    long = window("x" * MAX_BEGUN_BYTES)
    for number in (1, 2):
        before = stored.link.commands
        assert await stored.store.hit([long], NOW_US) == [number]
        assert stored.link.commands == before + 2


async def test_many_hits_of_one_turn_leave_in_one_write(stored: Stored) -> None:
    writes = stored.link.writes
    waiting = [stored.store.hit([window("ann"), bucket("ann")], NOW_US) for _ in range(200)]
    spent = await asyncio.gather(*waiting)
    assert [counted[0] for counted in spent] == list(range(1, 201))
    assert stored.link.writes == writes + 1


async def test_four_stores_at_once_lose_no_hit(valkey: Any, link_to: Any, stored: Stored) -> None:
    address = StoreAddress(host=valkey.host, port=valkey.port)
    async with link_to(address) as a, link_to(address) as b, link_to(address) as c:
        stores = [ValkeyStore(link) for link in (stored.link, a, b, c)]

        async def run(store: ValkeyStore) -> list[tuple[float, ...]]:
            rounds = [
                await asyncio.gather(
                    *(
                        store.hit([window("ann"), bucket("ann", burst=700)], NOW_US)
                        for _ in range(25)
                    )
                )
                for _ in range(10)
            ]
            return [tuple(spent) for answers in rounds for spent in answers]

        answers = [spent for each in await asyncio.gather(*map(run, stores)) for spent in each]
    assert sorted(of_window for of_window, _ in answers) == list(range(1, 1001))
    admitted = sorted(of_bucket for _, of_bucket in answers if of_bucket <= 700)
    assert admitted == list(range(1, 701))


async def test_a_caller_that_leaves_takes_nobody_elses_reply(stored: Stored) -> None:
    names = [str(number) for number in range(30)]
    for turn in (1, 2):
        waiting = [
            asyncio.ensure_future(stored.store.hit([window(name), bucket(name)], NOW_US))
            for name in names
        ]
        await asyncio.sleep(0)
        for leaving in waiting[::3]:
            leaving.cancel()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        stayed = [answer for at, answer in enumerate(answers) if at % 3]
        assert stayed == [[turn, turn]] * 20
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::3])
    assert await stored.store.hit([window(name) for name in names], NOW_US) == [3] * 30


async def test_a_full_counter_stays_over(stored: Stored) -> None:
    ann, bob = window("ann"), window("bob")
    stored.client.set(key(ann), 2**63 - 1, ex=60)
    assert await stored.store.hit([ann, bob], NOW_US) == [FULL, 1]
    assert await stored.store.hit([ann], NOW_US) == [FULL]


async def test_a_key_of_another_kind_fails_its_request_alone(stored: Stored) -> None:
    ann, bob = window("ann"), window("bob")
    stored.client.lpush(key(ann), "x")
    stored.client.expire(key(ann), 60)
    failing, passing = stored.store.hit([ann], NOW_US), stored.store.hit([bob], NOW_US)
    with pytest.raises(StoreUnavailable, match=r"^counter store refused: WRONGTYPE"):
        await failing
    assert await passing == [1]
    assert stored.link.up


async def test_the_database_of_the_address_is_used(valkey: Any, link_to: Any, admin: Any) -> None:
    async with link_to(StoreAddress(host=valkey.host, port=valkey.port, database=3)) as link:
        await ValkeyStore(link).hit([window("ann")], NOW_US)
    with admin(valkey, db=3) as third, admin(valkey) as first:
        assert (third.dbsize(), first.dbsize()) == (1, 0)
