"""RateLimitRequest and RateLimitResponse ↔ the nouns of `limits`; no other room sees protobuf."""

from google.protobuf.message import DecodeError

from protos.service_ratelimit_v3_pb2 import RateLimitRequest, RateLimitResponse
from rls.limits import (
    Answer,
    Descriptor,
    DescriptorStatus,
    Entry,
    Override,
    RateLimit,
    Request,
)
from rls.readable import readable
from serving.call import InvalidArgument

MAX_ADDEND = 2**32
"""A larger hits_addend counts as this one: over every limit there is (they are uint32), and so far
below 2^63 that a counter does not get there."""

LONGEST_RESET_SECONDS = 315_576_000_000
"""The most that google.protobuf.Duration allows: 10,000 years."""


def decode(body: bytes) -> Request:
    """Raises InvalidArgument: the body is no RateLimitRequest, or names no domain or descriptor."""
    message = _parsed(body)
    if not message.domain:
        raise InvalidArgument("rate limit domain must not be empty")
    if not message.descriptors:
        raise InvalidArgument("rate limit descriptor list must not be empty")
    descriptors = tuple(
        Descriptor(
            tuple(Entry(entry.key, entry.value) for entry in descriptor.entries),
            Override(descriptor.limit.requests_per_unit, descriptor.limit.unit)
            if descriptor.HasField("limit")
            else None,
            min(descriptor.hits_addend.value, MAX_ADDEND)
            if descriptor.HasField("hits_addend")
            else None,
        )
        for descriptor in message.descriptors
    )
    return Request(message.domain, descriptors, message.hits_addend)


def _parsed(body: bytes) -> RateLimitRequest:
    try:
        return RateLimitRequest.FromString(body)
    except DecodeError:
        pass  # perhaps for nothing but a header that is not UTF-8
    try:
        return RateLimitRequest.FromString(readable(body))
    except (ValueError, DecodeError) as error:
        raise InvalidArgument("not a RateLimitRequest") from error


def encode(answer: Answer) -> bytes:
    """One status a descriptor, in order."""
    return RateLimitResponse(
        overall_code=answer.code.name, statuses=[_status(status) for status in answer.statuses]
    ).SerializeToString()


def _status(status: DescriptorStatus) -> RateLimitResponse.DescriptorStatus:
    message = RateLimitResponse.DescriptorStatus(
        code=status.code.name, limit_remaining=status.limit_remaining
    )
    if status.limit is not None:
        message.current_limit.CopyFrom(_current_limit(status.limit))
        reset_seconds = min(status.reset_seconds, LONGEST_RESET_SECONDS)
        seconds = int(reset_seconds)
        message.duration_until_reset.seconds = seconds
        message.duration_until_reset.nanos = int((reset_seconds - seconds) * 1e9)
    return message


def _current_limit(limit: RateLimit) -> RateLimitResponse.RateLimit:
    return RateLimitResponse.RateLimit(
        requests_per_unit=limit.requests_per_unit,
        unit=limit.unit.name,
    )
