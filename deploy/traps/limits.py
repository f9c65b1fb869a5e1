"""Rate limit filters that a proxy refuses, or that count something else than they seem to."""

from collections.abc import Iterator, Mapping
from typing import Any

from deploy.traps.documents import Body, Check, Document, World, of_type, patches

GLOBAL = "ratelimit.v3.RateLimit"
LOCAL = "http.local_ratelimit.v3.LocalRateLimit"
UNSUPPORTED = ("stage", "disable_key", "limit")
SHORTEST_SECONDS = 0.05


def domains(document: Document, _: World) -> Iterator[str]:
    for patch in patches(document):
        for config in of_type(patch.value, GLOBAL):
            if not config.get("domain"):
                yield "empty domain: the proxy refuses the whole listener"


def filter_level_fields(document: Document, _: World) -> Iterator[str]:
    for patch in patches(document):
        for config in of_type(patch.value, GLOBAL):
            for limit in config.get("rate_limits", ()):
                for name in UNSUPPORTED:
                    if name in limit:
                        yield f"{name} in the filter's own limits: the proxy refuses the listener"


def route_addends(document: Document, _: World) -> Iterator[str]:
    for patch in patches(document):
        for limit in _of_routes(patch.value):
            if "hits_addend" in limit:
                yield "hits_addend on a route: ignored there; every request counts one"


def hidden_routes(document: Document, world: World) -> Iterator[str]:
    if not any(any(_of_routes(patch.value)) for patch in patches(document)):
        return
    for other in world.documents:
        if other.kind == "EnvoyFilter" and other.attached == document.attached:
            own = [
                limit
                for patch in patches(other)
                for config in of_type(patch.value, GLOBAL)
                for limit in config.get("rate_limits", ())
            ]
            if own:
                yield f"limits on routes: the filter's own ({other}) hide them"


def skipped_entries(document: Document, _: World) -> Iterator[str]:
    for patch in patches(document):
        if _holds(patch.value, ("skip_if_absent", "skip_if_error")):
            yield "an entry that is skipped: the rest is sent, and counts as another descriptor"


def local_fractions(document: Document, _: World) -> Iterator[str]:
    for patch in patches(document):
        for config in of_type(patch.value, LOCAL):
            for name in ("filter_enabled", "filter_enforced"):
                if not config.get(name, {}).get("default_value", {}).get("numerator"):
                    yield f"{name} missing: it is 0 % then, and nothing is limited"


def local_intervals(document: Document, _: World) -> Iterator[str]:
    for patch in patches(document):
        for bucket in _buckets(patch.value):
            if float(str(bucket["fill_interval"]).removesuffix("s")) < SHORTEST_SECONDS:
                yield "fill_interval under 50ms: the proxy refuses the listener"


def _of_routes(value: Body) -> Iterator[Body]:
    """The limits of a route or virtual host; not those of `typed_per_filter_config`."""
    yield from value.get("rate_limits", ())
    yield from value.get("route", {}).get("rate_limits", ())


def _buckets(value: Any) -> Iterator[Body]:
    if isinstance(value, Mapping):
        if "fill_interval" in value:
            yield value
        for item in value.values():
            yield from _buckets(item)
    elif isinstance(value, list):
        for item in value:
            yield from _buckets(item)


def _holds(value: Any, names: tuple[str, ...]) -> bool:
    if isinstance(value, Mapping):
        return any(value.get(name) for name in names) or any(
            _holds(item, names) for item in value.values()
        )
    return isinstance(value, list) and any(_holds(item, names) for item in value)


CHECKS: tuple[Check, ...] = (
    domains,
    filter_level_fields,
    route_addends,
    hidden_routes,
    skipped_entries,
    local_fractions,
    local_intervals,
)
