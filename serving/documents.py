"""
YAML that remembers its lines.

`read` turns text into `Node`s; the typed readers below take a node and give a plain value, or add
a problem that names file, line, key, what was found and what is accepted. A scalar keeps its
source text: `value: 0x10` under a text field is the text `0x10`, as Go's YAML reader has it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import yaml

from serving.problems import Place, Problems, accepted

MAX_DEPTH = 100
MAX_COPIES = 50_000
"""How many values aliases may add to a file: a page of aliases must not eat the process."""


@dataclass(frozen=True, slots=True)
class Node:
    """
    One YAML value.

    `kind` is `map`, `list`, or what YAML takes the scalar for: str, int, bool, float, null, …
    """

    place: Place
    kind: str
    text: str = ""
    items: tuple["Node", ...] = ()
    entries: Mapping[str, "Node"] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The value as a message quotes it."""
        names = {"map": "a map", "list": "a list", "null": "nothing"}
        return names.get(self.kind, repr(self.text))


def read(file: str, text: str, problems: Problems) -> tuple[Node, ...]:
    """Parse a file into one node a YAML document; empty ones are left out."""
    builder = _Builder(file, problems)
    try:
        roots = list(yaml.compose_all(text, Loader=yaml.CSafeLoader))
        return tuple(builder.build(root, root.start_mark, "") for root in roots if not _empty(root))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(part for part in (error.context, error.problem) if part)
        problems.add(_place(file, mark, ""), f"not YAML: {reason}")
    except yaml.reader.ReaderError as error:
        message = f"not YAML: character {error.character:#x}: {error.reason}"
        problems.add(_place_of_byte(file, text, error.position), message)
    except _TooLarge as error:
        problems.add(*error.args)
    return ()


def _empty(root: yaml.Node | None) -> bool:
    return root is None or (isinstance(root, yaml.ScalarNode) and root.tag.endswith(":null"))


def _place(file: str, mark: yaml.Mark | None, path: str) -> Place:
    return Place(file, mark.line + 1, mark.column + 1, path) if mark else Place(file, 1, 1, path)


def _place_of_byte(file: str, text: str, offset: int) -> Place:
    """Where the byte at `offset` of the UTF-8 form of `text` stands; libyaml counts in bytes."""
    before = text.encode()[:offset].decode(errors="ignore")
    return Place(file, before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1, "")


class _TooLarge(Exception):
    """A place and the reason why the document is read no further."""


class _Builder:
    """Walks PyYAML's node graph once and writes ours, with paths; repeated keys are problems."""

    def __init__(self, file: str, problems: Problems) -> None:
        self._file, self._problems = file, problems
        self._seen: set[int] = set()
        self._copies = 0

    def build(self, node: yaml.Node, mark: yaml.Mark, path: str, depth: int = 0) -> Node:
        """`mark` is where a reader should look: an entry's value is found by its key."""
        place = _place(self._file, mark, path)
        self._bound(node, place, depth)
        if isinstance(node, yaml.MappingNode):
            return Node(place, "map", entries=self._entries(node, path, depth))
        if isinstance(node, yaml.SequenceNode):
            items = tuple(
                self.build(item, item.start_mark, f"{path}[{index}]", depth + 1)
                for index, item in enumerate(node.value)
            )
            return Node(place, "list", items=items)
        kind = node.tag.rpartition(":")[2]
        # A scalar that claims to be a map (`!!map x`) must not pass for an empty one.
        return Node(place, f"!!{kind}" if kind in ("map", "list") else kind, text=node.value)

    def _bound(self, node: yaml.Node, place: Place, depth: int) -> None:
        """A node met again is the copy that an alias makes; a self-reference ends by depth."""
        self._copies += id(node) in self._seen
        self._seen.add(id(node))
        if depth > MAX_DEPTH:
            raise _TooLarge(place, f"nested more than {MAX_DEPTH} deep")
        if self._copies > MAX_COPIES:
            raise _TooLarge(place, f"aliases repeat more than {MAX_COPIES} values")

    def _entries(self, mapping: yaml.MappingNode, path: str, depth: int) -> dict[str, Node]:
        merged: dict[str, Node] = {}
        own: dict[str, Node] = {}
        for key, value in mapping.value:
            mark = key.start_mark
            if not isinstance(key, yaml.ScalarNode):
                self._problems.add(_place(self._file, mark, path), "a key must be plain text")
            elif key.tag.endswith(":merge"):
                sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for source in sources:
                    merged = self._merge_source(source, mark, path, depth) | merged
            else:
                inner = f"{path}.{key.value}" if path else key.value
                if key.value in own:
                    first = own[key.value].place.line
                    message = f"given twice; the first is at line {first}"
                    self._problems.add(_place(self._file, mark, inner), message)
                own[key.value] = self.build(value, mark, inner, depth + 1)
        return merged | own

    def _merge_source(
        self, source: yaml.Node, mark: yaml.Mark, path: str, depth: int
    ) -> dict[str, Node]:
        built = self.build(source, mark, path, depth + 1)
        if built.kind != "map":
            message = f"found {built.shown}; a map is wanted, or a list of maps"
            self._problems.add(_place(self._file, mark, f"{path}.<<" if path else "<<"), message)
        return dict(built.entries)


def fields(node: Node, problems: Problems, names: Iterable[str]) -> Mapping[str, Node]:
    """The entries of a map; unknown keys are problems, null values are as if left out."""
    known = tuple(names)
    if node.kind != "map":
        problems.add(node.place, f"found {node.shown}; a map is wanted, {accepted('', known)}")
        return {}
    for key, value in node.entries.items():
        if key not in known:
            problems.add(value.place, f"unknown key {key!r}; {accepted(key, known)}")
    return {k: v for k, v in node.entries.items() if k in known and v.kind != "null"}


def elements(node: Node, problems: Problems) -> tuple[Node, ...]:
    """The items of a list."""
    if node.kind != "list":
        problems.add(node.place, f"found {node.shown}; a list is wanted")
    return node.items


def source_text(node: Node, problems: Problems) -> str:
    """A scalar's text as it stands in the file, whatever YAML takes it for; null is empty."""
    if node.kind in ("map", "list"):
        problems.add(node.place, f"found {node.shown}; text is wanted")
    return node.text if node.kind != "null" else ""


def string(node: Node, problems: Problems) -> str:
    """A scalar that YAML itself takes for text."""
    if node.kind != "str":
        hint = "; quote it" if node.text else ""
        problems.add(node.place, f"found {node.shown}; text is wanted{hint}")
    return node.text


def integer(node: Node, problems: Problems, low: int, high: int) -> int:
    """A whole number in [low, high]; `low` when it is not one."""
    try:
        value = int(node.text, 0) if node.kind == "int" else None
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        problems.add(node.place, f"found {node.shown}; a whole number {low} to {high} is wanted")
        return low
    return value


def boolean(node: Node, problems: Problems) -> bool:
    """true or false."""
    if node.kind != "bool":
        problems.add(node.place, f"found {node.shown}; accepted: true, false")
    return node.text.lower() in ("true", "yes", "on")


def choice(node: Node, problems: Problems, names: Iterable[str]) -> str:
    """One of `names`; the first of them when it is none."""
    known = tuple(names)
    value = source_text(node, problems)
    if value not in known and node.kind not in ("map", "list"):
        problems.add(node.place, f"found {node.shown}; {accepted(value, known)}")
    return value if value in known else known[0]


def strings(node: Node, problems: Problems) -> Iterator[tuple[Node, str]]:
    """The texts of a list, each with its node for later problems."""
    for item in elements(node, problems):
        yield item, string(item, problems)
