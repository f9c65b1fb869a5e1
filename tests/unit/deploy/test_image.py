"""
The image and the compose file, without a Docker: what is copied is there, what is run runs.

A daemon that builds it is on few machines; `docker build --check` and `docker compose config` need
none, and are used where the client is.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy.local.processes import ROOT
from deploy.manifests.knobs import IMAGE, VALKEY_IMAGE
from deploy.manifests.pods import COMMANDS, USER
from deploy.manifests.shapes import GRACE_SECONDS, SHAPES
from deploy.render import FOLDER
from serving.settings import read_settings

DOCKERFILE = (FOLDER / "image" / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())


def copied() -> list[str]:
    """What the Dockerfile takes from the checkout."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.M)
    return [name for line in lines for name in line.split()[:-1]]


def test_what_is_copied_exists_and_docker_is_let_see_it():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    seen = tuple(line.removeprefix("!") for line in ignored if line.startswith("!"))
    assert copied()
    for name in copied():
        assert (ROOT / name).exists()
        assert name.startswith(seen)


def test_the_last_stage_is_nobody_and_starts_the_service_itself():
    last = DOCKERFILE.rpartition("FROM ")[2]
    assert f"USER {USER}:{USER}" in last
    assert 'CMD ["/bin/ratelimit"]' in last
    assert "gcc" not in last


@pytest.mark.parametrize("shape", SHAPES, ids=lambda each: each.name)
def test_the_programs_of_the_image_are_the_services(shape, tmp_path: Path):
    """Each without an argument serves; with `check` it checks, as the pods' operators will."""
    program = FOLDER / "image" / COMMANDS[shape.name]
    assert os.access(program, os.X_OK)
    files = ROOT / "config" / shape.name
    checked = subprocess.run(
        [sys.executable, str(program), "check", str(files)],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    assert 'or ["serve"]' in program.read_text()


@pytest.mark.parametrize("shape", SHAPES, ids=lambda each: each.name)
def test_compose_gives_what_the_services_read_and_time_to_drain(shape):
    import authz.settings
    import rls.settings

    kind = {"rls": rls.settings.Settings, "authz": authz.settings.Settings}[shape.name]
    service = COMPOSE["services"][shape.name]
    settings = read_settings(kind, service["environment"])
    (mount,) = service["volumes"]
    source, target, mode = mount.split(":")
    assert (FOLDER / source).resolve() == ROOT / "config" / shape.name
    assert mode == "ro"
    where = settings.limits_folder if shape.name == "rls" else settings.policy_paths[0]
    assert str(where) == target
    assert service["stop_grace_period"] == f"{GRACE_SECONDS}s"
    assert service["command"] == ["/bin/" + COMMANDS[shape.name]]
    assert (service["image"], service["read_only"]) == (IMAGE, True)


def test_compose_runs_what_the_manifests_run():
    services = COMPOSE["services"]
    assert services["valkey"]["image"] == VALKEY_IMAGE
    bootstrap, _, _ = services["envoy"]["volumes"][0].split(":")
    clusters = yaml.safe_load((FOLDER / bootstrap).read_text())["static_resources"]["clusters"]
    assert {each["name"] for each in clusters} <= services.keys()
    published = [port for each in services.values() for port in each.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in published)


@pytest.mark.skipif(shutil.which("docker") is None, reason="no docker client on this machine")
def test_compose_itself_takes_the_file():
    command = ["docker", "compose", "-f", str(FOLDER / "compose.yaml"), "config", "--quiet"]
    if subprocess.run([*command[:2], "version"], capture_output=True, check=False).returncode:
        pytest.skip("the docker client here has no compose")
    taken = subprocess.run(command, capture_output=True, check=False, text=True)
    assert (taken.returncode, taken.stderr) == (0, "")
