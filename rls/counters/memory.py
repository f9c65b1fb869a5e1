"""Counters in this process: the specification of every other store, and BACKEND_TYPE=memory."""

from collections.abc import Sequence

from rls.bucket import FULL, Bucket, seconds_to_return, spend
from rls.counter_key import window_key
from rls.counters import Counter, Hit, Spent
from rls.limits import Algorithm
from rls.window import SLACK_SECONDS, US, window_start_seconds

SWEEP_US = 10 * US
"""How often counters that are of no more use are swept out."""


class MemoryStore:
    """Exact for one process; several processes each count for themselves."""

    def __init__(self) -> None:
        self._windows: dict[bytes, int] = {}
        self._buckets: dict[bytes, Bucket] = {}
        self._expires_us: dict[bytes, int] = {}
        self._sweep_us = 0

    def hit(self, hits: Sequence[Hit], now_us: int) -> Spent:
        if now_us >= self._sweep_us:
            self._sweep(now_us)
        return [self._hit(hit.counter, hit.addend, now_us) for hit in hits]

    def _hit(self, counter: Counter, addend: int, now_us: int) -> float:
        limit = counter.limit
        if limit.algorithm is Algorithm.FIXED_WINDOW:
            start = window_start_seconds(now_us, limit.unit.seconds)
            key = window_key(counter.key, start)
            count = self._windows.get(key, 0) + addend
            if addend:
                self._windows[key] = count
                self._expires_us[key] = (start + limit.unit.seconds) * US
            return count
        bucket, spent = spend(self._buckets.get(counter.key, FULL), limit, addend, now_us)
        if bucket.spent:
            self._buckets[counter.key] = bucket
            full_us = seconds_to_return(bucket.spent, limit) * US
            self._expires_us[counter.key] = bucket.updated_us + int(full_us) + 1
        return spent

    def _sweep(self, now_us: int) -> None:
        useless_us = now_us - SLACK_SECONDS * US
        for key in [k for k, expires_us in self._expires_us.items() if expires_us < useless_us]:
            del self._expires_us[key]
            self._windows.pop(key, None)
            self._buckets.pop(key, None)
        self._sweep_us = now_us + SWEEP_US
