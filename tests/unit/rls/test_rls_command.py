"""`python -m rls`: its exit status and what it prints; `serve` is in tests/integration."""

from pathlib import Path

import pytest

from rls.__main__ import main, now_us

GOOD = (
    "domain: edge\ndescriptors: [{key: user, rate_limit: {unit: minute, requests_per_unit: 5}}]\n"
)
BROKEN = "domain: shop\ndescriptors: [{key: user, rate_limit: {unit: minuet}}]\nowner: me\n"


def test_check_says_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "edge.yaml").write_text(GOOD)
    (tmp_path / "a.yaml").write_text("domain: admin\n")
    assert main(["check", str(tmp_path)]) == 0
    assert capsys.readouterr() == ("ok: 2 domains (admin, edge)\n", "")


def test_check_lists_every_problem_of_every_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, broken, missing = (tmp_path / name for name in ("good.yaml", "broken.yaml", "gone.yaml"))
    good.write_text(GOOD)
    broken.write_text(BROKEN)
    assert main(["check", str(good), str(broken)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"{broken}:2:40: descriptors[0].rate_limit.unit: found 'minuet'; accepted: second, minute, "
        "hour, day, week, month, year; did you mean 'minute'?",
        f"{broken}:3:1: owner: unknown key 'owner'; accepted: domain, descriptors",
    ]
    assert main(["check", str(missing)]) == 1
    assert capsys.readouterr().err == f"{missing}: No such file or directory\n"


def test_serve_with_a_broken_environment_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BACKEND_TYPE", "memcache")
    assert main(["serve"]) == 1
    assert capsys.readouterr().err == (
        "environment: BACKEND_TYPE: found 'memcache'; accepted: redis, memory\n"
    )


@pytest.mark.parametrize("arguments", [[], ["check"], ["serv"]])
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m rls" in capsys.readouterr().err


def test_the_clock_is_the_wall_clock_in_microseconds() -> None:
    year_2020_us, year_2100_us = 1_577_836_800 * 10**6, 4_102_444_800 * 10**6
    assert year_2020_us < now_us() < year_2100_us
