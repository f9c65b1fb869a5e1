"""A supervisor and its workers as the operator starts them, and what they say."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import grpc.aio
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.ports import LOOPBACK
from protos.health_v1_pb2 import HealthCheckRequest, HealthCheckResponse

Until = Callable[[Callable[[], object]], Awaitable[None]]
SECONDS = 60.0
"""Four Pythons start at once, on a machine that does other things as well."""

LIMITS = """
domain: edge
descriptors:
  - key: user
    rate_limit: {unit: hour, requests_per_unit: 3}
"""


def free_block(count: int) -> int:
    """The first of `count` consecutive ports, free a moment ago."""
    for _ in range(1_000):
        with ExitStack() as stack:
            first = stack.enter_context(socket.create_server((LOOPBACK, 0))).getsockname()[1]
            with suppress(OSError):
                for port in range(first + 1, first + count):
                    stack.enter_context(socket.create_server((LOOPBACK, port)))
                return int(first)
    raise AssertionError("no free ports")


class Supervisor(NamedTuple):
    """A running supervisor and where it answers."""

    process: Process
    grpc_port: int
    admin_port: int
    log: Path

    async def page(self, path: str) -> tuple[int, str]:
        """Status 0 while nobody answers."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://{LOOPBACK}:{self.admin_port}{path}") as answer,
            ):
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

    async def readyz(self) -> dict[str, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{LOOPBACK}:{self.admin_port}/readyz") as answer,
        ):
            body: dict[str, Any] = await answer.json()
            assert answer.status == (200 if body["ready"] else 503)
            return body

    async def pids(self) -> list[int]:
        return [state["pid"] for state in (await self.readyz())["workers"].values()]

    async def samples(self, name: str) -> dict[str, float]:
        """Worker → value."""
        _, text = await self.page("/metrics")
        return {
            sample.labels["worker"]: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        }

    async def answers(self, path: str, status: int) -> None:
        async with asyncio.timeout(SECONDS):
            while (await self.page(path))[0] != status:
                assert self.process.returncode is None, self.log.read_text()
                await asyncio.sleep(0.02)

    async def ends(self) -> int:
        async with asyncio.timeout(SECONDS):
            return await self.process.wait()


def alive(pid: int) -> bool:
    """False for a zombie too: its parent is gone, and nobody may be there to bury it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def none_left(until: Until, pids: list[int]) -> None:
    await until(lambda: not any(map(alive, pids)))


@asynccontextmanager
async def supervised(
    folder: Path, settings: Mapping[str, str], *, service: str = "rls", workers: int = 3
) -> AsyncIterator[Supervisor]:
    """Start a supervisor; whatever happens, it and its workers are gone at the end."""
    (folder / "config").mkdir()
    (folder / "config" / "edge.yaml").write_text(LIMITS)
    first = free_block(workers + 1)
    environment = {
        **os.environ,
        "BACKEND_TYPE": "memory",
        "RUNTIME_ROOT": str(folder),
        "GRPC_HOST": LOOPBACK,
        "GRPC_PORT": str(first + 1),
        "ADMIN_PORT": str(first),
        "DRAIN_DELAY": "0",
        "DRAIN_TIMEOUT": "5s",
        **settings,
    }
    log = folder / "log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", service, "serve", "--workers", str(workers)),
            env=environment,
            stdin=DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield Supervisor(process, first + 1, first, log)
    finally:
        if process.returncode is None:
            process.kill()  # its workers see the end of their standard input
            await process.wait()


async def serving(target: str) -> bool:
    async with grpc.aio.insecure_channel(target) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        answer = await check(HealthCheckRequest(), timeout=SECONDS, wait_for_ready=True)
        return bool(answer.status == HealthCheckResponse.SERVING)
