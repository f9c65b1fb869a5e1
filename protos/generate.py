"""Generate the `_pb2` twins of every `.proto` in this folder, or check that they are current."""

import filecmp
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def generate(into: Path) -> list[Path]:
    """Write `into/protos/*_pb2.py` and `.pyi`; return the files written, sorted."""
    from grpc_tools import protoc

    builtin = Path(protoc.__file__).parent / "_proto"
    sources = sorted(f"protos/{path.name}" for path in HERE.glob("*.proto"))
    status = protoc.main(
        [
            "protoc",
            f"-I{HERE.parent}",
            f"-I{builtin}",
            f"--python_out={into}",
            f"--pyi_out={into}",
            *sources,
        ]
    )
    if status:
        raise SystemExit(f"protoc ended with status {status}")
    return sorted((into / "protos").glob("*_pb2.py*"))


def stale(fresh: list[Path]) -> list[str]:
    """Name the checked-in files that differ from the fresh ones, are missing or have no source."""
    expected = {path.name for path in fresh}
    present = {path.name for path in HERE.glob("*_pb2.py*")}
    differing = {
        path.name
        for path in fresh
        if path.name in present and not filecmp.cmp(path, HERE / path.name, shallow=False)
    }
    return sorted(differing | (expected ^ present))


def main(arguments: list[str]) -> int:
    """Generate in place; with `--check` change nothing and return 1 when a file is stale."""
    if arguments != ["--check"]:
        for path in generate(HERE.parent):
            print(path.relative_to(HERE.parent))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        names = stale(generate(Path(folder)))
    for name in names:
        print(f"protos/{name}: stale; run `make protos`", file=sys.stderr)
    return 1 if names else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
