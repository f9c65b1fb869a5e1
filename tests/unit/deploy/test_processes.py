"""Programs: started, waited for, ended; nothing is left behind."""

import os
import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from deploy.local.ports import reserved
from deploy.local.processes import (
    NotStarted,
    ended_by_signals,
    http_answers,
    running,
    uninterrupted,
)

PYTHON = sys.executable
SLEEPS = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPS}"


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def says_up(process):
    return lambda: b"up" in process.log.read_bytes()


def test_a_program_lives_as_long_as_its_context(tmp_path):
    with running("sleeper", [PYTHON, "-c", SLEEPS], tmp_path) as process:
        process.wait_until(says_up(process))
        assert process.running
        assert exists(process.pid)
    assert not process.running
    assert not exists(process.pid)


def test_it_ends_when_the_context_fails(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        running("sleeper", [PYTHON, "-c", SLEEPS], tmp_path) as process,
    ):
        raise ZeroDivisionError
    assert not exists(process.pid)


def test_one_that_does_not_want_to_end_is_killed(tmp_path):
    with running("stubborn", [PYTHON, "-c", STUBBORN], tmp_path) as process:
        process.wait_until(says_up(process))
        process.stop(seconds=0.1)
        assert not process.running


def test_one_that_ends_early_is_reported_with_its_log(tmp_path):
    command = [PYTHON, "-c", "print('no such file'); raise SystemExit(3)"]
    with (
        running("broken", command, tmp_path) as process,
        pytest.raises(NotStarted, match=r"broken ended with 3\n.*broken.log:\nno such file"),
    ):
        process.wait_until(lambda: False)


def test_one_that_is_late_is_reported(tmp_path):
    with running("late", [PYTHON, "-c", SLEEPS], tmp_path) as process:
        process.wait_until(says_up(process))
        with pytest.raises(NotStarted, match=r"late: no answer in 0.05 s"):
            process.wait_until(lambda: False, seconds=0.05)


def test_only_the_end_of_a_long_log_is_shown(tmp_path):
    command = [PYTHON, "-c", "print('first', 'x' * 5000, 'last')"]
    with (
        running("talker", command, tmp_path) as process,
        pytest.raises(NotStarted, match="last") as raised,
    ):
        process.wait_until(lambda: False)
    assert "first" not in str(raised.value)


def test_settings_of_our_own_environment_do_not_get_through(tmp_path, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "somewhere:6379")
    command = [PYTHON, "-c", "import os; print(dict(os.environ))"]
    with (
        running("env", command, tmp_path, {"GRPC_PORT": "1"}) as process,
        pytest.raises(NotStarted, match="ended with 0"),
    ):
        process.wait_until(lambda: False)
    log = process.log.read_text()
    assert "REDIS_URL" not in log
    assert "'GRPC_PORT': '1'" in log
    assert "'PATH'" in log


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell starts background jobs with SIGINT ignored, and CI may be one: Python keeps that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_waits_until_a_program_is_safe():
    steps = []

    def critical() -> None:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            steps.append("finished first")

    with pytest.raises(KeyboardInterrupt):
        critical()
    assert steps == ["finished first"]


def test_handlers_are_as_before():
    before = signal.getsignal(signal.SIGTERM)
    with uninterrupted():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_programs_can_be_run_from_another_thread(tmp_path):
    """The load test starts its mesh there; only the main thread can hold signals back."""
    left = []

    def run() -> None:
        with running("sleeper", [PYTHON, "-c", SLEEPS], tmp_path) as process:
            left.append(process)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not exists(left[0].pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_every_way_to_end_us_unwinds(number: signal.Signals):
    with pytest.raises(KeyboardInterrupt, match=number.name), ended_by_signals():
        os.kill(os.getpid(), number)


def test_a_port_where_nobody_listens_does_not_answer():
    with reserved(1) as (port,):
        assert not http_answers(port, "/")()
