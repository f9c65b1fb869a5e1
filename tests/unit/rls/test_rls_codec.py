"""The wire ↔ our nouns."""

import pytest

from protos.common_ratelimit_v3_pb2 import RateLimitDescriptor
from protos.service_ratelimit_v3_pb2 import RateLimitRequest, RateLimitResponse
from protos.type_v3_pb2 import HOUR
from rls.codec import LONGEST_RESET_SECONDS, MAX_ADDEND, decode, encode
from rls.limits import (
    Answer,
    Code,
    Descriptor,
    DescriptorStatus,
    Entry,
    Override,
    RateLimit,
    Request,
    Unit,
)
from serving.call import InvalidArgument


def test_decode_keeps_every_field() -> None:
    message = RateLimitRequest(domain="edge", hits_addend=3)
    first, second, third = (message.descriptors.add() for _ in range(3))
    first.entries.add(key="user", value="ann")
    first.entries.add(key="plan", value="")
    second.limit.requests_per_unit, second.limit.unit = 7, HOUR
    third.hits_addend.value = 0
    assert decode(message.SerializeToString()) == Request(
        "edge",
        (
            Descriptor((Entry("user", "ann"), Entry("plan", ""))),
            Descriptor((), override=Override(7, HOUR)),
            Descriptor((), hits_addend=0),
        ),
        hits_addend=3,
    )


@pytest.mark.parametrize("addend", [MAX_ADDEND, MAX_ADDEND + 1, 2**63, 2**64 - 1])
def test_a_huge_addend_saturates(addend: int) -> None:
    message = RateLimitRequest(domain="edge", descriptors=[RateLimitDescriptor()])
    message.descriptors[0].hits_addend.value = addend
    assert decode(message.SerializeToString()).descriptors[0].hits_addend == MAX_ADDEND


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\xff", "not a RateLimitRequest"),
        (b"", "rate limit domain must not be empty"),
        (
            RateLimitRequest(descriptors=[RateLimitDescriptor()]).SerializeToString(),
            "rate limit domain must not be empty",
        ),
        (
            RateLimitRequest(domain="edge").SerializeToString(),
            "rate limit descriptor list must not be empty",
        ),
    ],
)
def test_decode_refuses_what_cannot_be_answered(body: bytes, message: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^{message}$"):
        decode(body)


def test_encode_gives_one_status_a_descriptor_in_order() -> None:
    limit = RateLimit(10, Unit.WEEK)
    answer = Answer(
        Code.OVER_LIMIT,
        (
            DescriptorStatus(Code.OK),
            DescriptorStatus(Code.OK, limit, 4, 1.25),
            DescriptorStatus(Code.OVER_LIMIT, limit, 0, 60),
        ),
    )
    message = RateLimitResponse.FromString(encode(answer))
    none, within, over = message.statuses
    assert message.overall_code == RateLimitResponse.OVER_LIMIT
    assert none == RateLimitResponse.DescriptorStatus(code=RateLimitResponse.OK)
    assert within.code == RateLimitResponse.OK
    assert within.current_limit.requests_per_unit == 10
    assert within.current_limit.unit == RateLimitResponse.RateLimit.WEEK
    assert within.limit_remaining == 4
    assert (within.duration_until_reset.seconds, within.duration_until_reset.nanos) == (
        1,
        250 * 10**6,
    )
    assert over.code == RateLimitResponse.OVER_LIMIT
    assert (over.duration_until_reset.seconds, over.duration_until_reset.nanos) == (60, 0)


def test_a_reset_stays_within_what_a_duration_allows() -> None:
    status = DescriptorStatus(Code.OVER_LIMIT, RateLimit(1, Unit.YEAR), 0, 1e17)
    message = RateLimitResponse.FromString(encode(Answer(Code.OVER_LIMIT, (status,))))
    assert message.statuses[0].duration_until_reset.ToSeconds() == LONGEST_RESET_SECONDS
