"""The figures of the load test, and when they must not be believed."""

import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from loadtest import samples
from loadtest.added_latency import Row, doubts, quantile, summarise, table
from loadtest.samples import Sample


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([7.0], 0.5, 7.0),
        ([7.0], 0.99, 7.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([4.0, 3.0, 2.0, 1.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 101)], 0.5, 50.0),
        ([float(n) for n in range(1, 102)], 0.99, 100.0),
        ([5.0, 6.0], 0.0, 5.0),
        ([5.0, 6.0], 1.0, 6.0),
    ],
)
def test_a_quantile_is_the_least_value_that_covers_the_share(
    values: list[float], share: float, expected: float
) -> None:
    assert quantile(values, share) == expected


def test_without_values_there_is_no_quantile() -> None:
    assert math.isnan(quantile([], 0.5))


def sample(arm: str, at: float, took: float, status: int = 200) -> Sample:
    return Sample(arm, at, took, status)


def test_a_row_leaves_out_the_warm_up_and_keeps_failures_out_of_the_quantiles() -> None:
    taken = [
        sample("rls", 0.5, 9_000.0),
        sample("rls", 1.0, 20.0),
        sample("baseline", 1.0, 10.0),
        sample("rls", 1.5, 30.0),
        sample("rls", 1.6, 1.0, status=503),
        sample("rls", 1.7, 1.0, status=0),
        sample("rls", 1.8, 1.0, status=503),
    ]
    assert summarise(taken, ["baseline", "rls", "authz"], warm_up_seconds=1.0)[:2] == [
        Row("baseline", 1, Counter(), 10.0, 10.0),
        Row("rls", 5, Counter({503: 2, 0: 1}), 20.0, 30.0),
    ]


def test_an_arm_that_nobody_asked_has_no_figures() -> None:
    (row,) = summarise([], ["baseline"], 0)
    assert (row.requests, row.failed.total()) == (0, 0)
    assert math.isnan(row.p50)


def test_the_table_shows_each_difference_from_the_first_arm() -> None:
    rows = [
        Row("baseline", 100, Counter(), 1000.4, 2000.0),
        Row("rls", 99, Counter({503: 1}), 1250.0, 1900.0),
    ]
    assert table(rows).splitlines() == [
        "arm       requests  failed  p50 µs  p99 µs  added p50  added p99",
        "baseline       100       0    1000    2000",
        "rls             99       1    1250    1900       +250       -100",
    ]


def test_figures_with_failures_or_without_requests_are_doubted() -> None:
    rows = [
        Row("baseline", 1000, Counter({503: 1}), 1.0, 1.0),
        Row("rls", 1000, Counter({503: 1, 0: 2}), 1.0, 1.0),
        Row("authz", 0, Counter(), math.nan, math.nan),
    ]
    assert doubts(rows) == [
        "rls: 3 of 1000 failed: 2 with status 0, 1 with status 503",
        "authz: no request",
    ]


def test_samples_come_back_from_their_file_to_a_tenth_of_a_microsecond(tmp_path: Path) -> None:
    file = tmp_path / "samples.csv"
    taken = [sample("rls", 1.25, 1234.56), sample("both", 2.5, 10.0, status=0)]
    samples.write(file, taken)
    assert list(samples.read(file)) == [
        sample("rls", 1.25, 1234.6),
        sample("both", 2.5, 10.0, status=0),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["samples.csv"]


def test_the_runner_s_own_process_is_not_patched_by_gevent() -> None:
    program = (
        "import sys, loadtest.__main__\n"
        "assert not {'gevent', 'locust'} & {name.partition('.')[0] for name in sys.modules}"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert done.returncode == 0
