"""Start a program, know when it answers, and end it: by its id, and never leave it behind."""

import http.client
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from deploy.local.ports import LOOPBACK

ROOT = Path(__file__).parents[2]

START_SECONDS = 20.0
"""A busy machine starts Python and Envoy in seconds; one that needs longer is broken."""
STOP_SECONDS = 5.0
POLL_SECONDS = 0.02
LOG_TAIL_BYTES = 2_000

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
PASSED_ON_PREFIXES = ("PYTHON", "COVERAGE", "COV_")


class NotStarted(Exception):
    """A program ended, or did not answer in time; the text has the end of its log."""


class Process:
    """A running program and its log file."""

    def __init__(self, name: str, popen: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.log = log
        self._popen = popen

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def wait_until(self, answers: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Return when `answers` is true. Raises NotStarted when the program ended or is late."""
        give_up = time.monotonic() + seconds
        while not answers():
            if not self.running:
                raise NotStarted(f"{self.name} ended with {self._popen.returncode}\n{self._tail()}")
            if time.monotonic() > give_up:
                raise NotStarted(f"{self.name}: no answer in {seconds:g} s\n{self._tail()}")
            time.sleep(POLL_SECONDS)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ask the program to end; kill it when it has not after `seconds`."""
        self._popen.terminate()
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def _tail(self) -> str:
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
            return f"{self.log}:\n{file.read().decode(errors='replace')}"


@contextmanager
def running(
    name: str,
    command: Sequence[str | Path],
    folder: Path,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """
    Run a program while the context is open.

    Args:
        name: for messages; its output goes to `folder/name.log`.
        command: the program and its arguments.
        folder: where its log goes. It is started in the root of this checkout.
        settings: its environment. Of ours it gets only what finds programs and libraries, so that
            a REDIS_URL in somebody's shell changes nothing.

    Yields:
        The process, started but not yet asked whether it answers.
    """
    log = folder / f"{name}.log"
    with uninterrupted(), log.open("wb") as output:
        popen = subprocess.Popen(  # noqa: S603 - the commands are this package's own
            [str(part) for part in command],
            cwd=ROOT,
            env={**_passed_on(os.environ), **(settings or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A group of its own: the terminal's Ctrl-C goes to us alone, and we end the programs
            # in the order in which they depend on each other.
            process_group=0,
        )
        process = Process(name, popen, log)
    try:
        yield process
    finally:
        with uninterrupted():
            process.stop()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """
    Hold back Ctrl-C and its like until the end of the context, then deliver the first of them.

    Between the birth of a program and our note of it, and while it is being ended, an exception
    in our own process would leave it behind.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    received: list[int] = []

    def receive(number: int, _: FrameType | None) -> None:
        received.append(number)

    before = {each: signal.signal(each, receive) for each in ENDING}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        if received:
            os.kill(os.getpid(), received[0])


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into what Ctrl-C is: a KeyboardInterrupt that unwinds contexts."""

    def interrupt(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {each: signal.signal(each, interrupt) for each in ENDING}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def http_answers(port: int, path: str, status: int = 200) -> Callable[[], bool]:
    """A question for `wait_until`: does a GET on the loopback port get this status?"""

    def ask() -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=1)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == status
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return ask


def _passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
    }
