"""
The supervisor: N worker processes, each with a port or socket of its own, behind one admin port.

Envoy opens one connection per worker thread and endpoint, so processes that share a port by
SO_REUSEPORT get its few connections by hash: some get two, some none. N endpoints of one cluster
are balanced request by request.

The supervisor forks nothing of itself: each worker is the service's own command line. A worker's
standard input is a pipe that the supervisor holds; whatever ends the supervisor, SIGKILL included,
ends the pipe, and then the worker drains (`serving.lifeline`).
"""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from secrets import token_hex
from typing import NamedTuple

import structlog

from serving.admin import listen
from serving.process import SIGNALS
from serving.worker import Worker
from serving.worker_pages import worker_pages
from serving.worker_settings import Supervised, check_ports, endpoint, leave_seconds

log = structlog.get_logger()


class Stop(NamedTuple):
    """What SIGTERM and SIGINT mean: the first asks, the second insists."""

    asked: asyncio.Event
    insisted: asyncio.Event


async def supervise(
    service: str, count: int, settings: Supervised, environment: Mapping[str, str]
) -> int:
    """
    Run `count` workers until SIGTERM or SIGINT, then drain them all.

    Args:
        service: the package whose `serve` command a worker runs.
        count: how many; at least 2, or there is nothing to supervise.
        settings: the service's, read from `environment`.
        environment: what the workers get, but for their ports and sockets.

    Returns:
        0 when all drained; 1 when one had to be killed or was lost on the way, or when one refused
        to start (it has said why on standard error). Raises ConfigError for ports that do not fit
        and OSError when the admin port's address cannot be had.
    """
    check_ports(settings, count)
    command = (sys.executable, "-m", service, "serve", "--until-eof")
    group = token_hex(16)
    endpoints = [endpoint(settings, environment, index, group) for index in range(count)]
    with signals() as stop:
        workers = [Worker(each, command, stop.asked) for each in endpoints]
        pages = worker_pages(workers)
        async with listen(settings.admin_host, settings.admin_port, pages) as port:
            listeners = [each.listener for each in endpoints]
            log.info("supervising", workers=count, listeners=listeners, admin_port=port)
            return await run(workers, stop, leave_seconds=leave_seconds(settings))


async def run(workers: Sequence[Worker], stop: Stop, *, leave_seconds: float) -> int:
    """
    Keep the workers up until asked to stop, then see them out.

    The first one goes ahead: what it refuses all would refuse, and it is to be said once.

    Returns:
        0 when every worker left well, otherwise 1.
    """
    first, *others = workers
    gone = asyncio.gather(first.keep_up(), *(_follow(first, each, stop) for each in others))
    await _either(gone, stop.asked.wait())
    stop.asked.set()  # if it was not, a fault of ours ended a task; start nothing any more
    log.info("stopping workers", leave_seconds=leave_seconds)
    for worker in workers:
        worker.send(signal.SIGTERM)
    await _either(gone, stop.insisted.wait(), timeout_seconds=leave_seconds)
    if not gone.done():
        late = [worker.index for worker in workers if worker.pid is not None]
        log.warning("killing workers", workers=late)
        for worker in workers:
            worker.send(signal.SIGKILL)
    left_well = await gone
    log.info("workers stopped", left_well=left_well)
    return 0 if all(left_well) else 1


async def _follow(first: Worker, worker: Worker, stop: Stop) -> bool:
    await first.settled.wait()
    return stop.asked.is_set() or await worker.keep_up()


async def _either(
    gone: "asyncio.Future[list[bool]]",
    other: Coroutine[None, None, object],
    *,
    timeout_seconds: float | None = None,
) -> None:
    """Wait for the first of two, or until the time is over."""
    task = asyncio.create_task(other)
    await asyncio.wait((gone, task), timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
    task.cancel()


@contextmanager
def signals() -> Iterator[Stop]:
    """From here on signals are remembered; afterwards they mean what they meant before."""
    loop = asyncio.get_running_loop()
    stop = Stop(asyncio.Event(), asyncio.Event())

    def receive() -> None:
        (stop.insisted if stop.asked.is_set() else stop.asked).set()

    for which in SIGNALS:
        loop.add_signal_handler(which, receive)
    try:
        yield stop
    finally:
        for which in SIGNALS:
            loop.remove_signal_handler(which)
