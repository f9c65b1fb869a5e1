"""Plain integers counted on the hot path; Prometheus reads them when it asks."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from authz.request import Allow, Verdict


class Statistics(Collector):
    """
    Verdicts by reason and deciding policy; labels come from the documents, never from a request.

    Args:
        fetches: gives the key fetches so far by result.
    """

    def __init__(self, fetches: Callable[[], Mapping[str, int]]) -> None:
        self._verdicts: dict[tuple[str, str, str], int] = {}
        self._fetches = fetches

    def count(self, verdict: Verdict) -> None:
        if isinstance(verdict, Allow):
            key = ("allow", "", verdict.policy)
        else:
            key = ("deny", verdict.reason.value, verdict.policy)
        self._verdicts[key] = self._verdicts.get(key, 0) + 1

    def collect(self) -> Iterator[Metric]:
        verdicts = CounterMetricFamily(
            "tollhouse_authz_verdicts",
            "Verdicts; policy is the document that decided, empty when none did",
            labels=["verdict", "reason", "policy"],
        )
        for labels, number in self._verdicts.items():
            verdicts.add_metric(labels, number)
        yield verdicts
        fetches = CounterMetricFamily(
            "tollhouse_authz_key_fetches", "Fetches of key sets by result", labels=["result"]
        )
        for result, number in self._fetches().items():
            fetches.add_metric([result], number)
        yield fetches
