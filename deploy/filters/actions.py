"""
What is counted: the descriptor entries that the wirings send, each with its trap.

An action that finds nothing (no such header, no certificate, no claim) drops its whole descriptor,
so none is ever sent cut short and counted as another; `skip_if_absent` would do just that.
Fields: Envoy 1.40, `envoy.config.route.v3.RateLimit`.
"""

from collections.abc import Sequence

from envoy_data_plane.envoy.config.core.v3 import TypedExtensionConfig
from envoy_data_plane.envoy.config.route.v3 import (
    RateLimit as Descriptor,
)
from envoy_data_plane.envoy.config.route.v3 import (
    RateLimitAction,
    RateLimitActionGenericKey,
    RateLimitActionMaskedRemoteAddress,
    RateLimitActionMetaData,
    RateLimitActionMetaDataSource,
    RateLimitActionRemoteAddress,
    RateLimitActionRequestHeaders,
    RateLimitHitsAddend,
)
from envoy_data_plane.envoy.extensions.rate_limit_descriptors.expr.v3 import (
    Descriptor as Expression,
)
from envoy_data_plane.envoy.type.metadata.v3 import MetadataKey, MetadataKeyPathSegment
from envoy_data_plane.google.protobuf import Any

PATH = "request.url_path"
"""The path without its query: with `:path` every query string would be a counter of its own."""

PEER = "connection.uri_san_peer_certificate"
"""The SPIFFE identity of the verified peer certificate; an error, hence no entry, without one."""

NAMESPACE = rf"re.capture({PEER}, '^spiffe://[^/]+/ns/([^/]+)/sa/.+$')"
ACCOUNT = rf"re.capture({PEER}, '^spiffe://[^/]+/(ns/[^/]+/sa/.+)$')"

WAYPOINT_PEER = "filter_state['io.istio.peer_principal']"
"""At a waypoint the connection is its own, and the caller's identity stands in the filter state, as
bytes: Envoy sends them whole, but has no `string()`, so no part of them can be captured."""

JWT_FILTER, JWT_PAYLOAD = "envoy.filters.http.jwt_authn", "payload"
"""Where istiod has the claims of a verified token written (RequestAuthentication)."""

RESPONSE_MILLISECONDS = "%RESPONSE_DURATION%"
"""From the request's first byte to the response's first byte: whole milliseconds, as text."""


def path() -> RateLimitAction:
    return expression("path", PATH)


def namespace() -> RateLimitAction:
    """The calling namespace, as the peer's certificate names it."""
    return expression("source_namespace", NAMESPACE)


def account() -> RateLimitAction:
    """The calling service account with its namespace, `ns/web/sa/front`."""
    return expression("source_account", ACCOUNT)


def header(name: str, key: str) -> RateLimitAction:
    """A request header: believe it only where something in front has written or checked it."""
    return RateLimitAction(
        request_headers=RateLimitActionRequestHeaders(header_name=name, descriptor_key=key)
    )


def address() -> RateLimitAction:
    """The client's address: how far X-Forwarded-For is believed is the listener's decision."""
    return RateLimitAction(remote_address=RateLimitActionRemoteAddress())


def network(bits_v4: int, bits_v6: int) -> RateLimitAction:
    """The client's network: a home has a /64 of IPv6 addresses, and may use a new one a request."""
    return RateLimitAction(
        masked_remote_address=RateLimitActionMaskedRemoteAddress(
            v4_prefix_mask_len=bits_v4, v6_prefix_mask_len=bits_v6
        )
    )


def claim(name: str, key: str) -> RateLimitAction:
    """A claim of the verified token, out of the metadata that Istio's own filter leaves."""
    where = MetadataKey(
        key=JWT_FILTER, path=[MetadataKeyPathSegment(key=part) for part in (JWT_PAYLOAD, name)]
    )
    return RateLimitAction(
        metadata=RateLimitActionMetaData(
            descriptor_key=key, metadata_key=where, source=RateLimitActionMetaDataSource.DYNAMIC
        )
    )


def constant(key: str, value: str) -> RateLimitAction:
    """The same for every request: sets descriptors of one kind apart from all others."""
    return RateLimitAction(
        generic_key=RateLimitActionGenericKey(descriptor_key=key, descriptor_value=value)
    )


def expression(key: str, text: str) -> RateLimitAction:
    """A descriptor entry computed by a CEL expression over Envoy's attributes."""
    # To mypy the name is the wheel's own import of google.protobuf.descriptor.Descriptor.
    config = Expression(descriptor_key=key, text=text)  # type: ignore[call-arg]
    packed = Any.pack(config)  # type: ignore[arg-type]
    name = "envoy.rate_limit_descriptors.expr"
    return RateLimitAction(extension=TypedExtensionConfig(name=name, typed_config=packed))


def descriptors(*each: Sequence[RateLimitAction]) -> list[Descriptor]:
    """One descriptor for each sequence of actions."""
    return [Descriptor(actions=list(actions)) for actions in each]


def charged_by_time(*actions: RateLimitAction) -> list[Descriptor]:
    """
    A budget of milliseconds: asked before the request, charged after the response.

    The first descriptor adds nothing and so refuses only once the budget is spent; the second is
    sent when the response has ended, with the milliseconds it took, and can refuse nothing.
    """
    return [
        Descriptor(actions=list(actions), hits_addend=RateLimitHitsAddend(number=0)),
        Descriptor(
            actions=list(actions),
            hits_addend=RateLimitHitsAddend(format=RESPONSE_MILLISECONDS),
            apply_on_stream_done=True,
        ),
    ]
