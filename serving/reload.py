"""Watch files → parse all → swap one reference; the last good configuration keeps serving."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter
from watchfiles import awatch

from serving.health import Health
from serving.problems import ConfigError, Place, Problem

log = structlog.get_logger()

RECHECK_MS = 1_000
"""How late a change is seen at most where no notification comes: a swapped symbolic link above
the watched folder, a network file system."""

T = TypeVar("T")


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
        self._loads = Counter(
            "tollhouse_config_loads", "Configuration loads by result", ["result"], registry=registry
        )

    def load(self) -> None:
        """
        Read the files; if they changed since the last look, parse and publish them.

        A broken configuration is logged with every problem and counted; what was published
        before keeps serving. Without anything published yet the component is not ready.
        """
        try:
            files = read_files(self._find())
        except ConfigError as error:
            if self._is_new(error.problems):
                self._refuse(error)
            return
        if not self._is_new(files):
            return
        try:
            configuration = self._parse(files)
        except ConfigError as error:
            self._refuse(error)
        else:
            self._accept(configuration, files)

    def _is_new(self, seen: tuple[object, ...]) -> bool:
        before, self._seen = self._seen, seen
        return seen != before

    def _accept(self, configuration: T, files: Sequence[File]) -> None:
        self._publish(configuration)
        self._loaded = True
        self._loads.labels("ok").inc()
        self._health.report(self._kind, ready=True)
        log.info("configuration loaded", kind=self._kind, files=[file.name for file in files])

    def _refuse(self, error: ConfigError) -> None:
        self._loads.labels("error").inc()
        for problem in error.problems:
            log.error("configuration refused", kind=self._kind, problem=str(problem))
        if not self._loaded:
            self._health.report(self._kind, ready=False, reason="no good configuration yet")

    async def watch(self, folders: Sequence[Path]) -> None:
        """Call `load` whenever something below `folders` changes, until cancelled."""
        while True:
            watched = [_nearest(folder) for folder in folders]
            async for _ in awatch(
                *watched,
                watch_filter=None,
                debounce=50,
                step=10,
                rust_timeout=RECHECK_MS,
                yield_on_timeout=True,
                ignore_permission_denied=True,
            ):
                self.load()
                if [_nearest(folder) for folder in folders] != watched:
                    break  # a folder appeared or went: watch what is there now


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


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
