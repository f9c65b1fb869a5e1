"""The admin pages of all workers as one: alive, ready, and each one's metrics under its name."""

import asyncio
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from serving.worker import Worker
from serving.worker_life import Page

PROBE_SECONDS = 0.8
"""Kubernetes gives a probe one second; we want to be the ones who say what is wrong."""
SCRAPE_SECONDS = 5.0

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{?)")
"""Name of a sample, and the brace if it has labels (Prometheus text format 0.0.4)."""


def worker_pages(workers: Sequence[Worker]) -> Mapping[str, Handler]:
    """Path → handler, as `serving.admin.listen` takes them."""

    async def ask_all(path: str, seconds: float) -> list[tuple[Worker, Page]]:
        asked = (worker.ask(path, timeout_seconds=seconds) for worker in workers)
        return list(zip(workers, await asyncio.gather(*asked), strict=True))

    async def healthz(_: web.Request) -> web.Response:
        # A dead one is started again; only one that lives and says nothing is beyond that help.
        stuck = [
            f"worker {worker.index} {page.text}\n"
            for worker, page in await ask_all("/healthz", PROBE_SECONDS)
            if worker.up and page.status == 504
        ]
        return web.Response(text="".join(stuck) or "ok\n", status=503 if stuck else 200)

    async def readyz(_: web.Request) -> web.Response:
        pages = await ask_all("/readyz", PROBE_SECONDS)
        states = {str(each.index): readiness(each.pid, each.up, page) for each, page in pages}
        missing = [index for index, state in states.items() if not state["ready"]]
        body = {"ready": not missing, "not_ready": missing, "workers": states}
        return web.json_response(body, status=503 if missing else 200)

    async def metrics(_: web.Request) -> web.Response:
        pages = await ask_all("/metrics", SCRAPE_SECONDS)
        answered = [(str(worker.index), page.text) for worker, page in pages if page.status == 200]
        text = generate_latest(_Supervision(workers)).decode() + merged(answered)
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}


def readiness(pid: int | None, up: bool, page: Page) -> dict[str, Any]:
    """
    One worker's part of `/readyz`.

    Args:
        pid: of its process, None without one.
        up: whether its gRPC listener has answered.
        page: its own `/readyz`, which is JSON unless the status is ours.
    """
    if pid is None:
        return {"ready": False, "reason": "not running"}
    if not up or page.status in (502, 504):
        return {"ready": False, "reason": page.text if up else "starting", "pid": pid}
    return {**json.loads(page.text), "pid": pid}


class _Family(NamedTuple):
    comments: list[str]
    samples: list[str]


def merged(pages: Iterable[tuple[str, str]]) -> str:
    """
    Merge metrics pages.

    Args:
        pages: a worker's name, and what `generate_latest` wrote there.

    Returns:
        Each metric once, with the samples of all; each sample with the label `worker`.
    """
    families: dict[str, _Family] = {}
    for worker, page in pages:
        family = _Family([], [])
        for line in page.split("\n"):  # a label's value may hold what splitlines() splits at
            if line.startswith("# "):  # HELP and TYPE stand before a metric's samples
                family = families.setdefault(line.split(" ", 3)[2], _Family([], []))
                if line not in family.comments:
                    family.comments.append(line)
            elif line:
                family.samples.append(labelled(line, worker))
    parts = (line for family in families.values() for lines in family for line in lines)
    return "".join(f"{line}\n" for line in parts)


def labelled(sample: str, worker: str) -> str:
    """`a{b="c"} 1` → `a{worker="0",b="c"} 1`; the rest of the line stays to the letter."""
    return SAMPLE.sub(lambda found: _with_label(found, worker), sample, count=1)


def _with_label(found: re.Match[str], worker: str) -> str:
    name, brace = found.groups()
    return f'{name}{{worker="{worker}"{"," if brace else "}"}'


class _Supervision(Collector):
    """What only the supervisor knows."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "tollhouse_worker_up", "1 while the worker's process answers", labels=["worker"]
        )
        restarts = CounterMetricFamily(
            "tollhouse_worker_restarts",
            "Times the worker was started again after it ended",
            labels=["worker"],
        )
        for worker in self._workers:
            up.add_metric([str(worker.index)], int(worker.up))
            restarts.add_metric([str(worker.index)], worker.restarts)
        yield up
        yield restarts
