"""What a real process writes on standard error."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import asyncio, logging, sys, threading, warnings
import structlog
from serving.logs import configure_logs

configure_logs(sys.argv[1], sys.argv[2], "rls")
log = structlog.get_logger()

def boom(token="hunter2"):
    raise ValueError("boom\\nin two lines")

log.debug("quiet")
log.info("plain", port=8081, name="ä b")
log.warning("watch out")
thread = threading.Thread(target=lambda: log.warning("from a thread"))
thread.start()
thread.join()
try:
    boom()
except ValueError:
    log.exception("failed")
    logging.getLogger("aiohttp.server").exception("Error handling %s", "request")
logging.getLogger("watchfiles.main").info("a library's chatter")
"""


def lines(level: str, form: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, level, form],
        check=True,
        capture_output=True,
        timeout=30,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def events(level: str) -> list[str]:
    return [json.loads(line)["event"] for line in lines(level, "json")]


ALWAYS = ["watch out", "from a thread", "failed", "Error handling request"]


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("TRACE", ["quiet", "plain", *ALWAYS]),
        ("DEBUG", ["quiet", "plain", *ALWAYS]),
        ("INFO", ["plain", *ALWAYS]),
        ("WARN", ALWAYS),
        ("WARNING", ALWAYS),
        ("ERROR", ALWAYS[2:]),
        ("FATAL", []),
        ("PANIC", []),
    ],
)
def test_a_level_hides_what_is_below_it_and_libraries_only_complain(
    level: str, written: list[str]
) -> None:
    assert events(level) == written


@pytest.fixture(scope="module")
def by_event() -> dict[str, dict[str, Any]]:
    parsed = [json.loads(line) for line in lines("INFO", "json")]
    return {line["event"]: line for line in parsed}


def test_a_json_line_has_time_level_service_and_the_event_s_own_fields(
    by_event: dict[str, dict[str, Any]],
) -> None:
    line = by_event["plain"]
    assert line["timestamp"].endswith("Z")
    assert line == {
        "timestamp": line["timestamp"],
        "event": "plain",
        "level": "info",
        "service": "rls",
        "port": 8081,
        "name": "ä b",
    }


def test_every_line_names_the_service_also_from_threads_and_libraries(
    by_event: dict[str, dict[str, Any]],
) -> None:
    assert {line["service"] for line in by_event.values()} == {"rls"}
    assert all("timestamp" in line and "level" in line for line in by_event.values())


@pytest.mark.parametrize("event", ["failed", "Error handling request"])
def test_an_exception_is_structured_and_shows_no_local_variable(
    by_event: dict[str, dict[str, Any]], event: str
) -> None:
    line = by_event[event]
    assert line["level"] == "error"
    (trace,) = line["exception"]
    assert (trace["exc_type"], trace["exc_value"]) == ("ValueError", "boom\nin two lines")
    assert [frame["name"] for frame in trace["frames"]] == ["<module>", "boom"]
    assert "hunter2" not in json.dumps(line)


def test_a_text_line_is_one_line_and_begins_with_what_a_reader_looks_for() -> None:
    written = lines("INFO", "text")
    assert len(written) == 5
    assert all(line.startswith("timestamp='") for line in written)
    assert " level='info' service='rls' event='plain' port=8081 name='ä b'" in written[0]
    assert r"ValueError: boom\nin two lines" in written[3]
    assert "event='Error handling request'" in written[4]
    assert r"ValueError: boom\nin two lines" in written[4]
    assert "hunter2" not in "".join(written)
