"""The rules of one AuthorizationPolicy: who (`from`), what (`to`) and on what terms (`when`)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from authz.policies.attributes import OPERATION, SOURCE, Attribute
from authz.policies.conditions import read_key
from serving.documents import Node, elements, fields, string, strings
from serving.problems import Place, Problems

MAX_ENTRIES = 512
"""Of `rules` and of `from`, by Istio's CRD."""

SERVICE_ACCOUNTS = ("serviceAccounts", "notServiceAccounts")
VALUES = ("values", "notValues")
WIDER_IDENTITIES = ("principals", "notPrincipals", "namespaces", "notNamespaces")


@dataclass(frozen=True, slots=True)
class Condition:
    """
    What one attribute must be, and must not be.

    It holds if one of `values` matches, where there are any, and none of `not_values` does.
    """

    key: str
    """As written: a field such as `notPaths` without its `not`, or a key of `when`."""
    values: tuple[str, ...]
    not_values: tuple[str, ...]
    place: Place = field(compare=False)


Alternative = tuple[Condition, ...]
"""Conditions that must all hold."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Holds if a source, an operation and every condition of `when` do; a part left out holds."""

    sources: tuple[Alternative, ...]
    operations: tuple[Alternative, ...]
    when: Alternative

    def conditions(self) -> Iterator[Condition]:
        """All of them, in the order of the document."""
        for alternative in (*self.sources, *self.operations, self.when):
            yield from alternative


def read_rules(node: Node, problems: Problems) -> tuple[Rule, ...]:
    """Read `spec.rules`."""
    return tuple(_read_rule(rule, problems) for rule in _entries(node, problems, MAX_ENTRIES))


def _read_rule(node: Node, problems: Problems) -> Rule:
    found = fields(node, problems, ("from", "to", "when"))
    sources, operations, when = (found.get(key) for key in ("from", "to", "when"))
    return Rule(
        tuple(
            _read_part(entry, problems, "source", SOURCE)
            for entry in (_entries(sources, problems, MAX_ENTRIES) if sources else ())
        ),
        tuple(
            _read_part(entry, problems, "operation", OPERATION)
            for entry in (elements(operations, problems) if operations else ())
        ),
        tuple(_read_when(entry, problems) for entry in (elements(when, problems) if when else ())),
    )


def _entries(node: Node, problems: Problems, most: int) -> tuple[Node, ...]:
    found = elements(node, problems)
    if len(found) > most:
        problems.add(node.place, f"{len(found)} entries; at most {most}")
    return found


def _read_part(
    node: Node, problems: Problems, key: str, attributes: Mapping[str, Attribute]
) -> Alternative:
    """One entry of `from` or `to`: a map whose only key holds the fields."""
    part = fields(node, problems, (key,)).get(key)
    if part is None:
        if node.kind == "map" and not set(node.entries) - {key}:
            problems.add(node.place, f"{key} is missing; without one, leave the entry out")
        return ()
    names = [name for one in attributes for name in (one, _twin(one))]
    found = fields(part, problems, names)
    _check_service_accounts(found, problems)
    conditions = tuple(
        Condition(
            name,
            _read_values(found.get(name), attribute, problems),
            _read_values(found.get(_twin(name)), attribute, problems),
            found.get(name, found.get(_twin(name), part)).place,
        )
        for name, attribute in attributes.items()
    )
    asked = tuple(one for one in conditions if one.values or one.not_values)
    if part.kind == "map" and not asked and _are_lists(part.entries, names):
        problems.add(part.place, f"asks for nothing; one of {', '.join(names)} needs a value")
    return asked


def _are_lists(entries: Mapping[str, Node], names: Sequence[str]) -> bool:
    """Whether all entries are known lists: then no other problem says why nothing is asked."""
    return all(key in names and node.kind in ("list", "null") for key, node in entries.items())


def _twin(name: str) -> str:
    return f"not{name[0].upper()}{name[1:]}"


def _check_service_accounts(found: Mapping[str, Node], problems: Problems) -> None:
    accounts = [found[name] for name in SERVICE_ACCOUNTS if name in found]
    others = [name for name in WIDER_IDENTITIES if name in found]
    for node in accounts:
        if others:
            problems.add(node.place, f"not together with {', '.join(others)}; use two sources")


def _read_values(node: Node | None, attribute: Attribute, problems: Problems) -> tuple[str, ...]:
    if node is None:
        return ()
    values = tuple(strings(node, problems))
    most = attribute.most_values
    if most is not None and len(values) > most:
        problems.add(node.place, f"{len(values)} values; at most {most}")
    for item, value in values:
        if item.kind == "str":
            complaint = attribute.problem(value) if value else "an empty value matches nothing"
            if complaint:
                problems.add(item.place, f"found {item.shown}; {complaint}")
    return tuple(value for _, value in values)


def _read_when(node: Node, problems: Problems) -> Condition:
    found = fields(node, problems, ("key", *VALUES))
    key = string(found["key"], problems) if "key" in found else ""
    if not key:
        if node.kind == "map":
            problems.add(node.place, "key is missing")
        return Condition(key, (), (), node.place)
    attribute = read_key(key)
    if isinstance(attribute, str):
        problems.add(found["key"].place, attribute)
        return Condition(key, (), (), node.place)
    values, not_values = (_read_values(found.get(name), attribute, problems) for name in VALUES)
    lists = {name: entry for name, entry in node.entries.items() if name != "key"}
    if not values and not not_values and _are_lists(lists, VALUES):
        problems.add(node.place, f"{key} needs a value in values or notValues")
    return Condition(key, values, not_values, node.place)
