"""
Samples → what each arm took, and how much more than the first.

The difference is one of quantiles, Q99(arm) - Q99(baseline): how far the p99 that callers see
moves. It is not the p99 of the filter's own time; tails do not add.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from loadtest.samples import Sample

HEADINGS = ("arm", "requests", "failed", "p50 µs", "p99 µs", "added p50", "added p99")

TOLERATED = 0.001
"""Share of failed requests: a busy machine loses one now and then, a broken service many."""


class Row(NamedTuple):
    """One arm's figures, in microseconds."""

    arm: str
    requests: int
    failed: Counter[int]
    """Status → how many; these are not in the quantiles."""
    p50: float
    p99: float


def quantile(values: Sequence[float], share: float) -> float:
    """The least of `values` that at least `share` of them do not exceed; NaN without values."""
    if not values:
        return math.nan
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def summarise(samples: Sequence[Sample], arms: Sequence[str], warm_up_seconds: float) -> list[Row]:
    """
    A row for each arm, in this order.

    Args:
        samples: all arms' requests.
        arms: their names; the first is what the others are compared with.
        warm_up_seconds: requests that ended earlier are left out: they opened connections and
            verified a token for the first time.
    """
    rows = []
    for arm in arms:
        kept = [each for each in samples if each.arm == arm and each.at_seconds >= warm_up_seconds]
        took = [each.microseconds for each in kept if each.ok]
        failed = Counter(each.status for each in kept if not each.ok)
        rows.append(Row(arm, len(kept), failed, quantile(took, 0.5), quantile(took, 0.99)))
    return rows


def doubts(rows: Sequence[Row]) -> list[str]:
    """Why the figures must not be believed; empty when they may."""
    found = []
    for row in rows:
        if not row.requests:
            found.append(f"{row.arm}: no request")
        elif row.failed.total() > TOLERATED * row.requests:
            statuses = ", ".join(
                f"{n} with status {each}" for each, n in sorted(row.failed.items())
            )
            found.append(f"{row.arm}: {row.failed.total()} of {row.requests} failed: {statuses}")
    return found


def table(rows: Sequence[Row]) -> str:
    """The rows, aligned, each with its difference from the first."""
    base = rows[0]
    cells = [HEADINGS]
    for row in rows:
        added = ("", "") if row is base else (row.p50 - base.p50, row.p99 - base.p99)
        p50, p99 = (each if isinstance(each, str) else f"{each:+.0f}" for each in added)
        shown = (f"{row.p50:.0f}", f"{row.p99:.0f}")
        cells.append((row.arm, str(row.requests), str(row.failed.total()), *shown, p50, p99))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in cells
    )
