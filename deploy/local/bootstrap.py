"""Pieces of an Envoy bootstrap, typed: listeners that speak HTTP, clusters on the loopback."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from betterproto2 import Message
from envoy_data_plane.envoy.config.accesslog.v3 import AccessLog
from envoy_data_plane.envoy.config.bootstrap.v3 import (
    Admin,
    Bootstrap,
    BootstrapStaticResources,
)
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    DataSource,
    Http1ProtocolOptions,
    Http2ProtocolOptions,
    Node,
    SocketAddress,
    SubstitutionFormatString,
    TransportSocket,
)
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.route.v3 import (
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.access_loggers.file.v3 import FileAccessLog
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpFilter,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions as UpstreamProtocol,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptionsExplicitHttpConfig as ExplicitHttp,
)
from envoy_data_plane.google.protobuf import Any

from deploy.local.ports import LOOPBACK
from deploy.wiring import typed

CONNECT_TIMEOUT = timedelta(milliseconds=250)

# %PATH(NQ)%: the path without its query, where callers put what no log should have.
LOG_LINE = (
    "%START_TIME% %REQ(:METHOD)% %PATH(NQ)% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS%"
    " %RESPONSE_FLAGS% %DOWNSTREAM_PEER_URI_SAN% %DURATION%ms\n"
)


def bootstrap(
    name: str, admin_port: int, listeners: Sequence[Listener], clusters: Sequence[Cluster]
) -> Bootstrap:
    return Bootstrap(
        node=Node(id=name, cluster=name),
        admin=Admin(address=address(admin_port)),
        static_resources=BootstrapStaticResources(
            listeners=list(listeners), clusters=list(clusters)
        ),
    )


def http_listener(
    name: str,
    port: int,
    cluster: str,
    *,
    filters: Sequence[HttpFilter] = (),
    tls: TransportSocket | None = None,
    edge: bool = False,
    access_log: Path | None = None,
    host: str = LOOPBACK,
) -> Listener:
    """
    A listener that sends every request to one cluster.

    Args:
        name: of the listener and of its statistics.
        port: where it listens.
        cluster: where requests go.
        filters: HTTP filters in front of the router, in order.
        tls: terminates TLS with it.
        edge: takes the connection's peer as the client and adds it to X-Forwarded-For, as a
            gateway does; otherwise believes what it is sent, as an inbound sidecar does.
        access_log: gets a line a request.
        host: the address to listen on.
    """
    manager = HttpConnectionManager(
        stat_prefix=name,
        route_config=_everything_to(cluster),
        http_filters=[*filters, typed("envoy.filters.http.router", Router())],
        use_remote_address=edge,
        normalize_path=True,  # Istio's pathNormalization BASE
        access_log=[_file_log(access_log)] if access_log else [],
    )
    network_filter = Filter(
        name="envoy.filters.network.http_connection_manager", typed_config=Any.pack(manager)
    )
    chain = FilterChain(filters=[network_filter], transport_socket=tls)
    return Listener(name=name, address=address(port, host), filter_chains=[chain])


def cluster(
    name: str,
    port: int,
    *,
    http2: bool = False,
    tls: TransportSocket | None = None,
    host: str = LOOPBACK,
) -> Cluster:
    """A cluster of one endpoint; `http2` as gRPC needs it; a `host` by name is followed by DNS."""
    http = ExplicitHttp(http2_protocol_options=Http2ProtocolOptions())
    if not http2:
        http = ExplicitHttp(http_protocol_options=Http1ProtocolOptions())
    endpoint = LbEndpoint(endpoint=Endpoint(address=address(port, host)))
    by_name = host != LOOPBACK
    return Cluster(
        name=name,
        type=ClusterDiscoveryType.STRICT_DNS if by_name else ClusterDiscoveryType.STATIC,
        connect_timeout=CONNECT_TIMEOUT,
        load_assignment=ClusterLoadAssignment(
            cluster_name=name, endpoints=[LocalityLbEndpoints(lb_endpoints=[endpoint])]
        ),
        typed_extension_protocol_options={
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": Any.pack(
                UpstreamProtocol(explicit_http_config=http)
            )
        },
        transport_socket=tls,
    )


def tls_socket(context: Message) -> TransportSocket:
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=Any.pack(context))


def address(port: int, host: str = LOOPBACK) -> Address:
    return Address(socket_address=SocketAddress(address=host, port_value=port))


def _everything_to(cluster_name: str) -> RouteConfiguration:
    route = Route(
        name="default", match=RouteMatch(prefix="/"), route=RouteAction(cluster=cluster_name)
    )
    host = VirtualHost(name="all", domains=["*"], routes=[route])
    return RouteConfiguration(name="all", virtual_hosts=[host])


def _file_log(path: Path) -> AccessLog:
    form = SubstitutionFormatString(text_format_source=DataSource(inline_string=LOG_LINE))
    return AccessLog(
        name="envoy.access_loggers.file",
        typed_config=Any.pack(FileAccessLog(path=str(path), log_format=form)),
    )
