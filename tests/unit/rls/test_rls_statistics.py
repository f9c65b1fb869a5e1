"""What the metrics say."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from rls.counters.address import StoreAddress
from rls.counters.link import Link
from rls.limits import Answer, Code, DescriptorStatus, RateLimit, Unit
from rls.statistics import Statistics
from serving.health import Health

LIMIT = RateLimit(5, Unit.MINUTE, path="edge.user")
OK = DescriptorStatus(Code.OK, LIMIT)
OVER = DescriptorStatus(Code.OVER_LIMIT, LIMIT)
NONE = DescriptorStatus(Code.OK)


def shown(statistics: Statistics) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(statistics)
    lines = generate_latest(registry).decode().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def test_every_series_of_requests_is_there_from_the_start() -> None:
    assert shown(Statistics()) == {
        'tollhouse_rls_requests_total{code="ok"}': 0,
        'tollhouse_rls_requests_total{code="over_limit"}': 0,
        'tollhouse_rls_requests_total{code="error"}': 0,
    }


def test_requests_and_decisions_are_counted() -> None:
    statistics = Statistics()
    statistics.count(Answer(Code.OK, (OK, NONE)))
    statistics.count(Answer(Code.OVER_LIMIT, (OVER, OK)))
    statistics.count_error()
    assert shown(statistics) == {
        'tollhouse_rls_requests_total{code="ok"}': 1,
        'tollhouse_rls_requests_total{code="over_limit"}': 1,
        'tollhouse_rls_requests_total{code="error"}': 1,
        'tollhouse_rls_limit_decisions_total{code="ok",limit="edge.user"}': 2,
        'tollhouse_rls_limit_decisions_total{code="over_limit",limit="edge.user"}': 1,
    }


def test_a_watched_link_is_shown() -> None:
    statistics = Statistics()
    statistics.watch(
        Link(
            StoreAddress(host="localhost", port=6379),
            connect_timeout_seconds=1,
            op_timeout_seconds=1,
            scripts=[],
            health=Health("ratelimit"),
        )
    )
    store = {name: value for name, value in shown(statistics).items() if "store" in name}
    assert store == {
        "tollhouse_rls_store_up": 0,
        "tollhouse_rls_store_commands_total": 0,
        "tollhouse_rls_store_writes_total": 0,
        "tollhouse_rls_store_connections_total": 0,
    }
