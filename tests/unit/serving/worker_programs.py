"""Small programs that stand in for a service, and the `Worker` that runs one."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from serving.worker import Worker
from serving.worker_life import Backoff
from serving.worker_settings import Endpoint, Listener

ANSWERING = """
import asyncio, os, sys
from prometheus_client import CollectorRegistry
from serving.admin import admin_port
from serving.health import Health
from serving.process import signalled

async def main():
    async with admin_port(os.environ["ADMIN"], 0, Health("x"), CollectorRegistry()):
        await signalled()

asyncio.run(main())
raise SystemExit(int(sys.argv[1]))
"""
DEAF = """
import asyncio, os, signal
from prometheus_client import CollectorRegistry
from serving.admin import admin_port
from serving.health import Health

async def main():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    async with admin_port(os.environ["ADMIN"], 0, Health("x"), CollectorRegistry()):
        await asyncio.Event().wait()

asyncio.run(main())
"""
QUICK = Backoff(0.01, 0.04)
SLOW = Backoff(600, 600)
GENEROUS_SECONDS = 60.0
Until = Callable[[Callable[[], object]], Awaitable[None]]


def shell(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)


def answering(status: int = 0) -> tuple[str, ...]:
    return (sys.executable, "-c", ANSWERING, str(status))


def deaf() -> tuple[str, ...]:
    return (sys.executable, "-c", DEAF)


def worker(
    command: Sequence[str],
    stopping: asyncio.Event,
    *,
    index: int = 0,
    listener: Listener = None,
    backoff: Backoff = QUICK,
) -> Worker:
    name = f"@tollhouse-test-{secrets.token_hex(8)}"
    place = Endpoint(index, {**os.environ, "ADMIN": name}, listener, name)
    return Worker(place, command, stopping, backoff=backoff)


def state(one: Worker) -> tuple[int | None, bool, int]:
    return one.pid, one.up, one.restarts


@asynccontextmanager
async def kept_up(kept: Worker, stopping: asyncio.Event) -> AsyncIterator[asyncio.Task[bool]]:
    """Whatever the body does, no process is left."""
    task = asyncio.create_task(kept.keep_up())
    try:
        yield task
    finally:
        stopping.set()
        kept.send(signal.SIGKILL)
        await task
