"""Outcomes as an aligned table."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from deploy.demo.requests import Outcome

TITLES = ("what", "request", "status", "decided by", "expected")


def lines(outcomes: Iterable[Outcome]) -> list[str]:
    """Title, rule, and a row an outcome; one that differs says what was expected instead."""
    rows = [TITLES, *map(_row, outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = [_aligned(row, widths) for row in rows]
    return [aligned[0], "  ".join("─" * width for width in widths), *aligned[1:]]


def _row(outcome: Outcome) -> tuple[str, ...]:
    step = outcome.step
    expected = statuses(step.statuses)
    if not outcome.as_expected:
        expected = f"{expected}, {step.decider}  ← DIFFERS"
    return step.what, f"GET {step.path}", statuses(outcome.statuses), outcome.decider, expected


def statuses(each: Iterable[int]) -> str:
    """In order, as in `200 x3, 429`."""
    runs = ((status, len(list(run))) for status, run in groupby(each))
    return ", ".join(
        f"{status} x{length}" if length > 1 else f"{status}" for status, length in runs
    )


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()
