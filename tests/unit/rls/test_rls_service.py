"""One request's journey; what it answers to which request is in tests/cases/rls."""

import pytest

from protos.common_ratelimit_v3_pb2 import RateLimitDescriptor
from protos.service_ratelimit_v3_pb2 import RateLimitRequest, RateLimitResponse
from rls.counters import StoreUnavailable
from rls.counters.address import StoreAddress
from rls.counters.link import Link
from rls.counters.memory import MemoryStore
from rls.counters.valkey import ValkeyStore
from rls.limits import Level, Limits, Node, RateLimit, Unit
from rls.service import RateLimitService
from rls.statistics import Statistics
from serving.call import Call, InvalidArgument, Status, Unavailable
from serving.health import Health

CALL = Call((), None, "test")
NOBODY = RateLimitRequest(
    domain="edge", descriptors=[RateLimitDescriptor(entries=[{"key": "path", "value": "/"}])]
).SerializeToString()
ANN = RateLimitRequest(
    domain="edge", descriptors=[RateLimitDescriptor(entries=[{"key": "user", "value": "ann"}])]
).SerializeToString()


def counted(statistics: Statistics) -> dict[str, float]:
    requests = next(iter(statistics.collect()))
    return {sample.labels["code"]: sample.value for sample in requests.samples if sample.value}


def limits(requests: int) -> Limits:
    limit = RateLimit(requests, Unit.MINUTE, path="edge.user")
    return {"edge": Level({}, (), {"user": Node(limit, None)})}


def away() -> ValkeyStore:
    """A store that nobody connected."""
    return ValkeyStore(
        Link(
            StoreAddress(host="localhost", port=6379),
            connect_timeout_seconds=1,
            op_timeout_seconds=1,
            scripts=[],
            health=Health("ratelimit"),
        )
    )


def code(answer: object) -> int:
    assert isinstance(answer, bytes)
    return RateLimitResponse.FromString(answer).overall_code


def test_it_is_mounted_where_envoy_calls() -> None:
    service = RateLimitService(MemoryStore(), lambda: 0, Statistics())
    assert service.methods() == {
        "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit": service.should_rate_limit
    }


def test_the_clock_is_read_for_each_request() -> None:
    times = iter([0, 59_999_999, 60_000_000])
    service = RateLimitService(MemoryStore(), lambda: next(times), Statistics())
    service.publish(limits(1))
    codes = [code(service.should_rate_limit(ANN, CALL)) for _ in range(3)]
    assert codes == [RateLimitResponse.OK, RateLimitResponse.OVER_LIMIT, RateLimitResponse.OK]


def test_new_limits_count_on_where_the_old_ones_were() -> None:
    service = RateLimitService(MemoryStore(), lambda: 0, Statistics())
    service.publish(limits(1))
    assert code(service.should_rate_limit(ANN, CALL)) == RateLimitResponse.OK
    assert code(service.should_rate_limit(ANN, CALL)) == RateLimitResponse.OVER_LIMIT
    service.publish(limits(3))
    assert code(service.should_rate_limit(ANN, CALL)) == RateLimitResponse.OK
    service.publish({})
    assert code(service.should_rate_limit(ANN, CALL)) == RateLimitResponse.OK


def test_without_limits_it_is_unavailable() -> None:
    statistics = Statistics()
    service = RateLimitService(MemoryStore(), lambda: 0, statistics)
    with pytest.raises(Unavailable, match=r"^no rate limit configuration loaded$"):
        service.should_rate_limit(ANN, CALL)
    assert counted(statistics) == {"error": 1}


def test_what_cannot_be_answered_is_an_error() -> None:
    statistics = Statistics()
    service = RateLimitService(MemoryStore(), lambda: 0, statistics)
    service.publish(limits(1))
    with pytest.raises(InvalidArgument):
        service.should_rate_limit(b"", CALL)
    assert counted(statistics) == {"error": 1}


def test_without_its_store_it_is_unavailable_where_a_counter_is_needed() -> None:
    statistics = Statistics()
    service = RateLimitService(away(), lambda: 0, statistics)
    service.publish(limits(1))
    with pytest.raises(
        StoreUnavailable, match=r"^counter store away: not connected yet$"
    ) as refused:
        service.should_rate_limit(ANN, CALL)
    assert refused.value.status is Status.UNAVAILABLE
    assert code(service.should_rate_limit(NOBODY, CALL)) == RateLimitResponse.OK
    assert counted(statistics) == {"error": 1, "ok": 1}


def test_every_answer_is_counted() -> None:
    statistics = Statistics()
    service = RateLimitService(MemoryStore(), lambda: 0, statistics)
    service.publish(limits(1))
    for _ in range(2):
        service.should_rate_limit(ANN, CALL)
    assert counted(statistics) == {"ok": 1, "over_limit": 1}
