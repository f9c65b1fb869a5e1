"""Background work, the signals that end a process, and the order of a drain."""

import asyncio
import os
import signal
import sys

import pytest
from structlog.testing import capture_logs

from serving.health import Health
from serving.process import background, drain, signalled

PROGRAM = """
import asyncio
from serving.process import signalled

async def main():
    waiting = asyncio.create_task(signalled())
    await asyncio.sleep(0)
    print("waiting", flush=True)
    print(await waiting, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_names_the_signal_that_ends_it(which: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        assert await process.stdout.readline() == b"waiting\n"
        process.send_signal(which)
        assert await process.stdout.readline() == f"{which.name}\n".encode()
        assert await process.wait() == 0


async def test_the_first_of_two_signals_is_the_one_named() -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    waiting = asyncio.create_task(signalled())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    async with asyncio.timeout(5):
        assert await waiting == "SIGTERM"
    assert faults == []


async def test_signals_mean_what_they_meant_before_once_the_wait_is_over() -> None:
    loop = asyncio.get_running_loop()
    waiting = asyncio.create_task(signalled())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not loop.remove_signal_handler(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


async def test_background_work_runs_beside_the_body_and_is_cancelled_at_its_end() -> None:
    seen: list[str] = []
    started = asyncio.Event()

    async def work() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    async with asyncio.timeout(5), background(work()) as task:
        await started.wait()
        assert not task.done()
    assert seen == ["cancelled"]
    assert task.cancelled()


async def test_a_cancelled_body_stays_cancelled_though_its_background_work_is_slow_to_end() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            started.set()
            await ended.wait()

    async def body() -> None:
        async with background(work()):
            await asyncio.sleep(0)

    outer = asyncio.create_task(body())
    async with asyncio.timeout(5):
        await started.wait()
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
    ended.set()
    await asyncio.sleep(0)


async def test_background_work_that_has_finished_is_left_in_peace() -> None:
    async def work() -> None:
        pass

    async with asyncio.timeout(5), background(work()) as task:
        await task
    assert not task.cancelled()


async def test_background_work_that_fails_is_logged_at_once_and_raised_at_the_end() -> None:
    async def work() -> None:
        raise ValueError("the watch broke")

    running = background(work())
    task = await running.__aenter__()
    with capture_logs() as lines:
        await asyncio.wait([task])
    assert [line["event"] for line in lines] == ["background task failed"]
    assert str(lines[0]["exc_info"]) == "the watch broke"
    with pytest.raises(ValueError, match="the watch broke"):
        await running.__aexit__(None, None, None)


class Journal:
    """An engine that writes down when it is told to stop, and what health says then."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self.stops: list[tuple[float, bool, float]] = []

    async def start(self) -> int:
        return 0

    async def stop(self, grace_seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        self.stops.append((grace_seconds, self._health.serving, now))


async def test_a_drain_says_not_serving_first_waits_and_then_stops_the_engine() -> None:
    health = Health("ratelimit")
    engine = Journal(health)
    loop = asyncio.get_running_loop()
    start = loop.time()
    draining = asyncio.create_task(drain(engine, health, delay_seconds=0.05, timeout_seconds=7))
    await asyncio.sleep(0)
    assert not health.serving
    assert health.components["drain"].reason == "draining"
    assert engine.stops == []
    async with asyncio.timeout(5):
        await draining
    ((grace, serving, stopped),) = engine.stops
    assert (grace, serving) == (7, False)
    assert stopped - start >= 0.05
