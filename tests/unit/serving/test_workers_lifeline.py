"""The line between a process and the one that started it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from serving.lifeline import hold
from serving.process import signalled

STUBBORN = """
import signal, threading
from serving.lifeline import hold

signal.signal(signal.SIGTERM, signal.SIG_IGN)
hold(0, 0.5)
print("holding", flush=True)
threading.Event().wait()
"""


@pytest.fixture
def no_alarm() -> Iterator[None]:
    """Whatever happens, the test run itself is not ended by the alarm that a lifeline sets."""
    yield
    signal.alarm(0)


@pytest.mark.usefixtures("no_alarm")
async def test_the_end_of_the_line_is_sigterm_and_a_limit() -> None:
    waiting = asyncio.create_task(signalled())
    await asyncio.sleep(0)
    here, there = os.pipe()
    try:
        hold(here, 599.5)
        os.write(there, b"whatever is said before the end is ignored")
        os.close(there)
        async with asyncio.timeout(20):
            assert await waiting == "SIGTERM"
        assert 500 < signal.alarm(0) <= 600
    finally:
        os.close(here)


@pytest.mark.usefixtures("no_alarm")
async def test_a_line_that_cannot_be_read_has_ended() -> None:
    waiting = asyncio.create_task(signalled())
    await asyncio.sleep(0)
    here, there = os.pipe()
    try:
        hold(there, 600)  # the writing end
        async with asyncio.timeout(20):
            assert await waiting == "SIGTERM"
    finally:
        os.close(here)
        os.close(there)


def test_who_stays_after_the_limit_is_ended_by_the_kernel() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"holding\n"
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(timeout=20) == -signal.SIGALRM
