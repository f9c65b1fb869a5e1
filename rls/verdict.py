"""Limits and what is spent of them → statuses and the overall code."""

from collections.abc import Sequence

from rls.bucket import seconds_to_return
from rls.limits import Algorithm, Answer, Code, DescriptorStatus, RateLimit
from rls.window import seconds_until_reset

NO_LIMIT = DescriptorStatus(Code.OK)


def status(limit: RateLimit, spent: float, now_us: int) -> DescriptorStatus:
    """
    The status of one descriptor.

    Args:
        limit: what the descriptor fell under.
        spent: hits or tokens, this request's among them, as the store counted.
        now_us: the time the store counted at, Unix microseconds.
    """
    over = spent > limit.capacity
    remaining = 0 if over else int(limit.capacity - spent)
    if limit.algorithm is Algorithm.FIXED_WINDOW:
        reset: float = seconds_until_reset(now_us, limit.unit.seconds)
    else:
        # Over limit the wait that helps is the one for the missing tokens: clients read the
        # header X-RateLimit-Reset, which Envoy fills from this, as when to try again.
        reset = seconds_to_return(spent - limit.burst if over else spent, limit)
    return DescriptorStatus(Code.OVER_LIMIT if over else Code.OK, limit, remaining, reset)


def answer(statuses: Sequence[DescriptorStatus]) -> Answer:
    """One descriptor over its limit is enough to refuse the request."""
    over = any(status.code is Code.OVER_LIMIT for status in statuses)
    return Answer(Code.OVER_LIMIT if over else Code.OK, tuple(statuses))
