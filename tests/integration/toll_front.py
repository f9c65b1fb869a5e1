"""An Envoy in front of toll servers: a listener, a rate limit filter and a cluster a variant."""

import http.client
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap
from envoy_data_plane.envoy.config.cluster.v3 import (
    Cluster,
    ClusterDiscoveryType,
    ClusterEdsClusterConfig,
)
from envoy_data_plane.envoy.config.core.v3 import (
    ApiVersion,
    ConfigSource,
    DataSource,
    GrpcService,
    GrpcServiceEnvoyGrpc,
    GrpcServiceGoogleGrpc,
    HealthCheck,
    HealthCheckGrpcHealthCheck,
    Http2ProtocolOptions,
    PathConfigSource,
    TransportSocket,
)
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.ratelimit.v3 import RateLimitServiceConfig
from envoy_data_plane.envoy.config.route.v3 import (
    DirectResponseAction,
    RateLimitAction,
    RateLimitActionGenericKey,
    RateLimitActionRequestHeaders,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.config.route.v3 import RateLimit as Descriptor
from envoy_data_plane.envoy.config.trace.v3 import (
    OpenTelemetryConfig,
    TracingHttp,
    ZipkinConfig,
    ZipkinConfigCollectorEndpointVersion,
)
from envoy_data_plane.envoy.extensions.filters.http.ratelimit.v3 import RateLimit
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerTracing,
    HttpFilter,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import HttpProtocolOptions
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptionsExplicitHttpConfig as ExplicitHttp,
)
from envoy_data_plane.google.protobuf import Any

from deploy.local import bootstrap
from deploy.local.envoy import envoy
from deploy.local.ports import LOOPBACK, reserved
from deploy.local.processes import http_answers
from deploy.wiring import plain, typed

TIMEOUT = timedelta(seconds=5)
"""These tests are about calls that are lost, not about a busy machine."""

COLLECTOR, PASSED = "collector", "passed"
PADDING_HEADER = "x-pad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """One listener and the cluster that its filter asks."""

    name: str
    servers: Sequence[int] = ()
    """Ports of the toll servers; none with `endpoints`."""
    endpoints: Path | None = None
    """The file that names the servers, as endpoint discovery would."""
    http2: Http2ProtocolOptions = field(default_factory=Http2ProtocolOptions)
    google: bool = False
    tracing: str = ""
    """`otel` or `zipkin`."""
    health_check: bool = False
    tls: TransportSocket | None = None
    timeout: timedelta = TIMEOUT

    @property
    def cluster(self) -> str:
        return f"toll-{self.name}"


class RunningFront:
    """An Envoy that serves fronts, and the port of each."""

    def __init__(self, admin_port: int, ports: dict[str, int]) -> None:
        self._admin_port, self.ports = admin_port, ports

    def stat(self, name: str) -> int:
        """A counter or gauge; 0 while it does not exist."""
        connection = http.client.HTTPConnection(LOOPBACK, self._admin_port, timeout=20)
        connection.request("GET", f"/stats?format=json&filter=^{name}$")
        found = json.loads(connection.getresponse().read())["stats"]
        connection.close()
        return int(found[0]["value"]) if found else 0

    def healthy(self, front: Front) -> int:
        return self.stat(f"cluster.{front.cluster}.membership_healthy")


@contextmanager
def running_fronts(folder: Path, fronts: Sequence[Front]) -> Iterator[RunningFront]:
    """Run one Envoy with all `fronts` while the context is open."""
    with reserved(len(fronts) + 3) as (admin, collector, passed, *ports):
        clusters = [_cluster(front) for front in fronts if not front.google]
        clusters.append(bootstrap.cluster(COLLECTOR, collector, http2=True))
        clusters.append(bootstrap.cluster(PASSED, passed))
        listeners = [_asking(front, port) for front, port in zip(fronts, ports, strict=True)]
        listeners.append(_passed(passed))
        configuration: Bootstrap = bootstrap.bootstrap("toll", admin, listeners, clusters)
        with envoy("envoy", configuration, folder) as process:
            process.wait_until(http_answers(admin, "/ready"))
            yield RunningFront(admin, {f.name: p for f, p in zip(fronts, ports, strict=True)})


def write_endpoints(front: Front, servers: Sequence[int]) -> None:
    """Tell Envoy the servers; the file is moved into place, which is what it watches for."""
    assert front.endpoints is not None
    resource = {
        "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
        **plain(_assignment(front.cluster, servers)),
    }
    temporary = front.endpoints.with_suffix(".new")
    temporary.write_text(json.dumps({"resources": [resource]}))
    temporary.rename(front.endpoints)


def _assignment(cluster: str, servers: Sequence[int]) -> ClusterLoadAssignment:
    endpoints = [LbEndpoint(endpoint=Endpoint(address=bootstrap.address(p))) for p in servers]
    return ClusterLoadAssignment(
        cluster_name=cluster, endpoints=[LocalityLbEndpoints(lb_endpoints=endpoints)]
    )


def _cluster(front: Front) -> Cluster:
    options = HttpProtocolOptions(
        explicit_http_config=ExplicitHttp(http2_protocol_options=front.http2)
    )
    cluster = Cluster(
        name=front.cluster,
        connect_timeout=TIMEOUT,
        typed_extension_protocol_options={
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": Any.pack(options)
        },
        transport_socket=front.tls,
    )
    if front.endpoints is None:
        cluster.type = ClusterDiscoveryType.STATIC
        cluster.load_assignment = _assignment(front.cluster, front.servers)
    else:
        cluster.type = ClusterDiscoveryType.EDS
        source = ConfigSource(path_config_source=PathConfigSource(path=str(front.endpoints)))
        cluster.eds_cluster_config = ClusterEdsClusterConfig(eds_config=source)
    if front.health_check:
        often = timedelta(milliseconds=200)
        cluster.health_checks = [
            HealthCheck(
                timeout=TIMEOUT,
                interval=often,
                no_traffic_interval=often,
                unhealthy_threshold=1,
                healthy_threshold=1,
                grpc_health_check=HealthCheckGrpcHealthCheck(),
            )
        ]
    return cluster


def _asking(front: Front, port: int) -> Listener:
    route = Route(match=RouteMatch(prefix="/"), route=RouteAction(cluster=PASSED))
    return _listener(front.name, port, route, [_filter(front)], _tracing(front.tracing))


def _passed(port: int) -> Listener:
    """The workload; the filter does not ask about requests that a route answers by itself."""
    answer = DirectResponseAction(status=200, body=DataSource(inline_string="passed"))
    route = Route(match=RouteMatch(prefix="/"), direct_response=answer)
    return _listener(PASSED, port, route, [], None)


def _listener(
    name: str,
    port: int,
    route: Route,
    filters: Sequence[HttpFilter],
    tracing: HttpConnectionManagerTracing | None,
) -> Listener:
    manager = HttpConnectionManager(
        stat_prefix=name,
        route_config=RouteConfiguration(
            virtual_hosts=[VirtualHost(name="all", domains=["*"], routes=[route])]
        ),
        http_filters=[*filters, typed("envoy.filters.http.router", Router())],
        tracing=tracing,
    )
    network_filter = Filter(
        name="envoy.filters.network.http_connection_manager", typed_config=Any.pack(manager)
    )
    chain = FilterChain(filters=[network_filter])
    return Listener(name=name, address=bootstrap.address(port), filter_chains=[chain])


def _filter(front: Front) -> HttpFilter:
    service = GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=front.cluster))
    if front.google:
        target = f"{LOOPBACK}:{front.servers[0]}"
        service = GrpcService(
            google_grpc=GrpcServiceGoogleGrpc(target_uri=target, stat_prefix=front.name)
        )
    one = RateLimitAction(generic_key=RateLimitActionGenericKey(descriptor_value="all"))
    pad = RateLimitAction(
        request_headers=RateLimitActionRequestHeaders(
            header_name=PADDING_HEADER, descriptor_key="pad"
        )
    )
    config = RateLimit(
        domain="toll",
        timeout=front.timeout,
        failure_mode_deny=True,
        rate_limit_service=RateLimitServiceConfig(
            transport_api_version=ApiVersion.V3, grpc_service=service
        ),
        rate_limits=[Descriptor(actions=[one]), Descriptor(actions=[one, pad])],
    )
    return typed("envoy.filters.http.ratelimit", config)


def _tracing(kind: str) -> HttpConnectionManagerTracing | None:
    """Every request is traced; nobody collects the spans, what matters is the headers."""
    if kind == "otel":
        service = GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=COLLECTOR))
        config = Any.pack(OpenTelemetryConfig(grpc_service=service, service_name="toll"))
        provider = TracingHttp(name="envoy.tracers.opentelemetry", typed_config=config)
    elif kind == "zipkin":
        config = Any.pack(
            ZipkinConfig(
                collector_cluster=COLLECTOR,
                collector_endpoint="/api/v2/spans",
                collector_endpoint_version=ZipkinConfigCollectorEndpointVersion.HTTP_JSON,
            )
        )
        provider = TracingHttp(name="envoy.tracers.zipkin", typed_config=config)
    else:
        return None
    return HttpConnectionManagerTracing(provider=provider)
