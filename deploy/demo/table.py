"""Outcomes as an aligned table."""

from collections.abc import Iterable, Sequence

from deploy.demo.requests import Outcome
from deploy.demo.story import Step

TITLES = ("what", "request", "status", "decided by", "expected")


def lines(outcomes: Iterable[Outcome]) -> list[str]:
    """Title, rule, and a row an outcome; one that differs says what was expected instead."""
    rows = [TITLES, *map(_row, outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = [_aligned(row, widths) for row in rows]
    return [aligned[0], "  ".join("─" * width for width in widths), *aligned[1:]]


def _row(outcome: Outcome) -> tuple[str, ...]:
    step = outcome.step
    expected = _statuses(step.statuses)
    if not outcome.as_expected:
        expected = f"{expected}, {step.decider}  ← DIFFERS"
    return step.what, _request(step), _statuses(outcome.statuses), outcome.decider, expected


def _request(step: Step) -> str:
    number = len(step.statuses)
    return f"GET {step.path}" + (f" x{number}" if number > 1 else "")


def _statuses(statuses: Sequence[int]) -> str:
    return " ".join(map(str, statuses))


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()
