"""
Limits files (envoyproxy/ratelimit's YAML) → one `Level` a domain, or every problem at once.

Our own extensions are keys of the `rate_limit` block, where that server refuses unknown keys
loudly: a file that uses them cannot be half understood by it.
"""

from collections.abc import Iterable, Sequence
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
        for root in roots[1:]:
            problems.add(root.place, "a second document; a limits file holds one domain")
        for root in roots[:1]:
            entries = documents.fields(root, problems, ("domain", "descriptors"))
            domain = _required_text(root, entries.get("domain"), "domain", problems)
            if domain in origins:
                message = f"domain {domain!r} is already defined in {origins[domain]}"
                problems.add(entries["domain"].place, message)
            if domain:
                origins[domain] = file.name
            limits[domain] = _level(entries.get("descriptors"), (domain,), problems)
        if not roots and len(problems) == found:
            problems.add(Place(file.name, 1, 1, ""), "empty; a limits file needs a domain")
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


def _level(node: documents.Node | None, path: tuple[str, ...], problems: Problems) -> Level:
    exact: dict[Entry, Node] = {}
    wildcards: dict[Wildcard, Node] = {}
    key_only: dict[str, Node] = {}
    for item in documents.elements(node, problems) if node is not None else ():
        entries = documents.fields(item, problems, ("key", "value", "rate_limit", "descriptors"))
        key = _required_text(item, entries.get("key"), "key", problems)
        value = documents.source_text(entries["value"], problems) if "value" in entries else ""
        inner = (*path, f"{key}_{value}" if value else key)
        child = Node(
            _rate_limit(entries.get("rate_limit"), inner, problems),
            _level(entries["descriptors"], inner, problems) if "descriptors" in entries else None,
        )
        wildcard = Wildcard(key, tuple(value.split("*")))
        if (Entry(key, value) in exact) or wildcard in wildcards or (not value and key in key_only):
            what = f"key {key!r} with value {value!r}" if value else f"key {key!r} without a value"
            problems.add(item.place, f"{what} stands here twice; the first would never be asked")
        if "*" in value:
            wildcards[wildcard] = child
        elif value:
            exact[Entry(key, value)] = child
        else:
            key_only[key] = child
    return Level(exact, tuple(wildcards.items()), key_only)


def _rate_limit(
    node: documents.Node | None, path: tuple[str, ...], problems: Problems
) -> RateLimit | None:
    if node is None:
        return None
    names = ("unit", "requests_per_unit", "algorithm", "burst")
    entries = documents.fields(node, problems, names)
    unit = _unit(node, entries.get("unit"), problems)
    requests, algorithm, burst = 0, Algorithm.FIXED_WINDOW, 0
    if "requests_per_unit" in entries:
        requests = documents.integer(entries["requests_per_unit"], problems, 0, MAX_REQUESTS)
    if "algorithm" in entries:
        algorithm = Algorithm(documents.choice(entries["algorithm"], problems, tuple(Algorithm)))
    if "burst" in entries:
        burst = documents.integer(entries["burst"], problems, 1, MAX_REQUESTS)
    if algorithm is Algorithm.TOKEN_BUCKET:
        if not requests:
            problems.add(
                node.place,
                "a token_bucket needs requests_per_unit of at least 1, or it never refills",
            )
        burst = burst or requests
    elif "burst" in entries:
        problems.add(entries["burst"].place, "burst belongs to algorithm: token_bucket")
    return RateLimit(requests, unit, algorithm, burst, ".".join(path))


def _unit(parent: documents.Node, node: documents.Node | None, problems: Problems) -> Unit:
    if node is None:
        problems.add(parent.place, f"a rate_limit needs a unit; {accepted('', UNITS)}")
        return Unit.SECOND
    found = documents.source_text(node, problems).lower()
    if found not in UNITS and node.kind not in ("map", "list"):
        problems.add(node.place, f"found {node.shown}; {accepted(found, UNITS)}")
    return UNITS.get(found, Unit.SECOND)


def _required_text(
    parent: documents.Node, node: documents.Node | None, name: str, problems: Problems
) -> str:
    value = documents.source_text(node, problems) if node is not None else ""
    if not value and (node is None or node.kind not in ("map", "list")):
        problems.add(node.place if node else parent.place, f"{name} must be given and not empty")
    return value
