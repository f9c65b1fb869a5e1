"""What one request took, and the file in which Locust's process hands it over."""

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple


class Sample(NamedTuple):
    """One request."""

    arm: str
    at_seconds: float
    """When it ended, since the start of the run."""
    microseconds: float
    """From before it was sent until its body was read, as the client saw it."""
    status: int
    """Of the HTTP response; 0 when there was none."""

    @property
    def ok(self) -> bool:
        """Anything else is no latency: a refusal is quick, and would flatter its arm."""
        return self.status == 200


def write(path: Path, samples: Iterable[Sample]) -> None:
    """The file appears whole or not at all."""
    half = path.with_suffix(".half")
    with half.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerows(
            (arm, f"{at:.6f}", f"{took:.1f}", status) for arm, at, took, status in samples
        )
    os.replace(half, path)


def read(path: Path) -> Sequence[Sample]:
    with path.open(newline="") as file:
        return [
            Sample(arm, float(at), float(took), int(status))
            for arm, at, took, status in csv.reader(file)
        ]
