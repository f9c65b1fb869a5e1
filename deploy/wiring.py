"""
The two HTTP filters that ask the services, typed: the one source of the manifests and the demo.

A decision that an operator may want otherwise is a constant here, with its reason beside it.
Fields: Envoy 1.40, `envoy.extensions.filters.http.{ratelimit,ext_authz}.v3`.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any as Plain
from typing import NamedTuple

from betterproto2 import Casing, Message
from envoy_data_plane.envoy.config.core.v3 import (
    ApiVersion,
    GrpcService,
    GrpcServiceEnvoyGrpc,
)
from envoy_data_plane.envoy.config.ratelimit.v3 import RateLimitServiceConfig
from envoy_data_plane.envoy.config.route.v3 import RateLimit as Descriptor
from envoy_data_plane.envoy.extensions.filters.http.ext_authz.v3 import ExtAuthz
from envoy_data_plane.envoy.extensions.filters.http.ratelimit.v3 import (
    RateLimit,
    RateLimitXRateLimitHeadersRfcVersion,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.type.v3 import HttpStatus, StatusCode
from envoy_data_plane.google.protobuf import Any

from deploy.filters import actions

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


class Service(NamedTuple):
    """Where a filter finds its service."""

    cluster: str
    authority: str
    """The HTTP/2 `:authority` of the calls; without it Envoy sends the cluster's name."""


def ratelimit_filter(
    service: Service, *, domain: str = DOMAIN, limits: Sequence[Descriptor] | None = None
) -> HttpFilter:
    """
    The filter that asks the rate limit service about every request.

    Args:
        service: whom it asks.
        domain: which limits file answers.
        limits: what is sent, see `descriptors`. An empty list leaves it to the routes.
    """
    config = RateLimit(
        domain=domain,
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
            transport_api_version=ApiVersion.V3, grpc_service=grpc(service)
        ),
        rate_limits=list(descriptors() if limits is None else limits),
    )
    return typed(RATELIMIT, config)


def ext_authz_filter(service: Service, *, name: str = EXT_AUTHZ) -> HttpFilter:
    """
    The filter that asks the external authorization service about every request.

    Args:
        service: whom it asks.
        name: another than Istio's own for a filter that stands beside one of a provider.
    """
    config = ExtAuthz(
        grpc_service=grpc(service, EXT_AUTHZ_TIMEOUT),
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
    return typed(name, config)


def descriptors() -> list[Descriptor]:
    """
    What is counted, sent by the filter itself: it then needs no route patch and works anywhere.

    Each starts with the path. An action that finds nothing (no such header, no certificate) drops
    its whole descriptor, so none is ever sent cut short and counted as another.
    """
    path, tenant = actions.path(), actions.header(TENANT_HEADER, "tenant")
    return actions.descriptors(
        [path],
        [path, actions.address()],
        [path, tenant],
        [path, actions.namespace()],
    )


def typed(name: str, config: Message) -> HttpFilter:
    return HttpFilter(name=name, typed_config=Any.pack(config))


def plain(message: Message) -> dict[str, Plain]:
    """The message as JSON or YAML has it, in the spelling of Envoy's documentation."""
    return message.to_dict(casing=Casing.SNAKE)


def grpc(service: Service, timeout: timedelta | None = None) -> GrpcService:
    where = GrpcServiceEnvoyGrpc(cluster_name=service.cluster, authority=service.authority)
    return GrpcService(envoy_grpc=where, timeout=timeout)
