"""
Which limit a descriptor of a request falls under.

The rules are envoyproxy/ratelimit's: at each level an exact key and value beats a wildcard (first
in the file), a wildcard beats the key alone, and there is no way back from the branch taken. The
request's depth must equal the limit's.
"""

from rls.limits import Entry, Level, Node, RateLimit


def match(level: Level, entries: tuple[Entry, ...]) -> RateLimit | None:
    """The limit for these entries, or None. `level` is the domain's top level."""
    below: Level | None = level
    node: Node | None = None
    for entry in entries:
        node = _child(below, entry) if below is not None else None
        if node is None:
            return None
        below = node.below
    return node.limit if node is not None else None


def _child(level: Level, entry: Entry) -> Node | None:
    node = level.exact.get(entry)
    if node is not None:
        return node
    for wildcard, candidate in level.wildcards:
        if wildcard.matches(entry):
            return candidate
    return level.key_only.get(entry.key)
