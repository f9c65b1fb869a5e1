"""Limits files → limits. What is refused, with its exact message, is in tests/cases/rls/refused."""

from pathlib import Path

import pytest

from rls.limits import Algorithm, Entry, Level, Node, RateLimit, Unit, Wildcard
from rls.limits_file import check, find_limits_files, read_limits
from serving.problems import ConfigError
from serving.reload import File

FILE = """
domain: edge
descriptors:
  - key: user
    value: ann
  - key: user
    rate_limit: {unit: Minute, requests_per_unit: 5}
    descriptors:
      - {key: path, value: /a*/b, rate_limit: {unit: YEAR, requests_per_unit: 0x10}}
  - key: plan
    value: 0x10
    rate_limit: {unit: second, requests_per_unit: 3, algorithm: token_bucket, burst: 9}
  - {key: plan, rate_limit: {unit: second, requests_per_unit: 3, algorithm: token_bucket}}
"""


def read(*texts: str) -> dict[str, Level]:
    files = [File(f"{number}.yaml", text) for number, text in enumerate(texts)]
    return dict(read_limits(files))


def bucket(burst: int, path: str) -> RateLimit:
    return RateLimit(3, Unit.SECOND, Algorithm.TOKEN_BUCKET, burst, path)


def test_a_file_becomes_a_tree() -> None:
    wide = Node(RateLimit(16, Unit.YEAR, path="edge.user.path_/a*/b"), None)
    below = Level({Entry("path", "/a*/b"): wide}, ((Wildcard("path", ("/a", "/b")), wide),), {})
    assert read(FILE) == {
        "edge": Level(
            {
                Entry("user", "ann"): Node(None, None),
                Entry("plan", "0x10"): Node(bucket(9, "edge.plan_0x10"), None),
            },
            (),
            {
                "user": Node(RateLimit(5, Unit.MINUTE, path="edge.user"), below),
                "plan": Node(bucket(3, "edge.plan"), None),
            },
        )
    }


@pytest.mark.parametrize(
    "text",
    [
        "domain: edge",
        "domain: edge\ndescriptors:",
        "domain: edge\ndescriptors: []",
        "# who\r\ndomain: edge\r\n",
    ],
)
def test_a_domain_may_be_without_descriptors(text: str) -> None:
    assert read(text) == {"edge": Level({}, (), {})}


@pytest.mark.parametrize("value", ["404", "yes", "0x10", "1.5", "2020-01-01", "'a b'", "~x"])
def test_a_value_keeps_its_source_text(value: str) -> None:
    limits = read(f"domain: edge\ndescriptors: [{{key: k, value: {value}}}]")
    assert list(limits["edge"].exact) == [Entry("k", value.strip("'"))]


@pytest.mark.parametrize("value", ["", "''", "null", "~"])
def test_an_empty_value_is_none(value: str) -> None:
    limits = read(f"domain: edge\ndescriptors: [{{key: k, value: {value}}}]")
    assert limits["edge"].key_only == {"k": Node(None, None)}


@pytest.mark.parametrize("block", ["", "null"])
def test_an_empty_rate_limit_is_none(block: str) -> None:
    limits = read(f"domain: edge\ndescriptors: [{{key: k, rate_limit: {block}}}]")
    assert limits["edge"].key_only == {"k": Node(None, None)}


def test_every_file_is_a_domain() -> None:
    assert set(read("domain: one", "domain: two")) == {"one", "two"}


def test_files_of_a_folder_are_found_in_order_and_dot_files_left_out(tmp_path: Path) -> None:
    generation = tmp_path / "..2026_11_25"
    for folder in (generation, tmp_path / "deeper"):
        folder.mkdir()
    for path in (
        generation / "limits.yaml",
        tmp_path / "deeper" / "a.yaml",
        tmp_path / "b.yml",
        tmp_path / ".hidden.yaml",
    ):
        path.write_text("domain: any")
    (tmp_path / "..data").symlink_to(generation)  # as Kubernetes mounts a ConfigMap
    (tmp_path / "limits.yaml").symlink_to(tmp_path / "..data" / "limits.yaml")
    found = [path.relative_to(tmp_path) for path in find_limits_files(tmp_path)]
    assert found == [Path("b.yml"), Path("deeper/a.yaml"), Path("limits.yaml")]


def test_a_folder_below_a_dot_folder_is_searched(tmp_path: Path) -> None:
    folder = tmp_path / ".mesh"
    folder.mkdir()
    (folder / "a.yaml").write_text("domain: any")
    assert find_limits_files(folder) == [folder / "a.yaml"]


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert find_limits_files(tmp_path / "gone") == []


def test_check_reads_files_and_folders(tmp_path: Path) -> None:
    folder, single = tmp_path / "folder", tmp_path / "single.conf"
    folder.mkdir()
    (folder / "one.yaml").write_text("domain: one")
    single.write_text("domain: two")
    assert set(check([folder, single])) == {"one", "two"}


def test_check_names_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: No such file or directory"):
        check([tmp_path / "gone.yaml"])
