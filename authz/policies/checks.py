"""A rule compiled to one check: the cheapest question first, nothing asked twice."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from authz.policies.attributes import OPERATION, SOURCE, Attribute, Scope
from authz.policies.conditions import read_key
from authz.policies.rules import Alternative, Rule
from authz.policies.subject import Check, Subject


class Weighed(NamedTuple):
    """A check and roughly what it costs."""

    cost: int
    check: Check


def compile_rule(rule: Rule, scope: Scope) -> Check:
    """
    Compile a rule of a policy.

    Raises ValueError for a condition whose key no attribute has: a rule read from a document
    contains none.
    """
    parts = list(_conditions(rule.when, scope))
    for alternatives in (rule.sources, rule.operations):
        if len(alternatives) == 1:
            parts.extend(_conditions(alternatives[0], scope))
        elif alternatives:
            parts.append(_any_of([_all_of(_conditions(one, scope)) for one in alternatives]))
    return _all_of(parts).check


def _conditions(conditions: Alternative, scope: Scope) -> Iterator[Weighed]:
    for condition in conditions:
        attribute = _attribute(condition.key)
        if condition.values:
            yield Weighed(attribute.cost, attribute.compile(condition.values, scope))
        if condition.not_values:
            matches = attribute.compile(condition.not_values, scope)
            yield Weighed(attribute.cost, _negate(matches))


def _attribute(key: str) -> Attribute:
    attribute = SOURCE.get(key) or OPERATION.get(key) or read_key(key)
    if isinstance(attribute, str):
        raise ValueError(attribute)
    return attribute


def _negate(check: Check) -> Check:
    return lambda subject: not check(subject)


def _all_of(parts: Iterable[Weighed]) -> Weighed:
    """Every part holds; where nothing is asked, everything does."""
    ordered = sorted(parts, key=lambda part: part.cost)
    return Weighed(sum(part.cost for part in ordered), _join([part.check for part in ordered]))


def _join(checks: Sequence[Check]) -> Check:
    if not checks:
        return lambda _subject: True
    first, *rest = checks
    if not rest:
        return first
    second, others = rest[0], tuple(rest)
    if len(others) == 1:
        return lambda subject: first(subject) and second(subject)

    def holds(subject: Subject) -> bool:
        if not first(subject):  # most rules end here
            return False
        for check in others:  # noqa: SIM110 - a generator costs more
            if not check(subject):
                return False
        return True

    return holds


def _any_of(parts: Iterable[Weighed]) -> Weighed:
    """One part holds."""
    ordered = sorted(parts, key=lambda part: part.cost)
    checks = tuple(part.check for part in ordered)

    def holds(subject: Subject) -> bool:
        for check in checks:  # noqa: SIM110 - a generator costs more
            if check(subject):
                return True
        return False

    return Weighed(sum(part.cost for part in ordered), holds)
