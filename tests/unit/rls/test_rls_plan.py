"""What a request will do to which counters."""

import pytest

from protos.common_ratelimit_v3_pb2 import RateLimitDescriptor
from protos.service_ratelimit_v3_pb2 import RateLimitRequest
from rls.counter_key import counter_key
from rls.counters import Counter, Hit
from rls.limits import Descriptor, Entry, Level, Node, Override, RateLimit, Request, Unit
from rls.plan import MAX_PLANNED_BYTES, MAX_PLANS, Plan, Planner, make_plan
from serving.call import InvalidArgument

LIMIT = RateLimit(5, Unit.MINUTE, path="edge.user")
LIMITS = {"edge": Level({}, (), {"user": Node(LIMIT, None)})}
ANN = (Entry("user", "ann"),)


def hit(addend: int, limit: RateLimit = LIMIT) -> Hit:
    return Hit(Counter(counter_key("edge", ANN, limit), limit), addend)


def body(value: str) -> bytes:
    descriptor = RateLimitDescriptor(entries=[{"key": "user", "value": value}])
    return RateLimitRequest(domain="edge", descriptors=[descriptor]).SerializeToString()


def test_each_descriptor_has_its_limit_and_those_with_one_a_hit() -> None:
    unmatched = Descriptor((Entry("path", "/"),))
    plan = make_plan(LIMITS, Request("edge", (unmatched, Descriptor(ANN))))
    assert plan == Plan("edge", (None, LIMIT), (hit(1),))


@pytest.mark.parametrize(
    ("of_request", "of_descriptor", "counted"),
    [(0, None, 1), (3, None, 3), (3, 0, 0), (0, 7, 7), (3, 7, 7)],
)
def test_the_descriptors_addend_wins_and_0_of_the_request_is_1(
    of_request: int, of_descriptor: int | None, counted: int
) -> None:
    descriptor = Descriptor(ANN, hits_addend=of_descriptor)
    assert make_plan(LIMITS, Request("edge", (descriptor,), of_request)).hits == (hit(counted),)


def test_an_override_replaces_what_the_file_says() -> None:
    descriptor = Descriptor(ANN, Override(100, Unit.HOUR.number))
    plan = make_plan(LIMITS, Request("edge", (descriptor,)))
    override = RateLimit(100, Unit.HOUR, path="edge.override")
    assert plan == Plan("edge", (override,), (hit(1, override),))


def test_an_override_needs_a_known_unit() -> None:
    request = Request("edge", (Descriptor(ANN, Override(100, 0)),))
    with pytest.raises(InvalidArgument) as refused:
        make_plan(LIMITS, request)
    assert str(refused.value) == (
        "limit override has unknown unit 0; known: SECOND (1), MINUTE (2), HOUR (3), DAY (4), "
        "MONTH (5), YEAR (6), WEEK (7)"
    )


def test_an_unknown_domain_limits_nothing_and_asks_for_no_unit() -> None:
    request = Request("other", (Descriptor(ANN, Override(100, 0)), Descriptor(ANN)))
    assert make_plan(LIMITS, request) == Plan("other", (None, None), ())


def test_the_same_body_has_the_same_plan() -> None:
    planner = Planner(LIMITS)
    plan = planner.plan(body("ann"))
    assert plan.hits == (hit(1),)
    assert planner.plan(body("ann")) is plan
    assert planner.plan(body("bob")) != plan


def test_a_body_that_cannot_be_answered_is_refused_each_time() -> None:
    planner = Planner(LIMITS)
    for _ in range(2):
        with pytest.raises(InvalidArgument):
            planner.plan(b"")


def test_a_long_body_is_planned_anew_each_time() -> None:
    planner, long = Planner(LIMITS), body("x" * MAX_PLANNED_BYTES)
    plan = planner.plan(long)
    assert planner.plan(long) == plan
    assert planner.plan(long) is not plan


def test_so_many_plans_are_remembered_and_no_more() -> None:
    planner = Planner(LIMITS)
    first = planner.plan(body("0"))
    for number in range(1, MAX_PLANS):
        planner.plan(body(str(number)))
    assert planner.plan(body("0")) is first
    planner.plan(body("one more"))
    assert planner.plan(body("0")) is not first
