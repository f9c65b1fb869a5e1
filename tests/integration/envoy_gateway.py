"""
A proxy as Envoy Gateway configures it, and the JSON patches that it lets in.

Read off its translator's own examples: one default filter chain, one disabled filter a
SecurityPolicy that the route turns on.
"""

from typing import Any

from deploy.local import bootstrap
from deploy.wiring import plain

Json = dict[str, Any]

EG_LISTENER = "shop/eg/http"
TYPE = "type.googleapis.com/"
HTTP = "envoy.extensions.filters.http"
PLACES = {"listener.v3.Listener": "listeners", "cluster.v3.Cluster": "clusters"}


def translated(
    admin: int, port: int, upstream: int, security: Json | None = None, authz: int = 0
) -> Json:
    """
    A bootstrap with the Gateway's one listener, and its one route to `upstream`.

    Args:
        admin: port of Envoy's admin page.
        port: of the listener.
        upstream: where the HTTPRoute leads.
        security: a SecurityPolicy with extAuth by gRPC for the route.
        authz: where its backend is.
    """
    route: Json = {"match": {"prefix": "/"}, "route": {"cluster": "route"}}
    filters: list[Json] = []
    clusters = [plain(bootstrap.cluster("route", upstream))]
    if security:
        name = f"{HTTP}/securitypolicy/shop/{security['metadata']['name']}".replace(
            HTTP, "envoy.filters.http.ext_authz"
        )
        clusters.append(plain(bootstrap.cluster("backend", authz, http2=True)))
        filters.append({"name": name, "disabled": True, "typed_config": _ext_authz(security)})
        route["typed_per_filter_config"] = {name: _per_route(security)}
    filters.append(
        {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": f"{TYPE}{HTTP}.router.v3.Router"},
        }
    )
    manager = {
        "@type": f"{TYPE}envoy.extensions.filters.network.http_connection_manager.v3."
        "HttpConnectionManager",
        "stat_prefix": "http-10080",
        "use_remote_address": True,
        "normalize_path": True,
        "route_config": {
            "name": EG_LISTENER,
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}],
        },
        "http_filters": filters,
    }
    http = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    listener = {
        "name": EG_LISTENER,
        "address": plain(bootstrap.address(port)),
        "default_filter_chain": {"name": EG_LISTENER, "filters": [http]},
    }
    return {
        **plain(bootstrap.bootstrap("gateway", admin, [], [])),
        "static_resources": {"listeners": [listener], "clusters": clusters},
    }


def json_patched(made: Json, policy: Json) -> Json:
    """Apply the patches of an EnvoyPatchPolicy (RFC 6902, `add` alone) to the resources."""
    resources = made["static_resources"]
    for patch in policy["spec"]["jsonPatches"]:
        (place,) = (where for kind, where in PLACES.items() if patch["type"].endswith(kind))
        operation = patch["operation"]
        assert operation["op"] == "add"
        if not operation["path"]:
            resources[place].append(operation["value"])
            continue
        (target,) = (each for each in resources[place] if each["name"] == patch["name"])
        _add(target, operation["path"].split("/")[1:], operation["value"])
    return made


def _add(target: Any, path: list[str], value: Any) -> None:
    *above, last = path
    for name in above:
        target = target[int(name)] if isinstance(target, list) else target[name]
    if isinstance(target, list):
        target.insert(int(last), value)
    else:
        target[last] = value


def _ext_authz(security: Json) -> Json:
    asked = security["spec"]["extAuth"]
    milliseconds = int(asked["timeout"].removesuffix("ms"))
    return {
        "@type": f"{TYPE}{HTTP}.ext_authz.v3.ExtAuthz",
        "grpc_service": {
            "envoy_grpc": {"cluster_name": "backend", "authority": "authz.tollhouse:9191"},
            "timeout": f"{milliseconds / 1000}s",
        },
        "transport_api_version": "V3",
        "failure_mode_allow": asked["failOpen"],
        "status_on_error": {"code": asked["statusOnError"]},
    }


def _per_route(security: Json) -> Json:
    said = {
        each["name"]: each["value"] for each in security["spec"]["extAuth"]["contextExtensions"]
    }
    return {
        "@type": f"{TYPE}{HTTP}.ext_authz.v3.ExtAuthzPerRoute",
        "check_settings": {"context_extensions": said},
    }
