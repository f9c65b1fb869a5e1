"""
The two Envoys of the local mesh, as Istio would make them.

The inbound sidecar stands before the workload: mutual TLS, then ext_authz, then rate limit, the
order that a CUSTOM policy and an EnvoyFilter give in a mesh. The calling sidecar stands beside the
callers: a plain listener for each identity, whose requests leave under that identity's certificate.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap
from envoy_data_plane.envoy.config.core.v3 import DataSource
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
    CommonTlsContext,
    DownstreamTlsContext,
    SubjectAltNameMatcher,
    SubjectAltNameMatcherSanType,
    TlsCertificate,
    UpstreamTlsContext,
)
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from deploy.local import bootstrap
from deploy.local.certificates import TRUST_DOMAIN, Files, Identity
from deploy.wiring import Service, ext_authz_filter, ratelimit_filter

UPSTREAM, RLS, AUTHZ = "upstream", "rls", "authz"

RLS_SERVICE = Service(RLS, "rls.tollhouse.svc.cluster.local")
AUTHZ_SERVICE = Service(AUTHZ, "authz.tollhouse.svc.cluster.local")

ANY_IDENTITY = StringMatcher(prefix=f"spiffe://{TRUST_DOMAIN}/")


class InboundPorts(NamedTuple):
    """Where the inbound sidecar listens and whom it asks."""

    admin: int
    listener: int
    upstream: int
    rls: int
    authz: int


class Caller(NamedTuple):
    """An identity and the plain listener whose requests leave under it."""

    identity: Identity
    files: Files
    port: int


def both_filters() -> list[HttpFilter]:
    return [ext_authz_filter(AUTHZ_SERVICE), ratelimit_filter(RLS_SERVICE)]


def inbound_sidecar(
    ports: InboundPorts,
    files: Files,
    *,
    plain: Mapping[int, Sequence[HttpFilter]] | None = None,
    access_log: Path | None = None,
) -> Bootstrap:
    """
    The Envoy before the workload.

    Args:
        ports: where it listens and whom it asks.
        files: the workload's own certificate; callers must have one of the same authority.
        plain: more listeners without TLS, port → filters; for measurements, one arm each.
        access_log: gets a line a request of the TLS listener.
    """
    context = DownstreamTlsContext(
        common_tls_context=_tls(files, ANY_IDENTITY), require_client_certificate=True
    )
    inbound = bootstrap.http_listener(
        "inbound",
        ports.listener,
        UPSTREAM,
        filters=both_filters(),
        tls=bootstrap.tls_socket(context),
        access_log=access_log,
    )
    arms = [
        bootstrap.http_listener(f"plain-{port}", port, UPSTREAM, filters=filters)
        for port, filters in (plain or {}).items()
    ]
    clusters = [
        bootstrap.cluster(UPSTREAM, ports.upstream),
        bootstrap.cluster(RLS, ports.rls, http2=True),
        bootstrap.cluster(AUTHZ, ports.authz, http2=True),
    ]
    return bootstrap.bootstrap("inbound", ports.admin, [inbound, *arms], clusters)


def calling_sidecar(
    admin_port: int, target_port: int, target: Identity, callers: Sequence[Caller]
) -> Bootstrap:
    """
    The Envoy beside the callers.

    Args:
        admin_port: of this Envoy.
        target_port: where the inbound sidecar listens.
        target: whom its certificate must name.
        callers: who calls through here.
    """
    listeners = []
    clusters = []
    for caller in callers:
        name = caller.identity.service_account
        context = UpstreamTlsContext(
            common_tls_context=_tls(caller.files, StringMatcher(exact=target.spiffe_id))
        )
        listeners.append(bootstrap.http_listener(name, caller.port, name, edge=True))
        clusters.append(bootstrap.cluster(name, target_port, tls=bootstrap.tls_socket(context)))
    return bootstrap.bootstrap("calling", admin_port, listeners, clusters)


def _tls(files: Files, peer: StringMatcher) -> CommonTlsContext:
    return CommonTlsContext(
        tls_certificates=[
            TlsCertificate(
                certificate_chain=DataSource(filename=str(files.certificate)),
                private_key=DataSource(filename=str(files.key)),
            )
        ],
        validation_context=CertificateValidationContext(
            trusted_ca=DataSource(filename=str(files.authority)),
            match_typed_subject_alt_names=[
                SubjectAltNameMatcher(san_type=SubjectAltNameMatcherSanType.URI, matcher=peer)
            ],
        ),
    )
