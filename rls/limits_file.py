"""
Limits files (envoyproxy/ratelimit's YAML) → one `Level` a domain, or every problem at once.

Our own extensions are keys of the `rate_limit` block, where that server refuses unknown keys
loudly: a file that uses them cannot be half understood by it.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rls.limits import Algorithm, Entry, Level, Limits, Node, RateLimit, Unit, Wildcard
from serving import documents
from serving.problems import Place, Problems, accepted
from serving.reload import File, read_files

UNITS = {unit.name.lower(): unit for unit in Unit}
MAX_REQUESTS = 2**32 - 1
"""`requests_per_unit` is a uint32 in Envoy's protocol."""


def read_limits(files: Sequence[File]) -> Limits:
    """
    Read all files together.

    Raises:
        ConfigError: every problem of every file; nothing is loaded then.
    """
    problems = Problems()
    limits: dict[str, Level] = {}
    origins: dict[str, str] = {}
    for file in files:
        found = len(problems)
        roots = documents.read(file.name, file.text, problems)
        if not roots and len(problems) == found:
            problems.add(Place(file.name, 1, 1, ""), "empty; a limits file needs a domain")
        for root in roots[1:]:
            problems.add(root.place, "a second document; a limits file holds one domain")
        for root in roots[:1]:
            domain, level = _domain(root, problems)
            if domain in origins:
                message = f"domain {domain!r} is already defined in {origins[domain]}"
                problems.add(root.entries["domain"].place, message)
            if domain:
                origins[domain], limits[domain] = file.name, level
    problems.raise_any()
    return limits


def check(paths: Iterable[Path]) -> Limits:
    """Read limits from files, and from the YAML files of folders. Raises ConfigError."""
    files: list[Path] = []
    for path in paths:
        files += find_limits_files(path) if path.is_dir() else [path]
    return read_limits(read_files(files))


def find_limits_files(folder: Path) -> list[Path]:
    """
    The files of a folder, in order of name.

    Dot files are left out: a Kubernetes ConfigMap mount holds every file a second time below
    `..data`, and each domain would be defined twice.
    """
    if not folder.is_dir():
        return []
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(
        path
        for path in paths
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _domain(root: documents.Node, problems: Problems) -> tuple[str, Level]:
    entries = documents.fields(root, problems, ("domain", "descriptors"))
    domain = _name(root, entries, "domain", problems)
    return domain, _level(entries.get("descriptors"), (domain,), problems)


def _level(node: documents.Node | None, path: tuple[str, ...], problems: Problems) -> Level:
    exact: dict[Entry, Node] = {}
    wildcards: list[tuple[Wildcard, Node]] = []
    key_only: dict[str, Node] = {}
    for item in documents.elements(node, problems) if node is not None else ():
        entry, child = _descriptor(item, path, problems)
        key, value = entry
        if key and (entry in exact or (not value and key in key_only)):
            what = f"key {key!r} with value {value!r}" if value else f"key {key!r} without a value"
            problems.add(item.place, f"{what} stands here twice; the first would never be asked")
        if not value:
            key_only[key] = child
            continue
        exact[entry] = child  # a pattern too: it is what its own text matches first
        if "*" in value:
            wildcards.append((Wildcard(key, tuple(value.split("*"))), child))
    return Level(exact, tuple(wildcards), key_only)


def _descriptor(
    item: documents.Node, path: tuple[str, ...], problems: Problems
) -> tuple[Entry, Node]:
    entries = documents.fields(item, problems, ("key", "value", "rate_limit", "descriptors"))
    key = _name(item, entries, "key", problems)
    value = documents.source_text(entries["value"], problems) if "value" in entries else ""
    inner = (*path, f"{key}_{value}" if value else key)
    return Entry(key, value), Node(
        _rate_limit(entries.get("rate_limit"), inner, problems),
        _level(entries["descriptors"], inner, problems) if "descriptors" in entries else None,
    )


def _rate_limit(
    node: documents.Node | None, path: tuple[str, ...], problems: Problems
) -> RateLimit | None:
    if node is None:
        return None
    names = ("unit", "requests_per_unit", "algorithm", "burst")
    entries = documents.fields(node, problems, names)
    if node.kind != "map":
        return None
    unit = _unit(node, entries.get("unit"), problems)
    requests = _number(entries.get("requests_per_unit"), 0, problems)
    algorithm = _algorithm(entries.get("algorithm"), problems)
    burst = _number(entries.get("burst"), 1, problems)
    if algorithm is Algorithm.TOKEN_BUCKET:
        if not requests:
            problems.add(
                node.place,
                "a token_bucket needs requests_per_unit of at least 1, or it never refills",
            )
        burst = burst or requests
    elif algorithm is Algorithm.FIXED_WINDOW and "burst" in entries:
        problems.add(entries["burst"].place, "burst belongs to algorithm: token_bucket")
    return RateLimit(requests, unit, algorithm or Algorithm.FIXED_WINDOW, burst, ".".join(path))


def _number(node: documents.Node | None, low: int, problems: Problems) -> int:
    return documents.integer(node, problems, low, MAX_REQUESTS) if node is not None else 0


def _algorithm(node: documents.Node | None, problems: Problems) -> Algorithm | None:
    """The algorithm, or None when what is written is none."""
    if node is None:
        return Algorithm.FIXED_WINDOW
    chosen = documents.choice(node, problems, [algorithm.value for algorithm in Algorithm])
    return Algorithm(chosen) if chosen == node.text else None


def _unit(parent: documents.Node, node: documents.Node | None, problems: Problems) -> Unit:
    if node is None:
        problems.add(parent.place, f"a rate_limit needs a unit; {accepted('', UNITS)}")
        return Unit.SECOND
    found = documents.source_text(node, problems).lower()
    if found not in UNITS and node.kind not in ("map", "list"):
        problems.add(node.place, f"found {node.shown}; {accepted(found, UNITS)}")
    return UNITS.get(found, Unit.SECOND)


def _name(
    parent: documents.Node,
    entries: Mapping[str, documents.Node],
    name: str,
    problems: Problems,
) -> str:
    """A text that must be there; an empty one, and a problem, when it is not."""
    if name in entries:
        found = documents.source_text(entries[name], problems)
        if not found and entries[name].kind == "str":
            problems.add(entries[name].place, "found nothing; text is wanted")
        return found
    if parent.kind == "map":
        problems.add(parent.place, f"{name} must be given")
    return ""
