"""Watch files → parse all → swap one reference; the last good configuration keeps serving."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import structlog
from prometheus_client import CollectorRegistry, Counter
from watchfiles import awatch

from serving.health import Health
from serving.problems import ConfigError, Place, Problem

log = structlog.get_logger()

RECHECK_MS = 1_000
"""How late a change is seen at most where no notification comes: a folder that is not there yet,
a swapped symbolic link above it, a network file system, a node that is out of inotify handles."""

T = TypeVar("T")

_LOADS: WeakKeyDictionary[CollectorRegistry, Counter] = WeakKeyDictionary()


def loads(registry: CollectorRegistry) -> Counter:
    """The one counter of a registry that all kinds of configuration share."""
    found = _LOADS.get(registry)
    if found is None:
        names = ["kind", "result"]
        found = Counter(
            "tollhouse_config_loads", "Configuration loads by result", names, registry=registry
        )
        _LOADS[registry] = found
    return found


class File(NamedTuple):
    """A configuration file as it was read: the name that messages use, and its text."""

    name: str
    text: str


class Reload(Generic[T]):
    """
    One kind of configuration: where it is, how it is read, and the last good one.

    Args:
        kind: `limits` or `policies`; names the component in logs, health and metrics.
        find: gives the files that make up the configuration now, in a stable order.
        parse: turns all files into the configuration, or raises ConfigError with every problem.
        publish: takes each new good configuration.
    """

    def __init__(
        self,
        kind: str,
        find: Callable[[], Sequence[Path]],
        parse: Callable[[Sequence[File]], T],
        publish: Callable[[T], None],
        health: Health,
        registry: CollectorRegistry,
    ) -> None:
        self._kind, self._find, self._parse, self._publish = kind, find, parse, publish
        self._health = health
        self._seen: tuple[object, ...] | None = None
        self._loaded = False
        self._loads = loads(registry)

    def load(self) -> None:
        """
        Read the files; if they changed since the last look, parse and publish them.

        A broken configuration is logged with every problem and counted; what was published
        before keeps serving. Without anything published yet the component is not ready. An
        unforeseen exception of `parse` or `publish` counts as a broken configuration: it must
        not end the watch.
        """
        try:
            files = read_files(_found(self._find))
        except ConfigError as error:
            if self._is_new(error.problems):
                self._refuse(error.problems)
            return
        if not self._is_new(files):
            return
        try:
            self._publish(self._parse(files))
        except ConfigError as error:
            self._refuse(error.problems)
        except Exception:
            log.exception("configuration not loaded", kind=self._kind)
            self._refuse(())
        else:
            self._accept(files)

    def _is_new(self, seen: tuple[object, ...]) -> bool:
        before, self._seen = self._seen, seen
        return seen != before

    def _accept(self, files: Sequence[File]) -> None:
        self._loaded = True
        self._loads.labels(self._kind, "ok").inc()
        self._health.report(self._kind, ready=True)
        log.info("configuration loaded", kind=self._kind, files=[file.name for file in files])

    def _refuse(self, problems: Sequence[Problem]) -> None:
        self._loads.labels(self._kind, "error").inc()
        for problem in problems:
            log.error("configuration refused", kind=self._kind, problem=str(problem))
        if not self._loaded:
            self._health.report(self._kind, ready=False, reason="no good configuration yet")

    async def watch(self, folders: Sequence[Path], recheck_ms: int = RECHECK_MS) -> None:
        """Call `load` whenever something below `folders` changes, until cancelled."""
        while True:
            try:
                await self._watch_present(folders, recheck_ms)
            except (OSError, RuntimeError) as error:  # what watchfiles raises: a folder went
                # at this moment, or no inotify handle is left
                log.warning("cannot watch", kind=self._kind, reason=str(error))
                await asyncio.sleep(recheck_ms / 1000)
                self.load()

    async def _watch_present(self, folders: Sequence[Path], recheck_ms: int) -> None:
        """Return when a folder came, went or is another one now: then the watch must follow."""
        present = _present(folders)
        changes = awatch(
            *present,
            watch_filter=None,
            debounce=50,
            step=10,
            rust_timeout=recheck_ms,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        )
        async with aclosing(changes):
            async for _ in changes:
                self.load()
                if _present(folders) != present:
                    return


def read_files(paths: Sequence[Path]) -> tuple[File, ...]:
    """Read every file. Raises ConfigError that names each one that cannot be read as UTF-8."""
    files: list[File] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            files.append(File(str(path), path.read_text("utf-8-sig")))
        except OSError as error:
            problems.append(Problem(Place(str(path), 0, 0, ""), error.strerror or str(error)))
        except UnicodeDecodeError as error:
            message = f"not UTF-8: byte {error.start} is {error.object[error.start]:#04x}"
            problems.append(Problem(Place(str(path), 0, 0, ""), message))
    if problems:
        raise ConfigError(problems)
    return tuple(files)


def _found(find: Callable[[], Sequence[Path]]) -> Sequence[Path]:
    """Raises ConfigError where `find` may not look into a folder."""
    try:
        return find()
    except OSError as error:
        place = Place(str(error.filename), 0, 0, "")
        raise ConfigError([Problem(place, error.strerror or str(error))]) from error


def _present(folders: Sequence[Path]) -> list[Path]:
    """The folders that exist, symbolic links resolved."""
    return [folder.resolve() for folder in folders if folder.is_dir()]
