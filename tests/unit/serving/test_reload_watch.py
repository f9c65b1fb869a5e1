"""Changes are seen as they happen: real files, awaited by what is published."""

import asyncio
import os
import re
import resource
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from serving.health import Health
from serving.problems import ConfigError, Place, Problem
from serving.process import background
from serving.reload import File, Reload

NEVER_MS = 60_000
"""A recheck that does not come: only a notification can be what was seen."""
SOON_MS = 20

Until = Callable[[Callable[[], object]], Awaitable[None]]


class Watched:
    """A watched folder whose `*.conf` files are the configuration."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._published: asyncio.Queue[list[str]] = asyncio.Queue()
        self.refused = asyncio.Event()
        self.health = Health("test")
        self.reload = Reload(
            "limits",
            lambda: sorted(folder.rglob("[!.]*.conf")),
            self._parse,
            self._published.put_nowait,
            self.health,
            CollectorRegistry(),
        )

    def _parse(self, files: Sequence[File]) -> list[str]:
        texts = [file.text for file in files]
        if "bad" in texts:
            self.refused.set()
            raise ConfigError([Problem(Place("f", 1, 1, ""), "is bad")])
        return texts

    async def sees(self, *texts: str) -> None:
        """Wait until exactly these texts are published; a file half written may come before."""
        seen: list[list[str]] = []
        async with asyncio.timeout(20):
            while not seen or seen[-1] != list(texts):
                seen.append(await self._published.get())

    @asynccontextmanager
    async def running(self, recheck_ms: int) -> AsyncIterator[None]:
        self.reload.load()
        async with background(self.reload.watch([self._folder], recheck_ms)):
            await asyncio.sleep(0)  # it has looked which folders are there
            yield


async def started(watched: Watched, folder: Path) -> None:
    """Come back when the watch is up: it takes a moment, and a change before is not notified."""
    async with asyncio.timeout(20):
        for number in range(1000):
            (folder / "probe.conf").write_text(f"probe {number}")
            try:
                async with asyncio.timeout(0.2):
                    await watched.sees(f"probe {number}")
                    break
            except TimeoutError:
                continue
    (folder / "probe.conf").unlink()
    await watched.sees()


async def test_a_written_file_is_seen_by_notification(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    async with watched.running(NEVER_MS):
        await watched.sees()
        await started(watched, tmp_path)
        (tmp_path / "a.conf").write_text("one")
        await watched.sees("one")
        (tmp_path / "a.conf").write_text("two")
        await watched.sees("two")
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "b.conf").write_text("three")
        await watched.sees("two", "three")


async def test_a_file_renamed_over_another_is_seen(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    async with watched.running(NEVER_MS):
        await started(watched, tmp_path)
        (tmp_path / "a.conf").write_text("one")
        await watched.sees("one")
        (tmp_path / "new").write_text("two")
        os.replace(tmp_path / "new", tmp_path / "a.conf")
        await watched.sees("two")


def config_map(folder: Path, version: str, text: str) -> None:
    """Write a folder as the kubelet does: `..data` is swapped in one rename."""
    (folder / version).mkdir()
    (folder / version / "a.conf").write_text(text)
    (folder / "..data_tmp").symlink_to(version)
    os.replace(folder / "..data_tmp", folder / "..data")
    if not (folder / "a.conf").is_symlink():
        (folder / "a.conf").symlink_to("..data/a.conf")


class ConfigMap(Watched):
    """Watched like a mounted ConfigMap: only the top folder's own files count."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.reload = Reload(
            "limits",
            lambda: sorted(folder.glob("*.conf")),
            self._parse,
            self._published.put_nowait,
            self.health,
            CollectorRegistry(),
        )


async def test_a_config_map_is_seen_when_kubernetes_swaps_it(tmp_path: Path) -> None:
    config_map(tmp_path, "..2030_01_01", "one")
    watched = ConfigMap(tmp_path)
    async with watched.running(NEVER_MS):
        await watched.sees("one")
        (tmp_path / "a.conf").rename(tmp_path / "kept")
        await started(watched, tmp_path)
        (tmp_path / "kept").rename(tmp_path / "a.conf")
        await watched.sees("one")
        config_map(tmp_path, "..2030_01_02", "two")
        await watched.sees("two")
        shutil.rmtree(tmp_path / "..2030_01_01")
        config_map(tmp_path, "..2030_01_03", "three")
        await watched.sees("three")


def inodes_watched() -> set[int]:
    """What this process has inotify watches on, as the kernel tells."""
    found: set[int] = set()
    for file in Path("/proc/self/fdinfo").iterdir():
        with suppress(OSError):  # closed meanwhile
            found |= {int(each, 16) for each in re.findall(r"ino:([0-9a-f]+)", file.read_text())}
    return found


async def test_a_folder_that_appears_later_is_seen_and_then_followed(
    tmp_path: Path, until: Until
) -> None:
    folder = tmp_path / "later" / "config"
    watched = Watched(folder)
    async with watched.running(SOON_MS):
        await watched.sees()
        folder.mkdir(parents=True)
        (folder / "a.conf").write_text("one")
        await watched.sees("one")
        await until(lambda: folder.stat().st_ino in inodes_watched())
        shutil.rmtree(tmp_path / "later")
        await watched.sees()
        folder.mkdir(parents=True)
        (folder / "a.conf").write_text("two")
        await watched.sees("two")
        await until(lambda: folder.stat().st_ino in inodes_watched())


async def test_a_link_above_the_folder_may_be_swapped(tmp_path: Path, until: Until) -> None:
    for version in ("one", "two"):
        (tmp_path / version / "config").mkdir(parents=True)
        (tmp_path / version / "config" / "a.conf").write_text(version)
    (tmp_path / "current").symlink_to("one")
    watched = Watched(tmp_path / "current" / "config")
    async with watched.running(SOON_MS):
        await watched.sees("one")
        (tmp_path / "next").symlink_to("two")
        os.replace(tmp_path / "next", tmp_path / "current")
        await watched.sees("two")
        await until(lambda: (tmp_path / "two" / "config").stat().st_ino in inodes_watched())


async def test_a_broken_file_keeps_the_last_good_one_and_the_watch_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("good")
    watched = Watched(tmp_path)
    async with watched.running(SOON_MS):
        await watched.sees("good")
        (tmp_path / "a.conf").write_text("bad")
        async with asyncio.timeout(20):
            await watched.refused.wait()
        assert watched.health.serving
        (tmp_path / "a.conf").write_bytes(b"\xff")
        (tmp_path / "a.conf").write_text("better")
        await watched.sees("better")


@contextmanager
def no_file_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open("/", os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 1, hard))
    try:
        with suppress(OSError):
            while True:  # lower numbers may have become free
                taken.append(os.open("/", os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in taken:
            os.close(each)


async def test_without_inotify_handles_it_looks_now_and_then_and_says_so(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    async with watched.running(SOON_MS):
        await started(watched, tmp_path)  # whatever is imported late is imported now
    with capture_logs() as lines:
        async with background(watched.reload.watch([tmp_path], SOON_MS)):
            with no_file_descriptor_left():
                await asyncio.sleep(0)  # the watch starts and fails
            assert [line["event"] for line in lines] == ["cannot watch"]
            assert "Too many open files" in lines[0]["reason"]
            (tmp_path / "a.conf").write_text("one")
            await watched.sees("one")
            (tmp_path / "a.conf").write_text("two")
            await watched.sees("two")


@pytest.mark.parametrize("there", [True, False])
async def test_a_watch_ends_when_it_is_cancelled(tmp_path: Path, there: bool) -> None:
    folder = tmp_path if there else tmp_path / "missing"
    watched = Watched(folder)
    async with asyncio.timeout(20):
        async with watched.running(SOON_MS):
            await watched.sees()
