"""
What a request will do to which counters.

Envoy sends the same few request bodies again and again, so a plan is made once per body and
remembered until the limits change; the hot path then neither decodes nor matches.
"""

from typing import NamedTuple

from rls.codec import decode
from rls.counter_key import counter_key
from rls.counters import Counter, Hit
from rls.limits import Descriptor, Limits, Override, RateLimit, Request, Unit
from rls.matcher import match
from serving.call import InvalidArgument

MAX_PLANS = 16_384
MAX_PLANNED_BYTES = 2_048
"""Bodies remembered at once, and the longest of them: a client that sends another long value each
time must not eat the process."""

UNITS = {unit.number: unit for unit in Unit}


class Plan(NamedTuple):
    """For each descriptor its limit or None; `hits` are those that have one, in order."""

    domain: str
    limits: tuple[RateLimit | None, ...]
    hits: tuple[Hit, ...]


class Planner:
    """Plans under one set of limits; new limits need a new planner."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._plans: dict[bytes, Plan] = {}

    def plan(self, body: bytes) -> Plan:
        """Raises InvalidArgument when the body cannot be answered."""
        plan = self._plans.get(body)
        if plan is None:
            plan = make_plan(self.limits, decode(body))
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            if len(body) <= MAX_PLANNED_BYTES:
                self._plans[body] = plan
        return plan


def make_plan(limits: Limits, request: Request) -> Plan:
    """Match every descriptor and bind it to its counter."""
    domain = request.domain
    found = tuple(_limit(limits, domain, descriptor) for descriptor in request.descriptors)
    hits = tuple(
        Hit(
            Counter(counter_key(domain, descriptor.entries, limit), limit),
            _addend(request, descriptor),
        )
        for descriptor, limit in zip(request.descriptors, found, strict=True)
        if limit is not None
    )
    return Plan(domain, found, hits)


def _limit(limits: Limits, domain: str, descriptor: Descriptor) -> RateLimit | None:
    level = limits.get(domain)
    if level is None:
        return None
    if descriptor.override is not None:
        return _overridden(domain, descriptor.override)
    return match(level, descriptor.entries)


def _overridden(domain: str, override: Override) -> RateLimit:
    if override.unit not in UNITS:
        known = ", ".join(f"{unit.name} ({number})" for number, unit in sorted(UNITS.items()))
        raise InvalidArgument(f"limit override has unknown unit {override.unit}; known: {known}")
    # One name for all of them: a name per value would let any client grow the metrics.
    return RateLimit(override.requests_per_unit, UNITS[override.unit], path=f"{domain}.override")


def _addend(request: Request, descriptor: Descriptor) -> int:
    if descriptor.hits_addend is not None:
        return descriptor.hits_addend
    return request.hits_addend or 1
