"""The arms of the engine benchmark, run in turn, and what they cost."""

import asyncio
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from deploy.local.ports import reserved
from deploy.local.processes import Process, running
from loadtest.bench.constant import ENGINES, METHOD
from loadtest.bench.cpu import cpu_us, pin
from loadtest.bench.replay import FIELDS, Load, replay

SERVER_CORE, CLIENT_CORE = 0, 1

MESSAGE = bytes.fromhex("0a0465646765120f0a0d0a06726561646572120375736572")[:24] + bytes(15)
"""39 bytes, as long as a RateLimitRequest with one descriptor."""

LOADS = {
    "c1 m1": Load(1, 1, 1_000, False),
    "c1 m1 tracing": Load(1, 1, 1_000, True),
    "c4 m32": Load(4, 32, 8_000, False),
    "c4 m32 tracing": Load(4, 32, 8_000, True),
}


class Figures(NamedTuple):
    """One arm over all rounds."""

    engine: str
    load: str
    client: str
    cpu_us_per_call: float
    """Median of the rounds."""
    p50_us: float
    p99_us: float
    """0 where the client does not tell latencies."""
    calls: int


class Server(NamedTuple):
    """A server under test."""

    engine: str
    port: int
    process: Process


@contextmanager
def servers(folder: Path) -> Iterator[list[Server]]:
    """Both engines, each with the constant answer, while the context is open."""
    with ExitStack() as stack:
        ports = stack.enter_context(reserved(len(ENGINES)))
        started = []
        for engine, port in zip(ENGINES, ports, strict=True):
            command = [sys.executable, "-m", "loadtest.bench.constant", engine, str(port)]
            process = stack.enter_context(running(engine, command, folder))
            process.wait_until(lambda process=process: process.log.stat().st_size > 0)  # type: ignore[misc] # bound by default
            pin(process.pid, SERVER_CORE)
            started.append(Server(engine, port, process))
        pin(0, CLIENT_CORE)
        yield started


def measure(under_test: Sequence[Server], rounds: int) -> list[Figures]:
    """Every load on every engine, `rounds` times in turn, by our own client and by h2load."""
    costs: dict[tuple[str, str, str], list[float]] = {}
    latencies: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for name, load in LOADS.items():
            for server in under_test:
                before = cpu_us(server.process.pid)
                found = asyncio.run(replay(server.port, load, MESSAGE))
                spent = cpu_us(server.process.pid) - before
                key = (server.engine, name)
                costs.setdefault((*key, "built-in"), []).append(spent / len(found))
                latencies.setdefault(key, []).extend(found)
                if shutil.which("h2load") and not load.tracing:
                    costs.setdefault((*key, "h2load"), []).append(_h2load(server, load))
    return [
        _figures(key, rows, latencies[key[:2]] if key[2] == "built-in" else [])
        for key, rows in costs.items()
    ]


def _h2load(server: Server, load: Load) -> float:
    """CPU-µs a call as h2load drives it."""
    body = server.process.log.parent / "body"
    body.write_bytes(b"\0" + len(MESSAGE).to_bytes(4, "big") + MESSAGE)
    headers = [f"-H{name}: {value}" for name, value in FIELDS.items() if name[0] != ":"]
    before = cpu_us(server.process.pid)
    counts = [f"-c{load.connections}", f"-m{load.in_flight}", f"-n{load.calls}", f"-d{body}"]
    url = f"http://127.0.0.1:{server.port}{METHOD}"
    output = subprocess.run(  # noqa: S603 - the command is ours
        ["h2load", *counts, *headers, url],  # noqa: S607 - wherever the user installed it
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    if f"{load.calls} succeeded" not in output:
        raise RuntimeError(output)
    return (cpu_us(server.process.pid) - before) / load.calls


def _figures(key: tuple[str, str, str], rows: list[float], latencies: list[float]) -> Figures:
    engine, load, client = key
    p50_us, p99_us = 0.0, 0.0
    if latencies:
        cuts = statistics.quantiles(latencies, n=100)
        p50_us, p99_us = cuts[49] * 1e6, cuts[98] * 1e6
    return Figures(engine, load, client, statistics.median(rows), p50_us, p99_us, len(latencies))
