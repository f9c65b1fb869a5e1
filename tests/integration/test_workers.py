"""`python -m rls serve --workers N`: real processes, seen from outside."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from deploy.local.ports import LOOPBACK
from tests.integration.supervisor import (
    SECONDS,
    Until,
    free_block,
    none_left,
    serving,
    supervised,
)


async def test_three_workers_answer_on_three_ports_behind_one_admin_port(
    tmp_path: Path, until: Until
) -> None:
    async with supervised(tmp_path, {}) as supervisor:
        await supervisor.answers("/readyz", 200)
        for port in range(supervisor.grpc_port, supervisor.grpc_port + 3):
            assert await serving(f"{LOOPBACK}:{port}")
        assert await supervisor.page("/healthz") == (200, "ok\n")
        ready = await supervisor.readyz()
        assert (ready["ready"], ready["not_ready"]) == (True, [])
        assert {index: state["ready"] for index, state in ready["workers"].items()} == {
            "0": True,
            "1": True,
            "2": True,
        }
        assert all(state["components"]["limits"]["ready"] for state in ready["workers"].values())
        pids = await supervisor.pids()
        assert len(set(pids)) == 3
        each = {"0": 1.0, "1": 1.0, "2": 1.0}
        assert await supervisor.samples("tollhouse_worker_up") == each
        assert await supervisor.samples("tollhouse_worker_restarts_total") == dict.fromkeys(each, 0)
        loads = await supervisor.samples("tollhouse_config_loads_total")
        assert sorted(loads) == ["0", "1", "2"]

        supervisor.process.send_signal(signal.SIGTERM)
        assert await supervisor.ends() == 0
        await none_left(until, pids)
        assert supervisor.log.read_text().count("event='drained'") == 3


async def test_a_killed_worker_comes_back_and_is_counted(tmp_path: Path) -> None:
    async with supervised(tmp_path, {}) as supervisor:
        await supervisor.answers("/readyz", 200)
        before = await supervisor.pids()
        os.kill(before[1], signal.SIGKILL)
        async with asyncio.timeout(SECONDS):
            while (await supervisor.samples("tollhouse_worker_restarts_total"))["1"] != 1:
                assert await supervisor.page("/healthz") == (200, "ok\n")
        await supervisor.answers("/readyz", 200)
        after = await supervisor.pids()
        assert (after[0], after[2]) == (before[0], before[2])
        assert after[1] != before[1]
        restarts = await supervisor.samples("tollhouse_worker_restarts_total")
        assert restarts == {"0": 0, "1": 1, "2": 0}
        assert await supervisor.samples("tollhouse_worker_up") == {"0": 1, "1": 1, "2": 1}
        assert await serving(f"{LOOPBACK}:{supervisor.grpc_port + 1}")
        supervisor.process.send_signal(signal.SIGINT)
        assert await supervisor.ends() == 0


async def test_a_worker_that_hangs_is_named_by_healthz_and_readyz(tmp_path: Path) -> None:
    async with supervised(tmp_path, {}, workers=2) as supervisor:
        await supervisor.answers("/readyz", 200)
        hanging = (await supervisor.pids())[1]
        os.kill(hanging, signal.SIGSTOP)
        try:
            assert await supervisor.page("/healthz") == (503, "worker 1 does not answer\n")
            body = await supervisor.readyz()
            assert (body["ready"], body["not_ready"]) == (False, ["1"])
            assert body["workers"]["0"]["ready"]
            assert body["workers"]["1"] == {
                "ready": False,
                "reason": "does not answer",
                "pid": hanging,
            }
        finally:
            os.kill(hanging, signal.SIGCONT)
        await supervisor.answers("/healthz", 200)


async def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path, until: Until) -> None:
    async with supervised(tmp_path, {}, workers=2) as supervisor:
        await supervisor.answers("/readyz", 200)
        pids = await supervisor.pids()
        supervisor.process.kill()
        assert await supervisor.ends() == -signal.SIGKILL
        await none_left(until, pids)
        assert supervisor.log.read_text().count("event='drained'") == 2


async def test_sockets_in_place_of_ports(tmp_path: Path) -> None:
    path = tmp_path / "rls.sock"
    async with supervised(tmp_path, {"GRPC_UDS": str(path)}, workers=2) as supervisor:
        await supervisor.answers("/readyz", 200)
        assert await serving(f"unix:{path}.0")
        assert await serving(f"unix:{path}.1")
        supervisor.process.send_signal(signal.SIGTERM)
        assert await supervisor.ends() == 0


async def test_authz_has_workers_too(tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    policies.mkdir()
    settings = {"POLICY_PATHS": str(policies)}
    async with supervised(tmp_path, settings, service="authz", workers=2) as supervisor:
        await supervisor.answers("/readyz", 200)
        assert await serving(f"{LOOPBACK}:{supervisor.grpc_port}")
        assert await serving(f"{LOOPBACK}:{supervisor.grpc_port + 1}")
        supervisor.process.send_signal(signal.SIGTERM)
        assert await supervisor.ends() == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"GRPC_PORT": "many"},
            "environment: GRPC_PORT: found 'many'; accepted: a whole number 0 to 65535\n",
        ),
        (
            {"GRPC_PORT": "6069", "ADMIN_PORT": "6070"},
            "environment: ADMIN_PORT: found 6070; accepted: a port outside 6069 to 6071, "
            "which the 3 workers listen on\n",
        ),
    ],
)
async def test_the_supervisor_refuses_what_it_can_see_itself(
    tmp_path: Path, settings: dict[str, str], message: str
) -> None:
    async with supervised(tmp_path, settings) as supervisor:
        assert await supervisor.ends() == 1
        assert supervisor.log.read_text() == message


async def test_what_only_a_worker_can_refuse_is_said_once(tmp_path: Path) -> None:
    settings = {"BACKEND_TYPE": "redis", "REDIS_SOCKET_TYPE": "tcp", "REDIS_URL": "://"}
    async with supervised(tmp_path, settings) as supervisor:
        assert await supervisor.ends() == 1
        log = supervisor.log.read_text()
        assert log.count("environment: REDIS_URL: ") == 1
        assert log.count("event='worker refuses to start'") == 1


async def test_broken_tls_is_said_once_though_it_is_read_last(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    settings = {
        "GRPC_SERVER_USE_TLS": "true",
        "GRPC_SERVER_TLS_CERT": str(missing),
        "GRPC_SERVER_TLS_KEY": str(tmp_path / "log"),
    }
    async with supervised(tmp_path, settings) as supervisor:
        assert await supervisor.ends() == 1
        log = supervisor.log.read_text()
        assert log.count(f"{missing}: No such file or directory") == 1


async def test_a_taken_admin_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = str(taken.getsockname()[1])
        async with supervised(tmp_path, {"ADMIN_PORT": port}) as supervisor:
            assert await supervisor.ends() == 1
            (line,) = supervisor.log.read_text().splitlines()
            assert line.startswith("rls: ")
            assert port in line


async def test_a_taken_port_of_a_later_worker_ends_all(tmp_path: Path) -> None:
    first = free_block(2)
    with socket.create_server((LOOPBACK, first + 1)):
        async with supervised(tmp_path, {"GRPC_PORT": str(first)}, workers=2) as supervisor:
            assert await supervisor.ends() == 1
    lines = supervisor.log.read_text().splitlines()
    (refusal,) = (line for line in lines if line.startswith("rls: "))
    assert str(first + 1) in refusal
    assert len([line for line in lines if "event='drained'" in line]) == 1


async def test_a_second_signal_does_not_wait_for_the_drain(tmp_path: Path, until: Until) -> None:
    async with supervised(tmp_path, {"DRAIN_DELAY": "1h"}, workers=2) as supervisor:
        await supervisor.answers("/readyz", 200)
        pids = await supervisor.pids()
        supervisor.process.send_signal(signal.SIGTERM)
        await until(lambda: supervisor.log.read_text().count("event='draining'") == 2)
        assert await supervisor.page("/healthz") == (200, "ok\n")
        await supervisor.answers("/readyz", 503)
        supervisor.process.send_signal(signal.SIGTERM)
        assert await supervisor.ends() == 1
        await none_left(until, pids)
