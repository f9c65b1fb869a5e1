"""Manifests on disk: written, compared, and named when stale."""

import subprocess
import sys

import pytest
import yaml

from deploy import render
from deploy.local.processes import ROOT


def test_checked_in_manifests_are_current():
    command = [sys.executable, "-m", "deploy.render", "--check"]
    checked = subprocess.run(command, capture_output=True, check=False, text=True, cwd=ROOT)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_what_was_written_is_not_stale(tmp_path, capsys):
    assert render.main([], tmp_path) == 0
    assert "deploy/kubernetes/rls.yaml" in capsys.readouterr().out.splitlines()
    assert render.main(["--check"], tmp_path) == 0
    assert capsys.readouterr() == ("", "")


def test_every_stale_file_is_named(tmp_path, capsys):
    render.write(tmp_path)
    (tmp_path / "rls.yaml").write_text("edited\n")
    (tmp_path / "valkey.yaml").unlink()
    (tmp_path / "orphan.yaml").write_text("")
    assert render.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"deploy/kubernetes/{name}: stale; run `make manifests`"
        for name in ("orphan.yaml", "rls.yaml", "valkey.yaml")
    ]
    assert (tmp_path / "rls.yaml").read_text() == "edited\n"


@pytest.mark.parametrize("name", sorted(render.sheets()))
def test_each_file_begins_with_its_comment_and_reads_back(name: str):
    sheet = render.sheets()[name]
    text = render.rendered(sheet)
    comment, separator, _ = text.partition("---\n")
    assert separator
    assert all(line.startswith("# ") for line in comment.splitlines())
    assert len(comment.splitlines()) > 3
    assert list(yaml.safe_load_all(text)) == sheet.documents


def test_texts_of_several_lines_stay_readable():
    text = render.rendered(render.sheets()["rls.yaml"])
    assert "  shop.yaml: |\n    # The limits of the demo" in text
