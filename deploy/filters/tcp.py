"""
Authorization of connections: the network filter, for protocols that are not HTTP.

It asks at the client's first bytes. Where the server speaks first (MySQL, SMTP) what the server
says goes out unchecked. Fields: Envoy 1.40, `envoy.extensions.filters.network.ext_authz.v3`.
"""

from envoy_data_plane.envoy.config.core.v3 import ApiVersion, GrpcService
from envoy_data_plane.envoy.config.listener.v3 import Filter
from envoy_data_plane.envoy.extensions.filters.network.ext_authz.v3 import ExtAuthz
from envoy_data_plane.google.protobuf import Any

NETWORK_EXT_AUTHZ = "envoy.filters.network.ext_authz"


def connection_authz(service: GrpcService) -> Filter:
    """The filter that closes a connection which the service does not allow, or cannot judge."""
    config = ExtAuthz(
        stat_prefix="tollhouse",
        grpc_service=service,
        transport_api_version=ApiVersion.V3,
        failure_mode_allow=False,
        include_tls_session=True,
    )
    return Filter(name=NETWORK_EXT_AUTHZ, typed_config=Any.pack(config))
