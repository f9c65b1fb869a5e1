"""
Token bucket: the same arithmetic that `counters/token_bucket.lua` does in the store.

A bucket is two numbers: how many tokens are spent and when that was true. Spent tokens come back
at `requests_per_unit` per unit; a full bucket has nothing spent and needs no record at all. The
steps are the script's, in its order, on the same doubles, so both give the same bits.
"""

from typing import NamedTuple

from rls.limits import RateLimit
from rls.window import US


class Bucket(NamedTuple):
    """Tokens spent as of a moment."""

    spent: float
    updated_us: int


FULL = Bucket(0.0, 0)


def spend(bucket: Bucket, limit: RateLimit, addend: int, now_us: int) -> tuple[Bucket, float]:
    """
    Take `addend` tokens; 0 looks and takes none.

    Returns:
        The bucket afterwards, and the tokens spent as the request saw it: over `limit.burst`
        means refused, and then the bucket is as before. A clock that steps back returns no tokens.
    """
    moment = max(now_us, bucket.updated_us)
    # float first: Python's integers would stay exact where the script's doubles round.
    elapsed_us = float(moment - bucket.updated_us)
    refilled = elapsed_us * limit.requests_per_unit / (limit.unit.seconds * US)
    after = max(0.0, bucket.spent - refilled) + addend
    taken = addend > 0 and after <= limit.burst
    return Bucket(after, moment) if taken else bucket, after


def seconds_to_return(tokens: float, limit: RateLimit) -> float:
    """How long until `tokens` have come back."""
    return tokens * limit.unit.seconds / limit.requests_per_unit
