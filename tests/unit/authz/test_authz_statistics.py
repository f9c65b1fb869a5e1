"""What /metrics shows of verdicts and key fetches."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from authz.request import Allow, Deny, Reason
from authz.statistics import Statistics


def test_verdicts_are_counted_by_reason_and_policy() -> None:
    fetches = {"ok": 2, "failed": 1}
    statistics = Statistics(lambda: fetches)
    registry = CollectorRegistry()
    registry.register(statistics)
    for verdict in (
        Allow(policy="shop/callers"),
        Allow(policy="shop/callers"),
        Allow(),
        Deny(403, Reason.DENIED_BY_POLICY, "shop/no-admin"),
    ):
        statistics.count(verdict)
    name = "tollhouse_authz_verdicts_total"
    shop = {"verdict": "allow", "reason": "", "policy": "shop/callers"}
    assert registry.get_sample_value(name, shop) == 2
    assert registry.get_sample_value(name, {**shop, "policy": ""}) == 1
    denied = {"verdict": "deny", "reason": "denied_by_policy", "policy": "shop/no-admin"}
    assert registry.get_sample_value(name, denied) == 1
    fetched = "tollhouse_authz_key_fetches_total"
    assert registry.get_sample_value(fetched, {"result": "ok"}) == 2
    fetches["ok"] = 3
    assert registry.get_sample_value(fetched, {"result": "ok"}) == 3
    assert b"# TYPE tollhouse_authz_verdicts_total counter" in generate_latest(registry)
