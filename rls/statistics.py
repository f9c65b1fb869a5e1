"""Plain integers counted on the hot path; Prometheus reads them when it asks."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rls.counters.link import Link
from rls.limits import Answer, Code


class Statistics(Collector):
    """Decisions by limit. Labels come from the limits file alone, never from a request."""

    def __init__(self) -> None:
        self._requests = {Code.OK: 0, Code.OVER_LIMIT: 0}
        self._errors = 0
        self._limits: dict[tuple[str, Code], int] = {}
        self._link: Link | None = None

    def watch(self, link: Link) -> None:
        """Show this link to the counter store as well."""
        self._link = link

    def count(self, answer: Answer) -> None:
        self._requests[answer.code] += 1
        limits = self._limits
        for status in answer.statuses:
            if status.limit is not None:
                key = (status.limit.path, status.code)
                limits[key] = limits.get(key, 0) + 1

    def count_error(self) -> None:
        self._errors += 1

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "tollhouse_rls_requests", "Requests by answer; error: the RPC failed", labels=["code"]
        )
        for code, number in self._requests.items():
            requests.add_metric([code.name.lower()], number)
        requests.add_metric(["error"], self._errors)
        yield requests
        limits = CounterMetricFamily(
            "tollhouse_rls_limit_decisions",
            "Decisions of each limit; its path in the limits file begins with the domain",
            labels=["limit", "code"],
        )
        for (path, code), number in self._limits.items():
            limits.add_metric([path, code.name.lower()], number)
        yield limits
        if self._link is not None:
            yield from _store(self._link)


def _store(link: Link) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "tollhouse_rls_store_up", "1 while the counter store is connected", value=int(link.up)
    )
    yield CounterMetricFamily(
        "tollhouse_rls_store_commands", "Commands sent to the counter store", value=link.commands
    )
    yield CounterMetricFamily(
        "tollhouse_rls_store_writes",
        "Writes to the counter store; commands ÷ writes is the batching",
        value=link.writes,
    )
    yield CounterMetricFamily(
        "tollhouse_rls_store_connections",
        "Connections made to the counter store",
        value=link.generation,
    )
