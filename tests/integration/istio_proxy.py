"""
Proxies as istiod configures them: the names, ports and filter order that patches have to match.

Read off a real istiod: reference page istio-wiring, sections 1, 4 and 5. What only Istio's own
Envoy has (peer metadata, ALPN) is left out; it stands in front of everything and changes no name.
"""

from dataclasses import dataclass, field
from typing import Any

from deploy.local.certificates import Files
from deploy.local.tokens import Issuer

Json = dict[str, Any]

TYPE = "type.googleapis.com/"
HTTP = "envoy.extensions.filters.http"
MANAGER = "envoy.filters.network.http_connection_manager"


@dataclass(kw_only=True)
class Proxy:
    """One proxy: whom it belongs to, and its configuration so far."""

    context: str
    namespace: str
    labels: dict[str, str] = field(default_factory=dict)
    gateway: str = ""
    server_port: int = 0
    listeners: list[Json]
    clusters: list[Json] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    """Services whose clusters it was given because a filter referenced them."""
    everything: bool = False
    """It has the clusters of all services, as sidecars do."""

    def port_of(self, listener: Json, chain: Json) -> int:
        """What `listener.portNumber` is compared with."""
        if self.gateway:
            return -1  # nothing matches at a waypoint
        port: int = chain.get("filter_chain_match", {}).get("destination_port", listener["port"])
        return port

    def route_port(self, listener: Json, chain: Json) -> int:
        """What `routeConfiguration.portNumber` is compared with."""
        if self.context == "GATEWAY":
            return self.server_port
        return self.port_of(listener, chain)


def sidecar(
    namespace: str, labels: dict[str, str], port: int, service_port: int, files: Files, *extra: Json
) -> Proxy:
    """A sidecar's inbound side, mTLS PERMISSIVE; `extra` HTTP filters stand in Istio's place."""
    name = f"inbound|http|{service_port}"
    chains = [
        _chain(f"0.0.0.0_{port}", name, port, extra, transport="tls", files=files),
        _chain(f"0.0.0.0_{port}", name, port, extra, transport="raw_buffer"),
    ]
    listener = {"name": "virtualInbound", "port": 15006, "filter_chains": chains}
    return Proxy(
        context="SIDECAR_INBOUND",
        namespace=namespace,
        labels=labels,
        listeners=[listener],
        everything=True,
    )


def tcp_sidecar(namespace: str, labels: dict[str, str], port: int, files: Files) -> Proxy:
    """A sidecar's inbound side of a port that is not HTTP, mTLS STRICT."""
    tcp = {
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": TYPE + "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "inbound",
            "cluster": "inbound",
        },
    }
    match = {"destination_port": port, "transport_protocol": "tls"}
    chain = {
        "name": f"0.0.0.0_{port}",
        "filter_chain_match": match,
        "filters": [tcp],
        "transport_socket": _tls(files),
    }
    listener = {"name": "virtualInbound", "port": 15006, "filter_chains": [chain]}
    return Proxy(
        context="SIDECAR_INBOUND",
        namespace=namespace,
        labels=labels,
        listeners=[listener],
        everything=True,
    )


def gateway(
    labels: dict[str, str],
    port: int,
    server_port: int,
    host: str,
    routes: list[Json],
    *,
    trusted: int = 0,
    files: Files | None = None,
) -> Proxy:
    """An ingress or egress gateway; with `files` its server asks for mTLS (ISTIO_MUTUAL)."""
    manager = _manager(f"outbound_0.0.0.0_{port}", f"http.{port}", f"{host}:{server_port}", routes)
    manager["typed_config"] |= {"use_remote_address": True, "xff_num_trusted_hops": trusted}
    chain: Json = {"name": f"0.0.0.0_{port}", "filters": [manager]}
    if files:
        chain["transport_socket"] = _tls(files)
    listener = {"name": f"0.0.0.0_{port}", "port": port, "filter_chains": [chain]}
    return Proxy(
        context="GATEWAY",
        namespace="istio-system",
        labels=labels,
        server_port=server_port,
        listeners=[listener],
    )


def waypoint(namespace: str, name: str, host: str, service_port: int) -> Proxy:
    """A waypoint of one service. Its tunnel listener is there to show what must not be patched."""
    vhost = f"inbound|http|{service_port}"
    chains = [
        _chain(f"inbound-vip|{service_port}|http|{host}", vhost, 0, (_peer_principal(),)),
        _chain("direct-http", vhost, 0, (_peer_principal(),)),
    ]
    for chain in chains:
        # In the place of Istio's own filter, which writes the header: let the test's through.
        manager = chain["filters"][0]["typed_config"]
        manager["forward_client_cert_details"] = "ALWAYS_FORWARD_ONLY"
    tunnel = _chain("default", "default", 0, ())
    return Proxy(
        context="SIDECAR_INBOUND",
        namespace=namespace,
        gateway=name,
        listeners=[
            {"name": "main_internal", "port": 0, "filter_chains": chains},
            {"name": "connect_terminate", "port": 15008, "filter_chains": [tunnel]},
        ],
    )


def custom(proxy: Proxy, provider: Json, policy: Json) -> Proxy:
    """Puts in front of every chain what a CUSTOM policy and its provider make istiod generate."""
    grpc, name = provider["envoyExtAuthzGrpc"], provider["name"]
    host = grpc["service"].rpartition("/")[2]
    proxy.hosts.add(host)
    metadata = policy["metadata"]
    prefix = f"istio-ext-authz-{name}"
    rule = f"{prefix}-ns[{metadata['namespace']}]-policy[{metadata['name']}]-rule[0]"
    anything: Json = {"permissions": [{"any": True}], "principals": [{"any": True}]}
    shadow = {
        "@type": f"{TYPE}{HTTP}.rbac.v3.RBAC",
        "shadow_rules": {"action": "DENY", "policies": {rule: anything}},
        "shadow_rules_stat_prefix": "istio_ext_authz_",
    }
    asking = {
        "@type": f"{TYPE}{HTTP}.ext_authz.v3.ExtAuthz",
        "grpc_service": {
            "envoy_grpc": {"cluster_name": f"outbound|{grpc['port']}||{host}", "authority": host},
            "timeout": grpc["timeout"],
        },
        "transport_api_version": "V3",
        "failure_mode_allow": grpc["failOpen"],
        "status_on_error": {"code": int(grpc["statusOnError"])},
        "filter_enabled_metadata": {
            "filter": "envoy.filters.http.rbac",
            "path": [{"key": "istio_ext_authz_shadow_effective_policy_id"}],
            "value": {"string_match": {"prefix": prefix}},
        },
    }
    pair = [
        {"name": "envoy.filters.http.rbac", "typed_config": shadow},
        {"name": "envoy.filters.http.ext_authz", "typed_config": asking},
    ]
    for listener in proxy.listeners:
        for chain in listener["filter_chains"]:
            for each in chain["filters"]:
                if each["name"] == MANAGER and listener["name"] != "connect_terminate":
                    each["typed_config"]["http_filters"][:0] = pair
    return proxy


def jwt_authn(issuer: Issuer) -> Json:
    """Istio's own token check, of a RequestAuthentication: a request without one passes."""
    provider = {
        "issuer": issuer.name,
        "local_jwks": {"inline_string": issuer.key_set()},
        "payload_in_metadata": "payload",
    }
    anyone = {"requires_any": {"requirements": [{"provider_name": "o"}, {"allow_missing": {}}]}}
    config = {
        "@type": f"{TYPE}{HTTP}.jwt_authn.v3.JwtAuthentication",
        "providers": {"o": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": anyone}],
    }
    return {"name": "envoy.filters.http.jwt_authn", "typed_config": config}


def _peer_principal() -> Json:
    """In the place of HBONE: the caller's identity in the filter state, out of a test header."""
    text = {"text_format_source": {"inline_string": "%REQ(x-test-peer)%"}}
    value = {
        "object_key": "io.istio.peer_principal",
        "factory_key": "envoy.string",
        "format_string": text,
        "skip_if_empty": True,
    }
    config = {
        "@type": f"{TYPE}{HTTP}.set_filter_state.v3.Config",
        "on_request_headers": [value],
    }
    return {"name": "test.peer_principal", "typed_config": config}


def _chain(
    name: str,
    vhost: str,
    port: int,
    extra: "tuple[Json, ...]",
    *,
    transport: str = "",
    files: Files | None = None,
) -> Json:
    route = {"name": "default", "match": {"prefix": "/"}, "route": {"cluster": "inbound"}}
    manager = _manager("inbound", f"inbound|{port}||", vhost, [route], domains=["*"])
    manager["typed_config"]["http_filters"][:0] = extra
    chain: Json = {"name": name, "filters": [manager]}
    if transport:
        chain["filter_chain_match"] = {"destination_port": port, "transport_protocol": transport}
    if files:
        chain["transport_socket"] = _tls(files)
    return chain


def _manager(
    prefix: str, routes_name: str, vhost: str, routes: list[Json], domains: list[str] | None = None
) -> Json:
    host = vhost.rpartition(":")[0]
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{TYPE}{HTTP}.router.v3.Router"},
    }
    virtual = {"name": vhost, "domains": domains or [host, f"{host}:*"], "routes": routes}
    config = {
        "@type": f"{TYPE}envoy.extensions.filters.network.http_connection_manager.v3."
        "HttpConnectionManager",
        "stat_prefix": prefix,
        "normalize_path": True,
        "route_config": {"name": routes_name, "virtual_hosts": [virtual]},
        "http_filters": [router],
    }
    return {"name": MANAGER, "typed_config": config}


def _tls(files: Files) -> Json:
    pair = {
        "certificate_chain": {"filename": str(files.certificate)},
        "private_key": {"filename": str(files.key)},
    }
    common = {
        "tls_certificates": [pair],
        "validation_context": {"trusted_ca": {"filename": str(files.authority)}},
    }
    config = {
        "@type": f"{TYPE}envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": common,
        "require_client_certificate": True,
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": config}
