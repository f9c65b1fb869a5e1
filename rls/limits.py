"""The nouns: what a limits file says, what a request asks, what the answer is."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from typing import NamedTuple


class Unit(Enum):
    """A period, by the name the limits file gives it: its length and Envoy's number for it."""

    SECOND = (1, 1)
    MINUTE = (60, 2)
    HOUR = (3_600, 3)
    DAY = (86_400, 4)
    WEEK = (604_800, 7)
    MONTH = (2_592_000, 5)  # 30 days, as envoyproxy/ratelimit counts
    YEAR = (31_536_000, 6)  # 365 days

    def __init__(self, seconds: int, number: int) -> None:
        self.seconds = seconds
        self.number = number


class Algorithm(StrEnum):
    """How a limit counts."""

    FIXED_WINDOW = "fixed_window"
    TOKEN_BUCKET = "token_bucket"  # noqa: S105 - not a secret


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A rule: so many requests per unit."""

    requests_per_unit: int
    unit: Unit
    algorithm: Algorithm = Algorithm.FIXED_WINDOW
    burst: int = 0
    """Tokens a full bucket holds; 0 where the algorithm has no bucket."""
    path: str = ""
    """The keys and values that lead to it in the limits file: its name in metrics."""

    @property
    def capacity(self) -> int:
        """What may be spent at once: the whole window, or a full bucket."""
        return self.burst or self.requests_per_unit


class Entry(NamedTuple):
    """One key with its value; key-only entries have an empty value in a limits file."""

    key: str
    value: str


class Override(NamedTuple):
    """A limit that the request itself brings; `unit` is Envoy's number."""

    requests_per_unit: int
    unit: int


class Descriptor(NamedTuple):
    """Ordered entries that are limited together."""

    entries: tuple[Entry, ...]
    override: Override | None = None
    hits_addend: int | None = None
    """None: the request's counts. 0: look, do not count."""


class Request(NamedTuple):
    """A RateLimitRequest."""

    domain: str
    descriptors: tuple[Descriptor, ...]
    hits_addend: int = 0
    """0 means 1, as in the protocol."""


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A value with `*` in it: the literal texts between the stars, in order."""

    key: str
    literals: tuple[str, ...]

    def matches(self, entry: Entry) -> bool:
        """Each star stands for zero or more characters; linear in the value, whatever the stars."""
        first, *inner, last = self.literals
        value = entry.value
        end = len(value) - len(last)
        if entry.key != self.key or not value.startswith(first) or not value.endswith(last):
            return False
        position = len(first)
        for literal in inner:
            found = value.find(literal, position, end)
            if found < 0:
                return False
            position = found + len(literal)
        return position <= end


@dataclass(frozen=True, slots=True)
class Node:
    """A descriptor of the limits file: its limit, if any, and what is nested below it."""

    limit: RateLimit | None
    below: "Level | None"


@dataclass(frozen=True, slots=True)
class Level:
    """The descriptors that stand side by side."""

    exact: Mapping[Entry, Node]
    wildcards: tuple[tuple[Wildcard, Node], ...]
    """In the order of the file: the first that matches counts."""
    key_only: Mapping[str, Node]


Limits = Mapping[str, Level]
"""Domain → its top level."""


class Code(IntEnum):
    """The answer, by Envoy's numbers."""

    OK = 1
    OVER_LIMIT = 2


class DescriptorStatus(NamedTuple):
    """The answer for one descriptor; `limit` is None where no limit matched."""

    code: Code
    limit: RateLimit | None = None
    limit_remaining: int = 0
    reset_seconds: float = 0.0
    """Fixed window: until it ends. Bucket: until it is full, or, over limit, until it has what
    this request asked for."""


class Answer(NamedTuple):
    """The answer for the whole request; one status a descriptor, in order."""

    code: Code
    statuses: tuple[DescriptorStatus, ...]
