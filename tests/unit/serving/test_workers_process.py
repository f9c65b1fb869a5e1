"""A worker is a real process here: how it is started, asked, and started again."""

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from serving.worker import LOOK_SECONDS
from serving.worker_life import Page
from tests.unit.serving.worker_programs import (
    GENEROUS_SECONDS,
    SLOW,
    Until,
    answering,
    kept_up,
    shell,
    state,
    worker,
)


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


async def test_what_ends_after_a_steady_life_is_started_again_at_once(
    until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.worker_life.STEADY_SECONDS", 0.0)
    stopping = asyncio.Event()
    one = worker(answering(1), stopping, backoff=SLOW)
    async with kept_up(one, stopping):
        await until(lambda: one.up)
        one.send(signal.SIGTERM)
        await until(lambda: one.up and one.restarts == 1)
        one.send(signal.SIGTERM)
        await until(lambda: one.restarts == 2)


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
