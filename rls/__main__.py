"""`python -m rls serve` and `python -m rls check FILES…`: the composition root."""

import os
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
import uvloop
from prometheus_client import CollectorRegistry

from rls.counters import CounterStore
from rls.counters.link import Link
from rls.counters.memory import MemoryStore
from rls.counters.valkey import SCRIPT, ValkeyStore
from rls.limits import Limits
from rls.limits_file import check, find_limits_files, read_limits
from rls.service import RateLimitService
from rls.settings import Settings
from rls.statistics import Statistics
from serving.admin import admin_port
from serving.command import run
from serving.engines import listening
from serving.health import Health
from serving.logs import configure_logs
from serving.process import background, drain, signalled
from serving.reload import Reload
from serving.settings import read_settings, shown_settings

log = structlog.get_logger()


def now_us() -> int:
    """The wall clock, read for each request: a pod whose clock is set follows at once."""
    return time.time_ns() // 1000


async def serve(settings: Settings) -> None:
    """Start in this order, wait for SIGTERM or SIGINT, stop in reverse."""
    log.info("starting", **shown_settings(settings))
    health, registry, statistics = Health("ratelimit"), CollectorRegistry(), Statistics()
    registry.register(statistics)
    async with AsyncExitStack() as stack:
        store: CounterStore = MemoryStore()
        if settings.backend_type == "redis":
            link = Link(
                settings.store_address(),
                connect_timeout_seconds=settings.redis_connect_timeout_seconds,
                op_timeout_seconds=settings.redis_op_timeout_seconds,
                scripts=[SCRIPT],
                health=health,
            )
            statistics.watch(link)
            store = ValkeyStore(link)
            await stack.enter_async_context(background(link.keep_up()))
        service = RateLimitService(store, now_us, statistics)
        folder = settings.limits_folder

        def publish(limits: Limits) -> None:
            service.publish(limits)
            if not limits:
                log.warning("no limits file found: nothing is limited", folder=str(folder))

        limits = Reload(
            "limits", lambda: find_limits_files(folder), read_limits, publish, health, registry
        )
        limits.load()
        await stack.enter_async_context(background(limits.watch([folder])))
        admin = await stack.enter_async_context(
            admin_port(settings.admin_host, settings.admin_port, health, registry)
        )
        engine, address = await stack.enter_async_context(
            listening(settings, settings.grpc_port, service.methods(), health, registry)
        )
        log.info("serving", grpc=address, admin_port=admin, limits=str(folder))
        log.info("stopping", signal=await signalled())
        await drain(
            engine,
            health,
            delay_seconds=settings.drain_delay_seconds,
            timeout_seconds=settings.drain_timeout_seconds,
        )


def main(arguments: list[str]) -> int:
    """Exit status: 0 done, 1 a configuration is refused or an address is taken, 2 usage."""

    def start() -> None:
        settings = read_settings(Settings, os.environ)
        configure_logs(settings.log_level, settings.log_format, "rls")
        uvloop.run(serve(settings))

    def check_files(files: list[Path]) -> str:
        limits = check(files)
        return f"ok: {len(limits)} domains ({', '.join(sorted(limits))})"

    return run("rls", arguments, start, check_files, Settings)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
