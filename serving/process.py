"""From start to exit: background tasks, the signal that ends a process, and the drain."""

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

import structlog

from serving.call import Engine
from serving.health import Health

log = structlog.get_logger()

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@asynccontextmanager
async def background(work: Coroutine[None, None, None]) -> AsyncIterator[asyncio.Task[None]]:
    """
    Run `work` beside the context's body and cancel it at the end.

    If it fails it is logged at once; the exception itself comes out when the context ends.
    """
    task = asyncio.create_task(work)
    task.add_done_callback(_log_failure)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])  # not `await task`: our own cancellation must stay ours
        if not task.cancelled():
            task.result()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("background task failed", exc_info=error)


async def signalled() -> str:
    """Wait for SIGTERM or SIGINT and return its name."""
    loop = asyncio.get_running_loop()
    received: asyncio.Future[str] = loop.create_future()

    def receive(which: signal.Signals) -> None:
        if not received.done():
            received.set_result(which.name)

    for which in SIGNALS:
        loop.add_signal_handler(which, receive, which)
    try:
        return await received
    finally:
        for which in SIGNALS:
            loop.remove_signal_handler(which)


async def drain(
    engine: Engine, health: Health, *, delay_seconds: float, timeout_seconds: float
) -> None:
    """
    Leave without losing a request.

    Health says NOT_SERVING first and the listener stays open for `delay_seconds`: the removal of
    an endpoint takes a second or two to reach every Envoy, and until then they still call us.
    Watches of our health have seen it by then and end; nothing else would end them.
    """
    health.report("drain", ready=False, reason="draining")
    log.info("draining", delay_seconds=delay_seconds, timeout_seconds=timeout_seconds)
    await asyncio.sleep(delay_seconds)
    health.close()
    await engine.stop(timeout_seconds)
    log.info("drained")
