"""The command line of both services: what is run, what is printed, the exit status."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from serving.command import run
from serving.problems import ConfigError, Place, Problem


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
    assert run("rls", ["serve"], lambda: served.append("yes"), unused) == 0
    assert served == ["yes"]
    assert capsys.readouterr() == ("", "")


def test_check_is_given_the_paths_and_its_line_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def check(files: Sequence[Path]) -> str:
        assert files == [Path("a.yaml"), Path("folder")]
        return "ok: 2 domains"

    assert run("rls", ["check", "a.yaml", "folder"], unused_serve, check) == 0
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
    assert run("rls", ["serve"], serve, unused) == 1
    assert capsys.readouterr() == ("", printed)


@pytest.mark.parametrize("arguments", [[], ["check"], ["sreve"], ["serve", "now"]])
def test_wrong_arguments_are_status_2_and_a_usage_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run("rls", arguments, unused_serve, unused)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: python -m rls")
