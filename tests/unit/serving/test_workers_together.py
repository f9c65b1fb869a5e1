"""Several workers: who starts first, and how all are seen out."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from serving.worker import Worker
from serving.workers import Stop, run, signals
from tests.unit.serving.worker_programs import (
    GENEROUS_SECONDS,
    Until,
    answering,
    deaf,
    shell,
    state,
    worker,
)


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


async def test_a_first_worker_that_never_comes_up_does_not_keep_the_supervisor_from_stopping(
    until: Until,
) -> None:
    told = stop()
    workers = [worker(shell("sleep 600"), told.asked), worker(answering(), told.asked, index=1)]
    async with running(workers, told, GENEROUS_SECONDS) as task:
        await until(lambda: workers[0].pid is not None)
        told.asked.set()
        async with asyncio.timeout(GENEROUS_SECONDS):
            assert await task == 0
    assert state(workers[1]) == (None, False, 0)


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
