"""`make demo` as a newcomer runs it: the story, `--keep`, Ctrl-C, and nothing left behind."""

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.demo.__main__ import demo
from deploy.demo.story import STORY
from deploy.demo.table import statuses
from deploy.local.processes import ROOT

SECONDS = 60


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """The demo, keeping its files below `folder`; killed if the test fails to end it."""
    with subprocess.Popen(
        [sys.executable, "-m", "deploy.demo", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def left_behind(folder: Path) -> list[str]:
    """Files below `folder`, and processes that have it in their command line or environment."""
    found = [str(path) for path in folder.iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            about = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:  # it has ended, or is somebody else's
            continue
        if process.name != str(os.getpid()) and str(folder).encode() in about:
            found.append(process.name)
    return found


def read_until(process: "subprocess.Popen[str]", start: str) -> str:
    """What the demo prints, up to the line that begins with `start`."""
    assert process.stdout
    shown = ""
    for line in process.stdout:
        shown += line
        if line.startswith(start):
            return shown
    pytest.fail(f"no line begins with {start!r}:\n{shown}")


def status_of(curl: str) -> str:
    """The status of one of the printed commands, sent without curl, which a machine may lack."""
    *options, url = curl.removeprefix("curl -i ").split()
    request = urllib.request.Request(url)
    if options:
        name, _, value = Path(options[1].removeprefix("@")).read_text().strip().partition(": ")
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return str(error.code)


def test_the_story_comes_out_as_written_and_nothing_stays(tmp_path: Path):
    with started(tmp_path) as process:
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, ""), out
    assert f"{len(STORY)} of {len(STORY)} as expected" in out
    for step in STORY:
        (row,) = [line for line in out.splitlines() if line.startswith(f"{step.what}  ")]
        assert step.path in row
        assert row.count(statuses(step.statuses)) == 2
        assert step.decider in row
    assert left_behind(tmp_path) == []


def test_a_story_that_comes_out_otherwise_fails(tmp_path: Path, capsys):
    wrong = STORY[3]._replace(statuses=(429,))
    assert demo(tmp_path, keep=False, story=(STORY[0], wrong)) == 1
    shown = capsys.readouterr().out
    assert "1 of 2 as expected" in shown
    assert "429, allow by shop/callers  ← DIFFERS" in shown


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_keep_stays_until_it_is_told_to_end(tmp_path: Path, ending: signal.Signals):
    with started(tmp_path, "--keep") as process:
        shown = read_until(process, "Ctrl-C")
        commands = re.findall(r"^.*, (\d{3})[^:\n]*: +(curl .*)|^(200) .*: +(curl .*)", shown, re.M)
        asked = [(first or second, a or b) for first, a, second, b in commands]
        assert [status for status, _ in asked] == ["403", "403", "200"]
        assert [status_of(command) for _, command in asked] == ["403", "403", "200"]
        process.send_signal(ending)
        _, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, "")
    assert left_behind(tmp_path) == []


def test_an_interrupt_while_it_starts_leaves_nothing(tmp_path: Path):
    with started(tmp_path) as process:
        read_until(process, "starting")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert "interrupted" in err
    assert left_behind(tmp_path) == []
