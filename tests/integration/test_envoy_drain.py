"""
Trap 3: a rolling restart under load, through a real Envoy, loses no request.

SIGTERM → NOT_SERVING → DRAIN_DELAY → GOAWAY(2^31-1) → calls are served until the clients have left
or DRAIN_TIMEOUT is over → exit 0. Two servers, restarted one after the other while sixteen callers
ask without a pause; Envoy retries nothing.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from deploy.local.ports import reserved
from deploy.local.processes import Process
from tests.integration.hammer import Hammer
from tests.integration.toll_front import Front, RunningFront, running_fronts, write_endpoints
from tests.integration.toll_process import toll_server
from tests.integration.toll_server import GOAWAY_NOTICE

Until = Callable[[Callable[[], object]], Awaitable[None]]

LEARNS_SECONDS = 1.0
"""How late endpoint discovery tells Envoy that a server is leaving."""
DELAY_SECONDS = 2.0
"""Envoy hands a second change of health within one second to its workers a second late (the
cluster's `update_merge_window`), so no delay should be shorter than that and its interval."""
PATIENCE_SECONDS = 20.0


class Replicas:
    """Two toll servers and the Envoy before them."""

    def __init__(self, folder: Path, settings: dict[str, str], *less: str) -> None:
        self._folder, self._settings, self._less = folder, settings, less
        self._stack = ExitStack()
        self.ports: tuple[int, ...] = ()
        self._processes: dict[int, Process] = {}

    def __enter__(self) -> "Replicas":
        self.ports = self._stack.enter_context(reserved(2))
        for port in self.ports:
            self.start(port)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process._popen.kill()  # nobody is there any more to drain for
        self._stack.close()

    def start(self, port: int) -> None:
        server = toll_server(self._folder, port, self._settings, *self._less)
        self._processes[port] = self._stack.enter_context(server)

    async def stop(self, port: int) -> int:
        """SIGTERM, and the exit status."""
        popen = self._processes[port]._popen  # Process.stop keeps no exit status
        popen.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(popen.wait, PATIENCE_SECONDS)


@asynccontextmanager
async def load(envoy: RunningFront, name: str) -> AsyncIterator[Hammer]:
    """Callers that ask while the context is open."""
    over = False
    hammer = Hammer(envoy.ports[name])
    asking = asyncio.create_task(hammer.run(lambda: over))
    try:
        yield hammer
    finally:
        over = True
        await asking


def settings(transport: str, delay_seconds: float) -> dict[str, str]:
    delay = {"DRAIN_DELAY": f"{delay_seconds}s", "DRAIN_TIMEOUT": "10s"}
    return {"TRANSPORT": transport, **delay}


@pytest.mark.parametrize(
    ("transport", "delay_seconds"),
    [("fast", DELAY_SECONDS), ("grpcio", DELAY_SECONDS), ("fast", 0.0), ("grpcio", 0.0)],
)
async def test_trap_3_an_envoy_that_checks_health_loses_nothing(
    tmp_path: Path, until: Until, transport: str, delay_seconds: float
) -> None:
    """
    Envoy asks grpc.health every 200 ms and stops calling whoever is NOT_SERVING.

    Without the delay the port closes before it has asked again, and requests fail.
    """
    with Replicas(tmp_path, settings(transport, delay_seconds)) as replicas:
        front = Front(name="health", servers=replicas.ports, health_check=True)
        with running_fronts(tmp_path, [front]) as envoy:
            await until(lambda: envoy.healthy(front) == 2)
            async with load(envoy, front.name) as hammer:
                for port in replicas.ports:
                    assert await replicas.stop(port) == 0
                    await until(lambda: envoy.healthy(front) == 1)
                    replicas.start(port)
                    await until(lambda: envoy.healthy(front) == 2)
    assert (hammer.failed > 0) is (delay_seconds == 0)
    assert delay_seconds == 0 or hammer.answers[200] > 2_000


@pytest.mark.parametrize("transport", ["fast", "grpcio"])
async def test_trap_3_an_envoy_that_learns_of_it_a_second_later_loses_nothing(
    tmp_path: Path, until: Until, transport: str
) -> None:
    """No health checks: endpoint discovery takes the server away while it still serves."""
    with Replicas(tmp_path, settings(transport, DELAY_SECONDS)) as replicas:
        front = Front(name="endpoints", endpoints=tmp_path / "endpoints.json")
        write_endpoints(front, replicas.ports)
        with running_fronts(tmp_path, [front]) as envoy:
            await until(lambda: envoy.healthy(front) == 2)
            async with load(envoy, front.name) as hammer:
                for port in replicas.ports:
                    stopping = asyncio.create_task(replicas.stop(port))
                    await asyncio.sleep(LEARNS_SECONDS)  # what endpoint discovery takes
                    write_endpoints(front, [other for other in replicas.ports if other != port])
                    assert await stopping == 0
                    replicas.start(port)
                    write_endpoints(front, replicas.ports)
                    await until(lambda: envoy.healthy(front) == 2)
    assert hammer.failed == 0
    assert hammer.answers[200] > 2_000


@pytest.mark.parametrize(
    ("transport", "less"), [("fast", []), ("grpcio", []), ("fast", [GOAWAY_NOTICE])]
)
async def test_trap_3_a_connection_is_left_without_loss_while_it_is_in_use(
    tmp_path: Path, until: Until, transport: str, less: list[str]
) -> None:
    """
    The recipe by itself: connections that grow old under load are left by GOAWAY(2^31-1).

    Nothing else tells Envoy to leave, and the port stays open. A server that closes connections
    without that frame loses the calls that are on their way.
    """
    age = {"TRANSPORT": transport, "GRPC_MAX_CONNECTION_AGE": "300ms"}
    with reserved(1) as (port,), toll_server(tmp_path, port, age, *less):
        front = Front(name="age", servers=[port])
        with running_fronts(tmp_path, [front]) as envoy:
            async with load(envoy, front.name) as hammer:
                await until(lambda: envoy.stat("cluster.toll-age.upstream_cx_total") >= 6)
    assert (hammer.failed > 0) is bool(less)
