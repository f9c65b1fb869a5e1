"""Providers and policies that deny everything, or let something past."""

from collections.abc import Iterator

from deploy.traps.documents import Check, Document, World, of_type, patches

EXT_AUTHZ = "http.ext_authz.v3.ExtAuthz"
FILTER = "envoy.filters.http.ext_authz"


def known_providers(document: Document, world: World) -> Iterator[str]:
    if _custom(document):
        name = document.spec["provider"]["name"]
        if name not in world.providers:
            yield f"provider {name}: no MeshConfig has it; every matching request is denied"


def provider_settings(document: Document, world: World) -> Iterator[str]:
    for provider in document.body.get("meshConfig", {}).get("extensionProviders", ()):
        grpc = provider.get("envoyExtAuthzGrpc")
        if grpc is None:
            continue
        if "timeout" not in grpc:
            yield "timeout missing: it is 600 s then"
        if grpc.get("failOpen"):
            yield "failOpen: without an answer everybody gets in"
        if "." not in grpc["service"]:
            yield f"service {grpc['service']}: a short name denies every matching request"
        name = provider["name"]
        if any(other != name and other.startswith(name) for other in world.providers):
            yield f"provider {name}: the beginning of another's name; its filter holds for both"


def raw_headers(document: Document, world: World) -> Iterator[str]:
    """Repeated headers reach authz one by one, whoever makes the filter."""
    for patch in patches(document):
        if patch.apply_to == "HTTP_FILTER":
            for config in of_type(patch.value, EXT_AUTHZ):
                if not config.get("encode_raw_headers"):
                    yield "encode_raw_headers unset: a repeated header slips past a DENY"
    if _custom(document) and not any(_completes(other, document) for other in world.documents):
        yield "no EnvoyFilter beside it sets encode_raw_headers for its workload"


def open_filters(document: Document, _: World) -> Iterator[str]:
    for patch in patches(document):
        for config in of_type(patch.value, "ExtAuthz"):
            if config.get("failure_mode_allow"):
                yield "failure_mode_allow: without an answer everybody gets in"


def per_route_names(document: Document, _: World) -> Iterator[str]:
    for patch in patches(document):
        for name, config in patch.value.get("typed_per_filter_config", {}).items():
            if config["@type"].endswith(".ExtAuthzPerRoute") and name != FILTER:
                yield f"typed_per_filter_config of {name}: Istio's filter is called {FILTER}"


def _custom(document: Document) -> bool:
    return document.kind == "AuthorizationPolicy" and document.spec.get("action") == "CUSTOM"


def _completes(other: Document, policy: Document) -> bool:
    """Whether an EnvoyFilter of the policy's folder merges into the filter that it makes."""
    same = other.folder == policy.folder and other.attached == policy.attached
    return same and any(
        patch.operation == "MERGE" and patch.beside == FILTER for patch in patches(other)
    )


CHECKS: tuple[Check, ...] = (
    known_providers,
    provider_settings,
    raw_headers,
    open_filters,
    per_route_names,
)
