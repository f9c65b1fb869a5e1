"""Environment → settings: defaults, other names, every error at once, nothing secret shown."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from serving.problems import ConfigError
from serving.settings import as_text, names_of, read_settings, setting, shown_settings
from serving.values import duration_seconds, integer, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    grpc_port: int = setting(8081, integer(0, 65535), "the port")
    timeout_seconds: float = setting(
        0.5, duration_seconds, "how long", env=("TIMEOUT", "OLD_TIMEOUT", "OLDER_TIMEOUT")
    )
    password: str = setting("", text, "the password", secret=True)
    pin: int = setting(0, integer(0, 9), "a secret with a form", secret=True)
    derived: str = "not from the environment"


def refusals(environment: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_settings(Sample, environment)
    return str(caught.value).splitlines()


def test_unset_variables_leave_the_defaults() -> None:
    assert read_settings(Sample, {"UNRELATED": "x", "DERIVED": "x"}) == Sample()


def test_a_variable_is_the_field_in_upper_case_or_the_names_given() -> None:
    environment = {"GRPC_PORT": "9191", "OLD_TIMEOUT": "250ms", "PASSWORD": "s3cret"}
    assert read_settings(Sample, environment) == Sample(
        grpc_port=9191, timeout_seconds=0.25, password="s3cret"
    )


def test_the_field_name_is_no_variable_when_others_are_given() -> None:
    assert read_settings(Sample, {"TIMEOUT_SECONDS": "9s"}).timeout_seconds == 0.5


def test_every_malformed_value_is_refused_at_once_with_what_is_accepted() -> None:
    assert refusals({"GRPC_PORT": "http", "TIMEOUT": "3"}) == [
        "environment: GRPC_PORT: found 'http'; accepted: a whole number 0 to 65535",
        "environment: TIMEOUT: found '3'; accepted: a duration with its unit, such as 3s, 250ms"
        " or 1m30s",
    ]


def test_an_empty_value_is_a_value() -> None:
    assert refusals({"GRPC_PORT": ""}) == [
        "environment: GRPC_PORT: found ''; accepted: a whole number 0 to 65535"
    ]


def test_a_malformed_secret_is_not_shown() -> None:
    assert refusals({"PIN": "hunter2"}) == [
        "environment: PIN: found ***; accepted: a whole number 0 to 9"
    ]


def test_two_names_of_one_setting_may_agree() -> None:
    environment = {"TIMEOUT": "1s", "OLD_TIMEOUT": "1000ms"}
    assert read_settings(Sample, environment).timeout_seconds == 1.0


@pytest.mark.parametrize("first", ["TIMEOUT", "OLD_TIMEOUT"])
def test_two_names_of_one_setting_that_differ_are_refused_by_both_names(first: str) -> None:
    assert refusals({first: "1s", "OLDER_TIMEOUT": "2s"}) == [
        f"environment: OLDER_TIMEOUT: contradicts {first}, which is another name of it"
    ]


def test_settings_are_shown_under_their_first_name_without_secrets() -> None:
    assert shown_settings(Sample(password="s3cret")) == {
        "GRPC_PORT": "8081",
        "TIMEOUT": "0.5s",
        "PASSWORD": "***",
        "PIN": "0",
    }
    assert shown_settings(Sample())["PASSWORD"] == ""


def test_names_of_gives_our_name_first() -> None:
    declared = Sample.__dataclass_fields__
    assert names_of(declared["grpc_port"]) == ("GRPC_PORT",)
    assert names_of(declared["timeout_seconds"])[0] == "TIMEOUT"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (86400.0, "86400s"),
        ((), ""),
        ((Path("/a"), Path("/b")), "/a,/b"),
        ((("app", "web"), ("version", "v1")), "app=web,version=v1"),
        (8081, "8081"),
    ],
)
def test_a_value_is_shown_as_the_environment_would_have_it(value: object, text: str) -> None:
    assert as_text(value) == text
