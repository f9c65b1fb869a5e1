"""The engines behind a real Envoy with one worker: what its rate limit filter makes them cost."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from envoy_data_plane.envoy.extensions.filters.http.fault.v3 import FaultAbort, HttpFault
from envoy_data_plane.envoy.type.v3 import FractionalPercent

from deploy.local.bootstrap import bootstrap, cluster, http_listener
from deploy.local.envoy import envoy
from deploy.local.ports import reserved
from deploy.local.processes import http_answers
from deploy.wiring import Service, ratelimit_filter, typed
from loadtest.bench.cpu import cpu_us, pin
from loadtest.bench.engines import CLIENT_CORE, Figures, Server

CLIENTS = 32
REQUESTS = 4_000
GET = b"GET /bench HTTP/1.1\r\nhost: bench\r\nx-tenant: bench\r\n\r\n"


class Front(NamedTuple):
    """An Envoy that asks one engine about every request."""

    server: Server
    port: int


@contextmanager
def fronts(servers: list[Server], folder: Path) -> Iterator[list[Front]]:
    """
    One Envoy, a listener for each engine.

    The answer is given by the fault filter behind the rate limit filter: on a route with a direct
    response that filter asks nobody, and an upstream would cost more than what is measured.
    """
    with ExitStack() as stack:
        admin, *ports = stack.enter_context(reserved(1 + len(servers)))
        answer = typed(
            "envoy.filters.http.fault",
            HttpFault(
                abort=FaultAbort(http_status=200, percentage=FractionalPercent(numerator=100))
            ),
        )
        listeners = [
            http_listener(
                server.engine,
                port,
                server.engine,
                filters=[ratelimit_filter(Service(server.engine, "bench")), answer],
            )
            for server, port in zip(servers, ports, strict=True)
        ]
        clusters = [cluster(server.engine, server.port, http2=True) for server in servers]
        process = stack.enter_context(
            envoy("bench", bootstrap("bench", admin, listeners, clusters), folder)
        )
        process.wait_until(http_answers(admin, "/ready"))
        pin(process.pid, CLIENT_CORE)
        yield [Front(server, port) for server, port in zip(servers, ports, strict=True)]


def measure(under_test: list[Front], rounds: int) -> list[Figures]:
    """`CLIENTS` closed loops through Envoy, the engines in turn."""
    costs: dict[str, list[float]] = {front.server.engine: [] for front in under_test}
    latencies: dict[str, list[float]] = {front.server.engine: [] for front in under_test}
    for _ in range(rounds):
        for server, port in under_test:
            before = cpu_us(server.process.pid)
            found = asyncio.run(_load(port))
            costs[server.engine].append((cpu_us(server.process.pid) - before) / len(found))
            latencies[server.engine] += found
    rows = []
    for engine, cost in costs.items():
        cuts = statistics.quantiles(latencies[engine], n=100)
        p50_us, p99_us = cuts[49] * 1e6, cuts[98] * 1e6
        name, calls = f"Envoy c{CLIENTS}", len(latencies[engine])
        rows.append(
            Figures(engine, name, "built-in", statistics.median(cost), p50_us, p99_us, calls)
        )
    return rows


async def _load(port: int) -> list[float]:
    latencies: list[float] = []
    await asyncio.gather(*(_client(port, REQUESTS // CLIENTS, latencies) for _ in range(CLIENTS)))
    return latencies


async def _client(port: int, requests: int, latencies: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(requests):
        started = time.perf_counter()
        writer.write(GET)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
        latencies.append(time.perf_counter() - started)
    writer.close()
