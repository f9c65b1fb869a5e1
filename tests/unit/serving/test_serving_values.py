"""The text of a variable → a value, or what is accepted."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from serving.settings import read_settings
from serving.values import (
    PORT,
    ProcessSettings,
    boolean,
    choice,
    duration_seconds,
    integer,
    labels,
    names,
    permissions,
    text,
)

Parser = Callable[[str], Any]
folded = choice("text", "JSON", fold=True)


@pytest.mark.parametrize(
    ("parse", "found", "value"),
    [
        (text, " as it is ", " as it is "),
        *((boolean, found, True) for found in ("1", "t", "T", "true", "TRUE", "True")),
        *((boolean, found, False) for found in ("0", "f", "F", "false", "FALSE", "False")),
        (integer(1, 9), "1", 1),
        (integer(1, 9), "009", 9),
        (PORT, "0", 0),
        (PORT, "65535", 65535),
        (duration_seconds, "0", 0.0),
        (duration_seconds, "3s", 3.0),
        (duration_seconds, "250ms", 0.25),
        (duration_seconds, "1m30s", 90.0),
        (duration_seconds, "1.5h", 5400.0),
        (duration_seconds, "20us", 20e-6),
        (duration_seconds, "20µs", 20e-6),
        (duration_seconds, "5ns", 5e-9),
        (choice("single", "cluster"), "cluster", "cluster"),
        (folded, "json", "JSON"),
        (folded, "TEXT", "text"),
        (names, "a, b,,c ,", ("a", "b", "c")),
        (names, "", ()),
        (labels, "app=web, version=v1", (("app", "web"), ("version", "v1"))),
        (labels, "app = web,empty=", (("app", "web"), ("empty", ""))),
        (labels, "a=b=c", (("a", "b=c"),)),
        (labels, "", ()),
        (permissions, "0660", 0o660),
        (permissions, "777", 0o777),
        (permissions, "0", 0),
    ],
)
def test_what_is_accepted(parse: Parser, found: str, value: Any) -> None:
    assert parse(found) == (pytest.approx(value) if isinstance(value, float) else value)


DURATION = "a duration with its unit, such as 3s, 250ms or 1m30s"


@pytest.mark.parametrize(
    ("parse", "found", "wanted"),
    [
        *((boolean, found, "true, false, 1, 0, t, f") for found in ("yes", "tRUE", "", "2")),
        *(
            (integer(1, 9), found, "a whole number 1 to 9")
            for found in ("0", "10", "-1", "+1", "1.0", " 1", "", "²", "٣")
        ),
        (PORT, "65536", "a whole number 0 to 65535"),
        *(
            (duration_seconds, found, DURATION)
            for found in ("3", "", "s", "-3s", "1d", "3 s", "1.s", "3S", "٣s", "0.0")
        ),
        (choice("single", "cluster"), "Cluster", "single, cluster"),
        (choice("single", "cluster"), "", "single, cluster"),
        (folded, "xml", "text, JSON"),
        *((labels, found, "labels such as app=web,version=v1") for found in ("app", "=web", " =a")),
        (labels, "app=a,app=b", "each label once"),
        *(
            (permissions, found, "permissions in octal, such as 0660")
            for found in ("", "0668", "66", "01660", "-0660", "rw-rw----", "0o660")
        ),
    ],
)
def test_what_is_refused_and_what_it_should_have_been(
    parse: Parser, found: str, wanted: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        parse(found)


def test_a_process_has_defaults_that_drain_longer_than_an_endpoint_takes_to_vanish() -> None:
    settings = read_settings(ProcessSettings, {})
    assert settings.grpc_host == "0.0.0.0"
    assert settings.drain_delay_seconds >= 2
    assert (settings.log_format, settings.log_level) == ("text", "INFO")


def test_a_process_reads_its_own_names() -> None:
    settings = read_settings(
        ProcessSettings,
        {
            "GRPC_HOST": "127.0.0.1",
            "DRAIN_DELAY": "0",
            "DRAIN_TIMEOUT": "1s",
            "LOG_FORMAT": "JSON",
            "LOG_LEVEL": "warn",
        },
    )
    assert settings == ProcessSettings(
        grpc_host="127.0.0.1",
        drain_delay_seconds=0.0,
        drain_timeout_seconds=1.0,
        log_format="json",
        log_level="WARN",
    )
