"""What is wrong with a configuration: collected all at once, each with file, line and key."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import NamedTuple


class Place(NamedTuple):
    """Where something stands in a file; line and column count from 1, line 0 means no file."""

    file: str
    line: int
    column: int
    path: str
    """The key in full, as in `descriptors[0].rate_limit.unit`; empty for the whole document."""


class Problem(NamedTuple):
    """One thing that is wrong, and where."""

    place: Place
    message: str

    def __str__(self) -> str:
        file, line, column, path = self.place
        where = f"{file}:{line}:{column}" if line else file
        return ": ".join(part for part in (where, path, self.message) if part)


class ConfigError(Exception):
    """A configuration is refused as a whole; `problems` has every reason, in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))


class Problems:
    """Collects problems, so that one run shows them all."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def add(self, place: Place, message: str) -> None:
        self._found.append(Problem(place, message))

    def raise_any(self) -> None:
        """Raise ConfigError if anything was added."""
        if self._found:
            raise ConfigError(self._found)


def accepted(found: str, choices: Iterable[str]) -> str:
    """The tail of a message: what is accepted, and the nearest spelling if one is near."""
    names = list(choices)
    near = get_close_matches(found.lower(), [name.lower() for name in names], n=1)
    hint = next((f"; did you mean {name!r}?" for name in names if [name.lower()] == near), "")
    return f"accepted: {', '.join(names)}{hint}"
