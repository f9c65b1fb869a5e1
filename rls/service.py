"""ShouldRateLimit: one request's journey."""

from collections.abc import Awaitable, Callable

from rls.codec import encode
from rls.counters import CounterStore, Spent
from rls.limits import Limits
from rls.plan import Plan, Planner
from rls.statistics import Statistics
from rls.verdict import NO_LIMIT, answer, status
from serving.call import Call, MethodTable, RpcError, Unavailable


class RateLimitService:
    """
    Envoy's RateLimitService v3.

    Args:
        store: where the counters are.
        now_us: the wall clock, Unix microseconds; read once a request.
        statistics: told every answer.
    """

    def __init__(
        self, store: CounterStore, now_us: Callable[[], int], statistics: Statistics
    ) -> None:
        self._store, self._now_us, self._statistics = store, now_us, statistics
        self._planner: Planner | None = None

    def publish(self, limits: Limits) -> None:
        """Answer by these limits from now on; calls in flight finish under the old ones."""
        self._planner = Planner(limits)

    def methods(self) -> MethodTable:
        path = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
        return {path: self.should_rate_limit}

    def should_rate_limit(self, body: bytes, _: Call) -> bytes | Awaitable[bytes]:
        """
        Answer a RateLimitRequest: at once where no round trip is needed.

        Raises:
            InvalidArgument: the request cannot be answered.
            Unavailable: no limits are loaded yet, or the counters are away. Envoy then decides
                by `failure_mode_deny`.
        """
        try:
            if self._planner is None:
                raise Unavailable("no rate limit configuration loaded")
            plan, now_us = self._planner.plan(body), self._now_us()
            spent = self._store.hit(plan.hits, now_us) if plan.hits else []
        except RpcError:
            self._statistics.count_error()
            raise
        if isinstance(spent, list):
            return self._answer(plan, spent, now_us)
        return self._answer_later(plan, spent, now_us)

    async def _answer_later(self, plan: Plan, waiting: Awaitable[Spent], now_us: int) -> bytes:
        try:
            spent = await waiting
        except RpcError:
            self._statistics.count_error()
            raise
        return self._answer(plan, spent, now_us)

    def _answer(self, plan: Plan, spent: Spent, now_us: int) -> bytes:
        counts = iter(spent)
        decided = answer(
            [
                NO_LIMIT if limit is None else status(limit, next(counts), now_us)
                for limit in plan.limits
            ]
        )
        self._statistics.count(decided)
        return encode(decided)
