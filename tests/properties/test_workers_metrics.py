"""Merged metrics, read back by Prometheus' own parser, are all workers' metrics and no others."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from serving.worker_pages import merged

LABELS = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBERS = st.floats(allow_nan=False, min_value=0)
Worker = tuple[dict[str, float], list[float], bool]
WORKERS = st.lists(
    st.tuples(st.dictionaries(LABELS, NUMBERS, max_size=4), st.lists(NUMBERS), st.booleans()),
    max_size=4,
)


def page(worker: Worker) -> str:
    counts, times, gauge = worker
    registry = CollectorRegistry()
    counter = Counter("tolls", "Tolls\ntaken \\ refused", ["gate"], registry=registry)
    for gate, number in counts.items():
        counter.labels(gate).inc(number)
    histogram = Histogram("seconds", "Time", registry=registry)
    for seconds in times:
        histogram.observe(seconds)
    if gauge:
        Gauge("open", "Gates", registry=registry).set(2)
    return generate_latest(registry).decode()


def read(text: str) -> list[tuple[str, str, str, str, tuple[tuple[str, str], ...], float]]:
    return [
        (family.name, family.type, family.documentation, sample.name, labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for labels in [tuple(sorted(sample.labels.items()))]
    ]


@given(WORKERS)
def test_merging_adds_the_workers_name_and_nothing_is_lost(workers: list[Worker]) -> None:
    pages = [(str(index), page(worker)) for index, worker in enumerate(workers)]
    expected = [
        (*head, tuple(sorted((*labels, ("worker", worker)))), value)
        for worker, text in pages
        for *head, labels, value in read(text)
    ]
    text = merged(pages)
    assert sorted(read(text)) == sorted(expected)
    names = [line.split(" ")[2] for line in text.split("\n") if line.startswith("# TYPE ")]
    assert len(names) == len(set(names))
