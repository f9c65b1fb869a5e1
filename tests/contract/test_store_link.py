"""How a link comes up, stays up and says why it is not; on a real Valkey where one can be had."""

import asyncio
from typing import Any

import pytest

from rls.counter_key import counter_key
from rls.counters import Counter, Hit, StoreUnavailable
from rls.counters.address import StoreAddress, store_address
from rls.counters.link import PROBE, Link
from rls.counters.valkey import SCRIPT, SCRIPT_SHA, ValkeyStore
from rls.limits import Entry, RateLimit, Unit
from serving.health import Health

SECRET = "open-sesame"
NOW_US = 1_700_000_000_000_000
LIMIT = RateLimit(10, Unit.MINUTE)
HIT = Hit(Counter(counter_key("edge", [Entry("user", "ann")], LIMIT), LIMIT), 1)


def at(server: Any, **more: Any) -> StoreAddress:
    return StoreAddress(host=server.host, port=server.port, **more)


async def counted(link: Link) -> float:
    [spent] = await ValkeyStore(link).hit([HIT], NOW_US)
    return spent


def reason(health: Health) -> str:
    state = health.components["store"]
    assert state.advisory  # Envoy's failure mode decides, not the loss of an endpoint
    return "" if state.ready else state.reason


async def test_it_says_when_it_is_up(valkey: Any, link_to: Any) -> None:
    health = Health("ratelimit")
    async with link_to(at(valkey), health=health) as link:
        assert (link.up, link.generation, reason(health)) == (True, 1, "")
        assert await counted(link) == 1
    assert (link.up, reason(health)) == (False, "")  # a stop is no trouble to warn of


async def test_a_unix_socket(valkey: Any, link_to: Any) -> None:
    path = valkey.connection_kwargs["unix_socket_path"]
    async with link_to(StoreAddress(unix_path=path)) as link:
        assert await counted(link) == 1


@pytest.fixture
def guarded(new_valkey: Any, admin: Any) -> Any:
    """A Valkey with a password, and a user `rls` that may do only what the service needs."""
    server = new_valkey()
    with admin(server) as client:
        rights = "~rl1:* +incrby +set +get +expire +evalsha +eval +select +script|load"
        client.execute_command("ACL", "SETUSER", "rls", "on", f">{SECRET}", *rights.split())
        client.execute_command("ACL", "SETUSER", "open", "on", "nopass", *rights.split())
        client.config_set("requirepass", SECRET)
    return server


@pytest.mark.parametrize(
    ("url", "auth"),
    [
        ("{host}:{port}", SECRET),
        ("{host}:{port}", f"rls:{SECRET}"),
        ("redis://rls:" + SECRET + "@{host}:{port}/0", ""),
        ("redis://:" + SECRET + "@{host}:{port}/1", ""),
        ("{host}:{port}", "open:"),
    ],
)
async def test_password_and_user(guarded: Any, link_to: Any, url: str, auth: str) -> None:
    address = store_address("tcp", url.format(host=guarded.host, port=guarded.port), auth)
    async with link_to(address) as link:
        assert await counted(link) == 1


@pytest.mark.parametrize(
    ("auth", "code"),
    [
        ("", "NOAUTH"),
        (f"{SECRET}-wrong", "WRONGPASS"),
        (f"nobody:{SECRET}", "WRONGPASS"),
    ],
)
async def test_a_wrong_password_is_the_reason_and_is_not_shown(
    guarded: Any, link_to: Any, until: Any, capsys: Any, auth: str, code: str
) -> None:
    health = Health("ratelimit")
    address = store_address("tcp", f"{guarded.host}:{guarded.port}", auth)
    async with link_to(address, health=health, up=False) as link:
        await until(lambda: code in reason(health))
        assert not link.up
        assert reason(health).startswith(f"counter store away: {guarded.host}:{guarded.port}: ")
        with pytest.raises(StoreUnavailable, match=code) as refused:
            await counted(link)
    assert SECRET not in reason(health) + str(refused.value) + "".join(capsys.readouterr())


async def test_a_server_that_quotes_the_password_is_not_quoted(
    new_valkey: Any, link_to: Any, until: Any, capsys: Any
) -> None:
    server, health = new_valkey(rename_command="AUTH LOGIN"), Health("ratelimit")
    async with link_to(at(server, password=SECRET), health=health, up=False):
        await until(lambda: "unknown command 'AUTH'" in reason(health))
    assert "***" in reason(health)
    assert SECRET not in reason(health) + "".join(capsys.readouterr())


async def test_a_database_that_is_not_there_is_the_reason(
    valkey: Any, link_to: Any, until: Any
) -> None:
    health = Health("ratelimit")
    async with link_to(at(valkey, database=99), health=health, up=False):
        await until(lambda: "DB index is out of range" in reason(health))


async def test_a_user_without_rights_is_the_reason(
    guarded: Any, link_to: Any, until: Any, admin: Any
) -> None:
    health = Health("ratelimit")
    with admin(guarded, password=SECRET) as client:
        client.execute_command("ACL", "SETUSER", "rls", "-set")
    async with link_to(at(guarded, username="rls", password=SECRET), health=health, up=False):
        await until(lambda: "NOPERM" in reason(health))


async def test_a_read_only_replica_is_no_store_until_it_is_promoted(
    new_valkey: Any, link_to: Any, until: Any, admin: Any
) -> None:
    server, health = new_valkey(), Health("ratelimit")
    with admin(server) as client:
        client.execute_command("REPLICAOF", server.host, server.port)  # of itself: never in sync
        async with link_to(at(server), health=health, up=False) as link:
            await until(lambda: "READONLY" in reason(health))
            client.execute_command("REPLICAOF", "NO", "ONE")
            await until(lambda: link.up)
            assert await counted(link) == 1
            client.execute_command("REPLICAOF", server.host, server.port)
            with pytest.raises(StoreUnavailable, match="READONLY"):
                await counted(link)
            assert not link.up
            await until(lambda: reason(health).endswith("a read only replica."))


async def test_a_full_store_is_no_store_until_there_is_room(
    new_valkey: Any, link_to: Any, until: Any, admin: Any
) -> None:
    server, health = new_valkey(), Health("ratelimit")
    with admin(server) as client:
        async with link_to(at(server), health=health) as link:
            client.config_set("maxmemory", "1")
            with pytest.raises(StoreUnavailable, match="OOM"):
                await counted(link)
            assert not link.up
            await until(lambda: "OOM" in reason(health))
            client.config_set("maxmemory", "0")
            await until(lambda: link.up)
            assert reason(health) == ""
            assert await counted(link) == 1
            assert all(client.ttl(key) > 0 for key in client.keys("*"))


async def test_it_comes_back_when_the_server_does(
    new_valkey: Any, link_to: Any, until: Any
) -> None:
    server, health = new_valkey(), Health("ratelimit")
    async with link_to(at(server), health=health) as link:
        assert await counted(link) == 1
        server.stop()
        await until(lambda: not link.up)
        await until(lambda: "Errno" in reason(health))
        with pytest.raises(StoreUnavailable, match=r"^counter store away: "):
            await counted(link)
        server.start()  # on the port that it had
        await until(lambda: link.up)
        assert (link.generation, await counted(link)) == (2, 1)


async def test_what_was_under_way_fails_when_the_connection_goes(
    new_valkey: Any, link_to: Any, admin: Any
) -> None:
    server = new_valkey()
    async with link_to(at(server)) as link:
        with admin(server) as client:
            client.execute_command("CLIENT", "PAUSE", "20000")
        waiting = [asyncio.ensure_future(counted(link)) for _ in range(3)]
        await asyncio.sleep(0)
        server.terminate()
        for each in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(each, StoreUnavailable)


async def test_a_link_that_is_down_drops_what_it_is_told(valkey: Any, link_to: Any) -> None:
    async with link_to(at(valkey)) as link:
        pass
    link.tell(PROBE)
    link.refused("OOM")
    assert (link.up, link.commands) == (False, 0)


async def test_writes_are_counted_over_all_connections(
    valkey: Any, link_to: Any, until: Any, admin: Any
) -> None:
    async with link_to(at(valkey)) as link:
        greeting = link.writes
        await counted(link)
        assert link.writes == greeting + 1
        with admin(valkey) as client:
            client.client_kill_filter(_type="normal", skipme=True)
        await until(lambda: link.generation == 2)
        assert link.writes == 2 * greeting + 1


async def test_the_server_knows_the_script_by_the_name_we_call_it(valkey: Any, admin: Any) -> None:
    with admin(valkey) as client:
        assert client.script_load(SCRIPT) == SCRIPT_SHA.decode()
