"""From start to exit: reloads of the limits file while it serves, and the drain."""

import os
import signal
from typing import Any

import pytest

from deploy.local.processes import NotStarted

ONE_A_DAY = """
domain: shop
descriptors: [{key: user, rate_limit: {unit: day, requests_per_unit: 1}}]
"""
BROKEN = """
domain: shop
descriptors: [{key: user, rate_limit: {unit: days, requests_per_unit: 1}}]
"""
LOADED = 'tollhouse_config_loads_total{kind="limits",result="ok"}'
REFUSED = 'tollhouse_config_loads_total{kind="limits",result="error"}'


def test_a_broken_file_keeps_the_last_good_limits(start_rls: Any) -> None:
    rls = start_rls(ONE_A_DAY)
    file = rls.limits / "shop.yaml"
    assert [rls.ask(user="ann") for _ in range(2)] == ["OK", "OVER_LIMIT"]
    assert (rls.metric(LOADED), rls.metric(REFUSED)) == (1, 0)

    file.write_text(BROKEN)
    rls.until(lambda: rls.metric(REFUSED) == 1)
    assert f"{file}:3:40: descriptors[0].rate_limit.unit: found 'days'" in rls.logged()
    assert [rls.ask(user="bob") for _ in range(2)] == ["OK", "OVER_LIMIT"]
    assert rls.ready() == (200, {})

    file.write_text(ONE_A_DAY.replace("requests_per_unit: 1", "requests_per_unit: 3"))
    rls.until(lambda: rls.metric(LOADED) == 2)
    assert rls.ask(user="ann") == "OK"  # the counter went on, the limit is another


def test_without_a_good_file_it_is_not_ready_until_there_is_one(start_rls: Any) -> None:
    rls = start_rls(BROKEN)
    assert rls.ready() == (503, {"limits": "no good configuration yet"})
    assert rls.health() == "NOT_SERVING"
    assert rls.ask(user="ann") == "UNAVAILABLE: no rate limit configuration loaded"
    (rls.limits / "shop.yaml").write_text(ONE_A_DAY)
    rls.until(lambda: rls.ready() == (200, {}))
    assert rls.health() == "SERVING"
    assert rls.ask(user="ann") == "OK"


def test_without_any_file_nothing_is_limited_and_the_log_warns(start_rls: Any) -> None:
    rls = start_rls(ONE_A_DAY)
    (rls.limits / "shop.yaml").unlink()
    rls.until(lambda: rls.metric(LOADED) == 2)
    assert "no limits file found: nothing is limited" in rls.logged()
    assert [rls.ask(user="ann") for _ in range(3)] == ["OK"] * 3


def test_sigterm_drains_and_ends_with_0(start_rls: Any) -> None:
    rls = start_rls(ONE_A_DAY, DRAIN_DELAY="500ms")
    assert rls.ask(user="ann") == "OK"
    os.kill(rls.process.pid, signal.SIGTERM)
    rls.until(lambda: rls.ready() == (503, {"drain": "draining"}))
    assert rls.health() == "NOT_SERVING"
    assert rls.ask(user="ann") == "OVER_LIMIT"  # proxies that have not heard of it yet still call
    with pytest.raises(NotStarted, match=r"^rls ended with 0\n"):
        rls.until(lambda: False)
    assert "event='drained'" in rls.logged()


def test_every_decision_is_in_the_metrics(start_rls: Any) -> None:
    rls = start_rls(ONE_A_DAY)
    for expected in ("OK", "OVER_LIMIT", "OVER_LIMIT"):
        assert rls.ask(user="ann") == expected
    assert rls.metric('tollhouse_rls_requests_total{code="over_limit"}') == 2
    assert rls.metric('tollhouse_rls_limit_decisions_total{code="ok",limit="shop.user"}') == 1
