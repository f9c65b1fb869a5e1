"""The command line of both services: what is run, what is printed, the exit status."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from serving.command import run
from serving.problems import ConfigError, Place, Problem
from serving.settings import setting
from serving.values import PORT, ProcessSettings, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(ProcessSettings):
    grpc_port: int = setting(8081, PORT, "gRPC")
    admin_host: str = setting("127.0.0.1", text, "admin")
    admin_port: int = setting(6070, PORT, "admin")


def refuse() -> None:
    raise ConfigError([Problem(Place("a.yaml", line, 1, "domain"), "is empty") for line in (7, 3)])


def occupied() -> None:
    raise OSError("cannot listen on 127.0.0.1:8081")


def unused(_: Sequence[Path] = ()) -> str:
    pytest.fail("the other command was asked for")


def unused_serve() -> None:
    unused()


def test_serve_runs_until_it_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    served: list[str] = []
    assert run("rls", ["serve"], lambda: served.append("yes"), unused, Settings) == 0
    assert (
        run("rls", ["serve", "--workers", "1"], lambda: served.append("1"), unused, Settings) == 0
    )
    assert served == ["yes", "1"]
    assert capsys.readouterr() == ("", "")


def test_check_is_given_the_paths_and_its_line_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def check(files: Sequence[Path]) -> str:
        assert files == [Path("a.yaml"), Path("folder")]
        return "ok: 2 domains"

    assert run("rls", ["check", "a.yaml", "folder"], unused_serve, check, Settings) == 0
    assert capsys.readouterr() == ("ok: 2 domains\n", "")


@pytest.mark.parametrize(
    ("serve", "printed"),
    [
        (refuse, "a.yaml:3:1: domain: is empty\na.yaml:7:1: domain: is empty\n"),
        (occupied, "rls: cannot listen on 127.0.0.1:8081\n"),
    ],
)
def test_a_refused_configuration_or_address_is_printed_and_status_1(
    capsys: pytest.CaptureFixture[str], serve: object, printed: str
) -> None:
    assert callable(serve)
    assert run("rls", ["serve"], serve, unused, Settings) == 1
    assert capsys.readouterr() == ("", printed)


@pytest.mark.parametrize("arguments", [[], ["check"], ["sreve"], ["serve", "now"]])
def test_wrong_arguments_are_status_2_and_a_usage_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run("rls", arguments, unused_serve, unused, Settings)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: python -m rls")


@pytest.mark.parametrize("count", ["0", "65", "-1", "two", ""])
def test_a_number_of_workers_that_cannot_be_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], count: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        run("rls", ["serve", f"--workers={count}"], unused_serve, unused, Settings)
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert f"argument --workers: found {count!r}; accepted: a whole number 1 to 64" in printed


def test_a_supervisor_refuses_a_broken_environment_before_it_starts_anything(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRPC_PORT", "many")
    assert run("rls", ["serve", "--workers", "3"], unused_serve, unused, Settings) == 1
    assert capsys.readouterr() == (
        "",
        "environment: GRPC_PORT: found 'many'; accepted: a whole number 0 to 65535\n",
    )
