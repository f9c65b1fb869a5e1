"""`python -m loadtest.bench [--rounds N] [--json FILE]`: a table, and the same as JSON."""

import argparse
import json
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from loadtest.bench import engines, envoy
from loadtest.bench.engines import Figures

HEADINGS = ("engine", "load", "client", "CPU-µs/call", "p50 µs", "p99 µs")


def table(rows: list[Figures]) -> str:
    """The figures, aligned, with how many times dearer the compatibility engine is."""
    cheapest = {(r.load, r.client): r.cpu_us_per_call for r in rows if r.engine == "fast"}
    cells = [(*HEADINGS, "x fast")] + [
        (
            row.engine,
            row.load,
            row.client,
            f"{row.cpu_us_per_call:.1f}",
            f"{row.p50_us:.0f}" if row.p50_us else "",
            f"{row.p99_us:.0f}" if row.p99_us else "",
            f"{row.cpu_us_per_call / cheapest[row.load, row.client]:.1f}",
        )
        for row in sorted(rows, key=lambda row: (row.client, row.load, row.engine))
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < 3 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    )


def machine() -> dict[str, str]:
    """Where and when the figures were taken: without it they mean nothing."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": model,
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every arm (default 5)")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where to write")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tollhouse-bench-") as name:
        folder = Path(name)
        with engines.servers(folder) as servers:
            rows = engines.measure(servers, chosen.rounds)
            with envoy.fronts(servers, folder) as fronts:
                rows += envoy.measure(fronts, chosen.rounds)
    where = machine()
    print(", ".join(where.values()))
    print(table(rows))
    chosen.json.write_text(
        json.dumps({"machine": where, "figures": [row._asdict() for row in rows]}, indent=1)
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
