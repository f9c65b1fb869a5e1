"""The generated twins: `--check` names each one that is stale, missing or an orphan."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from protos.generate import HERE, generate, main, stale


def test_the_checked_in_files_are_current() -> None:
    assert main(["--check"]) == 0


def test_generating_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = generate(tmp_path / "one"), generate(tmp_path / "two")
    assert [path.name for path in one] == [path.name for path in two]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_every_definition_has_a_module_and_a_stub(tmp_path: Path) -> None:
    stems = {path.stem for path in HERE.glob("*.proto")}
    assert {path.name for path in generate(tmp_path)} == {
        f"{stem}_pb2{suffix}" for stem in stems for suffix in (".py", ".pyi")
    }


def test_a_fresh_file_that_differs_or_is_missing_here_is_stale(tmp_path: Path) -> None:
    fresh = generate(tmp_path)
    assert stale(fresh) == []
    fresh[0].write_text(fresh[0].read_text() + "# changed\n")
    missing = tmp_path / "protos" / "brand_new_pb2.py"
    missing.write_text("")
    assert stale([*fresh, missing]) == ["brand_new_pb2.py", fresh[0].name]


def test_a_file_here_without_a_source_is_stale(tmp_path: Path) -> None:
    orphan, *fresh = generate(tmp_path)
    assert stale(fresh) == [orphan.name]


class Checkout:
    """A copy of `protos/` with its own interpreter: what it does, `make protos` does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.protos = folder / "protos"
        shutil.copytree(HERE, self.protos, ignore=shutil.ignore_patterns("__pycache__"))

    def generate(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "protos.generate", *arguments],
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_check_names_every_file_and_changes_none(checkout: Checkout) -> None:
    changed = checkout.protos / "type_v3_pb2.py"
    changed.write_text("# edited by hand\n")
    (checkout.protos / "health_v1_pb2.pyi").unlink()
    (checkout.protos / "gone_pb2.py").write_text("")
    done = checkout.generate("--check")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"protos/{name}: stale; run `make protos`"
        for name in ("gone_pb2.py", "health_v1_pb2.pyi", "type_v3_pb2.py")
    ]
    assert changed.read_text() == "# edited by hand\n"


def test_a_definition_that_changed_makes_its_twins_stale(checkout: Checkout) -> None:
    definition = checkout.protos / "rpc_status.proto"
    definition.write_text(definition.read_text().replace("message = 2", "message = 3"))
    done = checkout.generate("--check")
    assert done.returncode == 1
    assert "protos/rpc_status_pb2.py: stale" in done.stderr


def test_generating_repairs_what_was_stale_and_prints_the_files(checkout: Checkout) -> None:
    (checkout.protos / "type_v3_pb2.py").write_text("# edited by hand\n")
    done = checkout.generate()
    assert (done.returncode, done.stderr) == (0, "")
    assert "protos/type_v3_pb2.py" in done.stdout.splitlines()
    assert checkout.generate("--check").returncode == 0


def test_a_definition_that_is_broken_ends_with_protoc_s_status(checkout: Checkout) -> None:
    (checkout.protos / "broken.proto").write_text("message {")
    done = checkout.generate("--check")
    assert done.returncode == 1
    assert "broken.proto:1:" in done.stderr
    assert "protoc ended with status 1" in done.stderr
