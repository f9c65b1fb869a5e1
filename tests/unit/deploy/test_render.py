"""Rendered files on disk: written, compared, named when stale; traps and staleness both fail."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy import render
from deploy.local.processes import ROOT
from deploy.manifests.overlays import overlays

TEXTS = render.files()


def test_checked_in_manifests_are_current():
    command = [sys.executable, "-m", "deploy.render", "--check"]
    checked = subprocess.run(command, capture_output=True, check=False, text=True, cwd=ROOT)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_what_was_written_is_not_stale(tmp_path, capsys):
    assert render.main([], tmp_path) == 0
    assert "deploy/kubernetes/base/rls.yaml" in capsys.readouterr().out.splitlines()
    assert render.main(["--check"], tmp_path) == 0
    assert capsys.readouterr() == ("", "")


def test_every_stale_file_is_named(tmp_path, capsys):
    render.write(tmp_path)
    base = tmp_path / "kubernetes/base"
    (base / "valkey.yaml").unlink()
    (tmp_path / "helm/tollhouse/values.yaml").write_text("edited\n")
    (base / "orphan.yaml").write_text("")
    assert render.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"deploy/{name}: stale; run `make manifests`"
        for name in (
            "helm/tollhouse/values.yaml",
            "kubernetes/base/orphan.yaml",
            "kubernetes/base/valkey.yaml",
        )
    ]
    assert (tmp_path / "helm/tollhouse/values.yaml").read_text() == "edited\n"


def test_a_trap_in_a_file_fails_the_check(tmp_path, capsys):
    render.write(tmp_path)
    file = tmp_path / "kubernetes/overlays/ratelimit-sidecar/envoyfilter.yaml"
    file.write_text(file.read_text().replace("domain: shop", "domain: ''"))
    assert render.main(["--check"], tmp_path) == 1
    assert "empty domain" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(name for name in TEXTS if "/kubernetes" in f"/{name}"))
def test_each_manifest_begins_with_its_reasons_and_reads_back(name: str):
    comment, separator, _ = TEXTS[name].partition("---\n")
    assert separator
    assert all(line.startswith("# ") for line in comment.splitlines())
    assert len(comment.splitlines()) > 1
    assert all(yaml.safe_load_all(TEXTS[name]))


@pytest.mark.parametrize("overlay", overlays(), ids=lambda each: each.name)
def test_each_overlay_says_how_it_is_applied_and_lists_its_files(overlay):
    folder = f"deploy/kubernetes/overlays/{overlay.name}"
    assert f"kubectl apply -k {folder}" in overlay.about.replace(f"{folder}\n", f"{folder}\n")
    listed = yaml.safe_load(overlay.files()["kustomization.yaml"])["resources"]
    assert listed == [*overlay.on, *overlay.sheets]
    for included in overlay.on:
        assert (render.FOLDER / "kubernetes/overlays" / overlay.name / included).is_dir()


def test_the_readme_tells_of_every_overlay():
    text = (render.FOLDER / "README.md").read_text()
    assert [each.name for each in overlays() if f"`{each.name}`" not in text] == []


def test_texts_of_several_lines_stay_readable():
    assert "  shop.yaml: |\n    # The limits of the demo" in TEXTS["kubernetes/base/rls.yaml"]


@pytest.mark.parametrize("name", sorted(name for name in TEXTS if name.endswith(".json")))
def test_json_files_are_json(name: str):
    assert json.loads(TEXTS[name])


def test_no_rendered_file_names_a_path_of_this_machine():
    assert [name for name, text in TEXTS.items() if str(Path.home()) + "/" in text] == []
    assert [name for name, text in TEXTS.items() if str(ROOT) in text] == []
