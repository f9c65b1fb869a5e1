"""One load: what is published, what is refused, what keeps serving."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from serving.health import Health
from serving.problems import ConfigError, Place, Problem
from serving.reload import File, Reload, read_files


class Rig:
    """A real Reload over the `*.conf` files of a folder; a file that says `bad` is refused."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.published: list[list[str]] = []
        self.health = Health("test")
        self.registry = CollectorRegistry()
        self.reload = Reload(
            "limits", self.find, self.parse, self.publish, self.health, self.registry
        )

    def find(self) -> Sequence[Path]:
        return sorted(self.folder.glob("*.conf"))

    def parse(self, files: Sequence[File]) -> list[str]:
        texts = [file.text for file in files]
        if "crash" in texts:
            raise ZeroDivisionError("nobody foresaw this")
        if "bad" in texts:
            raise ConfigError([Problem(Place("a.conf", 1, 1, ""), "is bad")])
        return texts

    def publish(self, configuration: list[str]) -> None:
        if configuration == ["unpublishable"]:
            raise RuntimeError("cannot be published")
        self.published.append(configuration)

    def write(self, text: str, name: str = "a.conf") -> None:
        (self.folder / name).write_text(text)

    def loads(self, result: str) -> float:
        labels = {"kind": "limits", "result": result}
        value = self.registry.get_sample_value("tollhouse_config_loads_total", labels)
        return value or 0


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_a_good_configuration_is_published_counted_and_ready(rig: Rig) -> None:
    rig.write("one")
    rig.write("two", "b.conf")
    with capture_logs() as lines:
        rig.reload.load()
    assert rig.published == [["one", "two"]]
    assert rig.health.components["limits"].ready
    assert (rig.loads("ok"), rig.loads("error")) == (1, 0)
    (line,) = (line for line in lines if line["event"] == "configuration loaded")
    assert line["kind"] == "limits"
    assert line["files"] == [str(rig.folder / "a.conf"), str(rig.folder / "b.conf")]


def test_no_file_at_all_is_for_parse_to_judge(rig: Rig) -> None:
    rig.reload.load()
    assert rig.published == [[]]


def test_unchanged_files_are_not_parsed_again(rig: Rig) -> None:
    rig.write("one")
    rig.reload.load()
    rig.write("one")
    rig.reload.load()
    assert rig.published == [["one"]]
    assert rig.loads("ok") == 1


@pytest.mark.parametrize("text", ["bad", "crash", "unpublishable"])
def test_without_anything_good_yet_a_broken_configuration_is_not_ready(rig: Rig, text: str) -> None:
    rig.write(text)
    rig.reload.load()
    state = rig.health.components["limits"]
    assert (state.ready, state.reason) == (False, "no good configuration yet")
    assert not rig.health.serving
    assert rig.published == []
    rig.write("good")
    rig.reload.load()
    assert rig.published == [["good"]]
    assert rig.health.serving


@pytest.mark.parametrize("text", ["bad", "crash", "unpublishable"])
def test_the_last_good_configuration_keeps_serving(rig: Rig, text: str) -> None:
    rig.write("good")
    rig.reload.load()
    rig.write(text)
    rig.reload.load()
    rig.reload.load()
    assert rig.published == [["good"]]
    assert rig.health.serving
    assert (rig.loads("ok"), rig.loads("error")) == (1, 1)


def test_two_kinds_of_configuration_share_one_counter(rig: Rig) -> None:
    other = Reload("policies", list, rig.parse, rig.publish, rig.health, rig.registry)
    rig.reload.load()
    other.load()
    value = rig.registry.get_sample_value
    for kind in ("limits", "policies"):
        assert value("tollhouse_config_loads_total", {"kind": kind, "result": "ok"}) == 1


def test_a_file_that_is_put_back_is_loaded_again(rig: Rig) -> None:
    for text in ("good", "bad", "good"):
        rig.write(text)
        rig.reload.load()
    assert rig.published == [["good"], ["good"]]


def test_every_problem_is_a_line(rig: Rig) -> None:
    rig.write("bad")
    with capture_logs() as lines:
        rig.reload.load()
    assert [line["problem"] for line in lines if line["event"] == "configuration refused"] == [
        "a.conf:1:1: is bad"
    ]


def test_an_unforeseen_exception_is_logged_with_its_trace(rig: Rig) -> None:
    rig.write("crash")
    with capture_logs() as lines:
        rig.reload.load()
    assert {"event": "configuration not loaded", "exc_info": True}.items() <= lines[0].items()


def test_a_file_that_cannot_be_read_is_refused_once_until_it_changes(rig: Rig) -> None:
    (rig.folder / "a.conf").symlink_to(rig.folder / "gone")
    with capture_logs() as lines:
        rig.reload.load()
        rig.reload.load()
    refused = [line["problem"] for line in lines if line["event"] == "configuration refused"]
    assert refused == [f"{rig.folder / 'a.conf'}: No such file or directory"]
    assert rig.loads("error") == 1
    (rig.folder / "gone").write_text("here")
    rig.reload.load()
    assert rig.published == [["here"]]


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (PermissionError(13, "Permission denied", "/etc/limits"), "/etc/limits: Permission denied"),
        (OSError("strange"), "None: strange"),
    ],
)
def test_a_folder_that_may_not_be_listed_is_a_problem_like_a_file(
    error: OSError, problem: str
) -> None:
    def find() -> Sequence[Path]:
        raise error

    health = Health("test")
    published: list[int] = []
    reload = Reload("limits", find, len, published.append, health, CollectorRegistry())
    with capture_logs() as lines:
        reload.load()
    assert [line["problem"] for line in lines if "problem" in line] == [problem]
    assert not health.ready
    assert published == []


def test_files_are_read_in_order_and_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes("ä".encode())
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfdomain: web\r\n")
    assert read_files([tmp_path / "b", tmp_path / "a"]) == (
        File(str(tmp_path / "b"), "ä"),
        File(str(tmp_path / "a"), "domain: web\n"),
    )


def test_every_unreadable_file_is_named_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    (tmp_path / "good").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError) as caught:
        read_files([tmp_path / name for name in ("latin", "good", "folder", "gone")])
    assert str(caught.value).splitlines() == [
        f"{tmp_path / 'folder'}: Is a directory",
        f"{tmp_path / 'gone'}: No such file or directory",
        f"{tmp_path / 'latin'}: not UTF-8: byte 3 is 0xe9",
    ]
