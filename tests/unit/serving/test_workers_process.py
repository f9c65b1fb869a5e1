"""A worker is a real process here: how it is started, asked, started again, and seen out."""

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from serving.worker import LOOK_SECONDS, Worker
from serving.worker_life import Backoff, Page
from serving.worker_settings import Endpoint, Listener
from serving.workers import Stop, run, signals

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


async def test_a_worker_is_up_when_it_answers_and_gone_when_told() -> None:
    stopping = asyncio.Event()
    one = worker(answering(), stopping)
    assert state(one) == (None, False, 0)
    assert await one.ask("/healthz", timeout_seconds=1) == Page(502, "does not listen")
    async with kept_up(one, stopping) as task:
        async with asyncio.timeout(GENEROUS_SECONDS):
            await one.settled.wait()
        assert one.up
        assert one.pid is not None
        assert one.pid == os.getpgid(one.pid) != os.getpgrp()
        assert await one.ask("/healthz", timeout_seconds=10) == Page(200, "ok\n")
        assert (await one.ask("/nothing", timeout_seconds=10)).status == 404
        stopping.set()
        one.send(signal.SIGTERM)
        async with asyncio.timeout(GENEROUS_SECONDS):
            assert await task
    assert state(one) == (None, False, 0)
    one.send(signal.SIGTERM)  # to nobody


async def test_a_worker_that_does_not_say_anything_is_not_waited_for(until: Until) -> None:
    stopping = asyncio.Event()
    one = worker(answering(), stopping)
    async with kept_up(one, stopping):
        await until(lambda: one.up)
        one.send(signal.SIGSTOP)
        assert await one.ask("/healthz", timeout_seconds=0.05) == Page(504, "does not answer")
        one.send(signal.SIGCONT)
        assert (await one.ask("/healthz", timeout_seconds=10)).status == 200


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
async def test_a_worker_is_not_up_before_its_grpc_listener_is(
    until: Until, tmp_path: Path, family: socket.AddressFamily
) -> None:
    stopping = asyncio.Event()
    with socket.socket(family) as listening:
        listening.bind(str(tmp_path / "s") if family == socket.AF_UNIX else ("127.0.0.1", 0))
        one = worker(answering(), stopping, listener=listening.getsockname())
        async with kept_up(one, stopping):
            async with asyncio.timeout(GENEROUS_SECONDS):
                while (await one.ask("/healthz", timeout_seconds=10)).status != 200:
                    assert not one.up
            for _ in range(20):  # it looks again and again, and finds a port that does not listen
                await asyncio.sleep(LOOK_SECONDS / 5)
                assert not one.up
            listening.listen()
            await until(lambda: one.up)


async def test_a_killed_worker_is_started_again(until: Until) -> None:
    stopping = asyncio.Event()
    one = worker(answering(), stopping)
    async with kept_up(one, stopping):
        await until(lambda: one.up)
        first = one.pid
        with capture_logs() as lines:
            one.send(signal.SIGKILL)
            await until(lambda: one.restarts == 1 and one.up)
        assert one.pid not in (None, first)
        assert [(line["event"], line.get("status")) for line in lines] == [
            ("worker ended", -9),
            ("worker up", None),
        ]


@pytest.mark.parametrize("script", ["exit 3", "exit 0", "kill -SEGV $$"])
async def test_a_worker_that_dies_at_once_again_and_again_is_left_dead_ever_longer(
    until: Until, script: str
) -> None:
    stopping = asyncio.Event()
    one = worker(shell(script), stopping)
    start = asyncio.get_running_loop().time()
    with capture_logs() as lines:
        async with kept_up(one, stopping) as task:
            await until(lambda: one.restarts == 4)
            took_seconds = asyncio.get_running_loop().time() - start
            assert not task.done()
    waits = [line["restart_in_seconds"] for line in lines if line["event"] == "worker ended"]
    assert waits[:4] == [0.01, 0.02, 0.04, 0.04]
    assert took_seconds >= 0.11


@pytest.mark.parametrize(
    ("command", "status"), [(shell("exit 1"), 1), (shell("exit 2"), 2), (("/nowhere",), None)]
)
async def test_a_worker_that_refuses_its_first_start_stops_all(
    command: Sequence[str], status: int | None
) -> None:
    stopping = asyncio.Event()
    one = worker(command, stopping)
    with capture_logs() as lines:
        async with asyncio.timeout(GENEROUS_SECONDS):
            assert not await one.keep_up()
    assert stopping.is_set()
    assert one.settled.is_set()
    assert one.restarts == 0
    assert [(line["event"], line["status"]) for line in lines[-1:]] == [
        ("worker refuses to start", status)
    ]


async def test_what_cannot_be_started_again_is_tried_again(until: Until, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\nrm -- "$0"\nexit 3\n')
    program.chmod(0o700)
    stopping = asyncio.Event()
    one = worker((str(program),), stopping)
    with capture_logs() as lines:
        async with kept_up(one, stopping) as task:
            await until(lambda: one.restarts >= 3)
            assert not task.done()
    assert "cannot start worker" in [line["event"] for line in lines]


async def test_a_dead_worker_is_not_waited_for_when_all_stop() -> None:
    stopping = asyncio.Event()
    one = worker(shell("exit 3"), stopping, backoff=SLOW)
    async with kept_up(one, stopping) as task:
        async with asyncio.timeout(GENEROUS_SECONDS):
            await one.settled.wait()
            stopping.set()
            assert await task
    assert one.restarts == 0


async def test_a_worker_whose_start_and_the_stop_cross_is_told() -> None:
    stopping = asyncio.Event()
    one = worker(shell("sleep 600"), stopping)
    async with kept_up(one, stopping) as task:
        await asyncio.sleep(0)  # it is on its way, and no one can tell it yet
        assert one.pid is None
        stopping.set()
        async with asyncio.timeout(GENEROUS_SECONDS):
            assert await task


async def test_a_worker_that_refuses_while_all_stop_has_not_drained(until: Until) -> None:
    stopping = asyncio.Event()
    one = worker(answering(1), stopping)
    async with kept_up(one, stopping) as task:
        await until(lambda: one.up)
        stopping.set()
        one.send(signal.SIGTERM)
        assert not await task


def stop() -> Stop:
    return Stop(asyncio.Event(), asyncio.Event())


async def all_up(until: Until, workers: Sequence[Worker]) -> None:
    await until(lambda: all(worker.up for worker in workers))


@asynccontextmanager
async def running(
    workers: Sequence[Worker], told: Stop, leave_seconds: float
) -> AsyncIterator[asyncio.Task[int]]:
    task = asyncio.create_task(run(workers, told, leave_seconds=leave_seconds))
    try:
        yield task
    finally:
        told.asked.set()
        told.insisted.set()
        await asyncio.wait([task])


async def test_all_workers_are_told_at_once_and_seen_out(until: Until) -> None:
    told = stop()
    workers = [worker(answering(), told.asked, index=index) for index in range(2)]
    async with running(workers, told, GENEROUS_SECONDS) as task:
        await all_up(until, workers)
        told.asked.set()
        async with asyncio.timeout(GENEROUS_SECONDS):
            assert await task == 0
    assert [worker.pid for worker in workers] == [None, None]


async def test_a_worker_that_stays_is_killed_when_its_time_is_over(until: Until) -> None:
    told = stop()
    workers = [worker(answering(), told.asked), worker(deaf(), told.asked, index=1)]
    with capture_logs() as lines:
        async with running(workers, told, 3.0) as task:
            await all_up(until, workers)
            told.asked.set()
            async with asyncio.timeout(GENEROUS_SECONDS):
                assert await task == 1
    assert [line["workers"] for line in lines if line["event"] == "killing workers"] == [[1]]
    assert [line["left_well"] for line in lines if line["event"] == "workers stopped"] == [
        [True, False]
    ]


async def test_who_insists_does_not_wait(until: Until) -> None:
    told = stop()
    workers = [worker(deaf(), told.asked)]
    async with running(workers, told, 600) as task:
        await all_up(until, workers)
        told.asked.set()
        told.insisted.set()
        async with asyncio.timeout(GENEROUS_SECONDS):
            assert await task == 1


async def test_after_a_refusal_of_the_first_the_others_are_not_started(tmp_path: Path) -> None:
    told = stop()
    started = tmp_path / "started"
    workers = [
        worker(shell("exit 1"), told.asked),
        worker(shell(f"touch {started}"), told.asked, index=1),
    ]
    async with asyncio.timeout(GENEROUS_SECONDS):
        assert await run(workers, told, leave_seconds=GENEROUS_SECONDS) == 1
    assert not started.exists()


async def test_a_refusal_of_a_later_one_sees_the_first_out() -> None:
    told = stop()
    workers = [worker(answering(), told.asked), worker(shell("exit 1"), told.asked, index=1)]
    with capture_logs() as lines:
        async with asyncio.timeout(GENEROUS_SECONDS):
            assert await run(workers, told, leave_seconds=GENEROUS_SECONDS) == 1
    assert [line["left_well"] for line in lines if line["event"] == "workers stopped"] == [
        [True, False]
    ]


async def test_a_fault_of_our_own_ends_the_supervisor_and_says_so() -> None:
    told = stop()
    workers = [worker(("a command\0that no system takes",), told.asked)]
    async with asyncio.timeout(GENEROUS_SECONDS):
        with pytest.raises(ValueError, match="null byte"):
            await run(workers, told, leave_seconds=GENEROUS_SECONDS)
    assert told.asked.is_set()


async def test_the_first_signal_asks_and_the_second_insists() -> None:
    with signals() as told:
        os.kill(os.getpid(), signal.SIGINT)
        async with asyncio.timeout(20):
            await told.asked.wait()
        assert not told.insisted.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(20):
            await told.insisted.wait()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
