"""
The service and a real Valkey that is away, gone, hung, full or read-only.

Each time the log, /readyz and /metrics say so, the callers get UNAVAILABLE quickly, and all of it
is over when the trouble is: nobody restarts anything.
"""

import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from deploy.local.ports import reserved
from deploy.local.processes import NotStarted

LIMITS = """
domain: shop
descriptors:
  - {key: user, rate_limit: {unit: day, requests_per_unit: 1000000}}
  - key: plan
    rate_limit: {unit: second, requests_per_unit: 1000000, algorithm: token_bucket}
"""
UP = "tollhouse_rls_store_up"
ERRORS = 'tollhouse_rls_requests_total{code="error"}'
OP_TIMEOUT = "250ms"  # the machine that runs the tests is not the one that counts milliseconds
QUICKLY_SECONDS = 0.010


def says_it_is_down(rls: Any, reason: str) -> Callable[[], bool]:
    def asked() -> bool:
        status, reasons = rls.ready()
        return status == 503 and reason in reasons.get("store", "") and rls.metric(UP) == 0

    return asked


def says_it_is_up(rls: Any) -> bool:
    return rls.ready() == (200, {}) and rls.metric(UP) == 1


def is_unavailable_quickly(rls: Any, reason: str) -> None:
    seconds, errors = [], rls.metric(ERRORS)
    for _ in range(21):
        began = time.monotonic()
        answer = rls.ask(user="ann")
        seconds.append(time.monotonic() - began)
        assert answer.startswith("UNAVAILABLE: counter store ")
        assert reason in answer
    assert statistics.median(seconds) < QUICKLY_SECONDS
    assert rls.metric(ERRORS) == errors + 21
    assert rls.ask(path="/") == "OK"  # no counter is needed
    assert rls.health() == "SERVING"  # else Envoy would look for another one, and find none


def counts(rls: Any) -> None:
    assert [rls.ask(user="ann"), rls.ask(plan="free")] == ["OK", "OK"]


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_store_that_comes_later(start_rls: Any, new_valkey: Any) -> None:
    with reserved(1) as (port,):
        rls = start_rls(LIMITS, port, REDIS_OP_TIMEOUT=OP_TIMEOUT)
        rls.until(says_it_is_down(rls, f"127.0.0.1:{port}"))
        is_unavailable_quickly(rls, f"counter store away: 127.0.0.1:{port}")
        assert rls.logged().count("cannot reach the counter store") == 1  # not at every attempt
        new_valkey(port=port)
        rls.until(lambda: says_it_is_up(rls))
        counts(rls)
    assert rls.metric("tollhouse_rls_store_connections_total") == 1
    assert rls.logged().count("component='store'") == 2  # not ready, ready


def test_a_store_that_goes_and_comes_back(start_rls: Any, new_valkey: Any) -> None:
    valkey = new_valkey()
    rls = start_rls(LIMITS, valkey.port, REDIS_OP_TIMEOUT=OP_TIMEOUT)
    for time_around in (1, 2):
        rls.until(lambda: says_it_is_up(rls))
        counts(rls)
        assert rls.metric("tollhouse_rls_store_connections_total") == time_around
        valkey.stop()
        rls.until(says_it_is_down(rls, "counter store away: "))
        is_unavailable_quickly(rls, "counter store away: ")
        assert rls.logged().count("connection to the counter store lost") == time_around
        valkey.start()  # on the port that it had
    rls.until(lambda: says_it_is_up(rls))
    counts(rls)


def test_a_store_that_hangs(start_rls: Any, new_valkey: Any, admin: Any) -> None:
    valkey = new_valkey()
    rls = start_rls(LIMITS, valkey.port, REDIS_OP_TIMEOUT=OP_TIMEOUT)
    rls.until(lambda: says_it_is_up(rls))
    counts(rls)
    with admin(valkey) as client:
        pid = client.info("server")["process_id"]
    with stopped(pid):
        began = time.monotonic()
        answer = rls.ask(user="ann")
        seconds = time.monotonic() - began
        assert answer == "UNAVAILABLE: counter store did not answer in time"
        assert 0.2 < seconds < 2
        is_unavailable_quickly(rls, "counter store ")
        rls.until(says_it_is_down(rls, "counter store away: "))
        assert "counter store stopped answering" in rls.logged()
        is_unavailable_quickly(rls, "counter store away: ")
    rls.until(lambda: says_it_is_up(rls))
    counts(rls)


def test_a_store_that_hangs_for_a_moment(start_rls: Any, new_valkey: Any, admin: Any) -> None:
    """Too late for one time-out, and back before it is given up: the connection stays."""
    valkey = new_valkey()
    rls = start_rls(LIMITS, valkey.port, REDIS_OP_TIMEOUT=OP_TIMEOUT)
    rls.until(lambda: says_it_is_up(rls))
    with admin(valkey) as client:
        pid = client.info("server")["process_id"]
    with stopped(pid):
        assert rls.ask(user="ann") == "UNAVAILABLE: counter store did not answer in time"
    rls.until(lambda: rls.ask(user="ann") == "OK")
    assert rls.metric("tollhouse_rls_store_connections_total") == 1
    with admin(valkey) as client:
        [window] = client.keys("*")
        assert client.ttl(window) > 0


@pytest.mark.parametrize(
    ("trouble", "cure", "reason"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OOM"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "READONLY"),
    ],
)
def test_a_store_that_refuses_to_count(
    start_rls: Any, new_valkey: Any, admin: Any, trouble: str, cure: str, reason: str
) -> None:
    valkey = new_valkey(maxmemory_policy="noeviction")
    rls = start_rls(LIMITS, valkey.port, REDIS_OP_TIMEOUT=OP_TIMEOUT)
    rls.until(lambda: says_it_is_up(rls))
    with admin(valkey) as client:
        client.execute_command(*trouble.split())
        assert rls.ask(user="ann").startswith(f"UNAVAILABLE: counter store refused: {reason}")
        rls.until(says_it_is_down(rls, reason))
        is_unavailable_quickly(rls, reason)
        assert reason in rls.logged()
        client.execute_command(*cure.split())
        rls.until(lambda: says_it_is_up(rls))
        counts(rls)
        assert all(client.ttl(key) > 0 for key in client.keys("*"))


def test_a_wrong_password_is_said_and_not_shown(
    start_rls: Any, new_valkey: Any, admin: Any
) -> None:
    valkey = new_valkey()
    with admin(valkey) as client:
        client.config_set("requirepass", "open-sesame")
    rls = start_rls(LIMITS, valkey.port, REDIS_AUTH="wrong-sesame")
    rls.until(says_it_is_down(rls, "WRONGPASS"))
    assert "WRONGPASS" in rls.ask(user="ann")
    assert "WRONGPASS" in rls.logged()
    assert "sesame" not in rls.logged() + str(rls.ready()) + rls.ask(user="ann")


def test_a_stall_of_our_own_process_fails_no_call(start_rls: Any, new_valkey: Any) -> None:
    valkey = new_valkey()
    rls = start_rls(LIMITS, valkey.port, REDIS_OP_TIMEOUT="50ms")
    rls.until(lambda: says_it_is_up(rls))
    for _ in range(5):
        calls = [rls.asked(user="ann") for _ in range(50)]
        calls[0].result()  # the others are at the store, or on their way there
        with stopped(rls.process.pid):
            time.sleep(0.2)  # the stall that the test is about
        assert [rls.answer(call) for call in calls] == ["OK"] * 50
    assert rls.metric("tollhouse_rls_store_connections_total") == 1


def test_a_store_address_that_makes_no_sense_ends_the_start(start_rls: Any) -> None:
    with pytest.raises(NotStarted, match="rls ended with 1") as ended:
        start_rls(LIMITS, 1, REDIS_URL="secret@nowhere")
    assert "environment: REDIS_URL: does not fit REDIS_SOCKET_TYPE tcp; accepted: " in str(
        ended.value
    )
    assert "secret" not in str(ended.value)
