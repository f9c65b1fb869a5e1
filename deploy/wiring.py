"""
The two HTTP filters that ask the services, typed: the one source of the manifests and the demo.

A decision that an operator may want otherwise is a constant here, with its reason beside it.
Fields: Envoy 1.40, `envoy.extensions.filters.http.{ratelimit,ext_authz}.v3`.
"""

from datetime import timedelta
from typing import Any as Plain
from typing import NamedTuple

from betterproto2 import Casing, Message
from envoy_data_plane.envoy.config.core.v3 import (
    ApiVersion,
    GrpcService,
    GrpcServiceEnvoyGrpc,
    TypedExtensionConfig,
)
from envoy_data_plane.envoy.config.ratelimit.v3 import RateLimitServiceConfig
from envoy_data_plane.envoy.config.route.v3 import (
    RateLimit as Descriptor,
)
from envoy_data_plane.envoy.config.route.v3 import (
    RateLimitAction,
    RateLimitActionRemoteAddress,
    RateLimitActionRequestHeaders,
)
from envoy_data_plane.envoy.extensions.filters.http.ext_authz.v3 import ExtAuthz
from envoy_data_plane.envoy.extensions.filters.http.ratelimit.v3 import (
    RateLimit,
    RateLimitXRateLimitHeadersRfcVersion,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.extensions.rate_limit_descriptors.expr.v3 import (
    Descriptor as Expression,
)
from envoy_data_plane.envoy.type.v3 import HttpStatus, StatusCode
from envoy_data_plane.google.protobuf import Any

RATELIMIT = "envoy.filters.http.ratelimit"
EXT_AUTHZ = "envoy.filters.http.ext_authz"  # Istio's name of the filter that a provider generates

DOMAIN = "shop"
TENANT_HEADER = "x-tenant"

RATELIMIT_TIMEOUT = timedelta(milliseconds=250)
"""Envoy's own 20 ms are less than one lost packet (TCP repeats it after 200 ms) or one pause of a
scheduler. The service gives up on its store long before; this ends the wait for a dead pod."""

EXT_AUTHZ_TIMEOUT = timedelta(milliseconds=500)
"""Leaves room for the first token of an issuer, whose keys are fetched then."""

ON_ERROR = StatusCode.ServiceUnavailable
"""403 would blame the caller and 500 the workload for a service that cannot be reached."""

PATH = "request.url_path"
"""The path without its query: with `:path` every query string would be a counter of its own."""

NAMESPACE = r"re.capture(connection.uri_san_peer_certificate, '^spiffe://[^/]+/ns/([^/]+)/sa/.+$')"
"""The namespace in the SPIFFE identity of the verified peer certificate."""


class Service(NamedTuple):
    """Where a filter finds its service."""

    cluster: str
    authority: str
    """The HTTP/2 `:authority` of the calls; without it Envoy sends the cluster's name."""


def ratelimit_filter(service: Service) -> HttpFilter:
    """The filter that asks the rate limit service about every request."""
    config = RateLimit(
        domain=DOMAIN,
        stat_prefix="tollhouse",
        timeout=RATELIMIT_TIMEOUT,
        # A limit that nobody can check is not kept: refuse. A limit that should rather be lost
        # than refuse says so itself in the limits file; a filter that is open is open for all.
        failure_mode_deny=True,
        status_on_error=HttpStatus(code=ON_ERROR),
        enable_x_ratelimit_headers=RateLimitXRateLimitHeadersRfcVersion.DRAFT_VERSION_03,
        # To gRPC clients: RESOURCE_EXHAUSTED. The default, UNAVAILABLE, asks them to try again.
        rate_limited_as_resource_exhausted=True,
        rate_limit_service=RateLimitServiceConfig(
            transport_api_version=ApiVersion.V3, grpc_service=_grpc(service)
        ),
        rate_limits=descriptors(),
    )
    return typed(RATELIMIT, config)


def ext_authz_filter(service: Service) -> HttpFilter:
    """The filter that asks the external authorization service about every request."""
    config = ExtAuthz(
        grpc_service=_grpc(service, EXT_AUTHZ_TIMEOUT),
        transport_api_version=ApiVersion.V3,
        stat_prefix="tollhouse",
        failure_mode_allow=False,
        status_on_error=HttpStatus(code=ON_ERROR),
        # Repeated headers one by one, as Istio's own filter judges them; joined, a DENY on a
        # header value is evaded by sending the header twice.
        encode_raw_headers=True,
        include_tls_session=True,  # `connection.sni` in a policy
        validate_mutations=True,  # a malformed header from the service is refused, not forwarded
    )
    return typed(EXT_AUTHZ, config)


def descriptors() -> list[Descriptor]:
    """
    What is counted, sent by the filter itself: it then needs no route patch and works anywhere.

    Each starts with the path. An action that finds nothing (no such header, no certificate) drops
    its whole descriptor, so none is ever sent cut short and counted as another.
    """
    path = expression("path", PATH)
    tenant = RateLimitAction(
        request_headers=RateLimitActionRequestHeaders(
            header_name=TENANT_HEADER, descriptor_key="tenant"
        )
    )
    address = RateLimitAction(remote_address=RateLimitActionRemoteAddress())
    namespace = expression("source_namespace", NAMESPACE)
    return [
        Descriptor(actions=actions)
        for actions in ([path], [path, address], [path, tenant], [path, namespace])
    ]


def expression(key: str, text: str) -> RateLimitAction:
    """A descriptor entry computed by a CEL expression over Envoy's attributes."""
    # To mypy the name is the wheel's own import of google.protobuf.descriptor.Descriptor.
    config = Expression(descriptor_key=key, text=text)  # type: ignore[call-arg]
    packed = Any.pack(config)  # type: ignore[arg-type]
    name = "envoy.rate_limit_descriptors.expr"
    return RateLimitAction(extension=TypedExtensionConfig(name=name, typed_config=packed))


def typed(name: str, config: Message) -> HttpFilter:
    return HttpFilter(name=name, typed_config=Any.pack(config))


def plain(message: Message) -> dict[str, Plain]:
    """The message as JSON or YAML has it, in the spelling of Envoy's documentation."""
    return message.to_dict(casing=Casing.SNAKE)


def _grpc(service: Service, timeout: timedelta | None = None) -> GrpcService:
    where = GrpcServiceEnvoyGrpc(cluster_name=service.cluster, authority=service.authority)
    return GrpcService(envoy_grpc=where, timeout=timeout)
