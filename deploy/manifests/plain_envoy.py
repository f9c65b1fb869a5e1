"""Bootstraps for an Envoy without a mesh: at the edge, asking one service or both."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter

from deploy.local import bootstrap
from deploy.manifests.names import AUTHZ_PORT, RLS_PORT
from deploy.manifests.objects import as_yaml, comment
from deploy.manifests.sheet import HEADER
from deploy.wiring import Service, ext_authz_filter, plain, ratelimit_filter

LISTENER_PORT, ADMIN_PORT, UPSTREAM_PORT = 8000, 9901, 8080
UPSTREAM = "upstream"
ANYWHERE = "0.0.0.0"  # noqa: S104 - the edge

ABOUT = """
A plain Envoy at the edge that asks {whom}. Start: envoy -c deploy/envoy/{name}
use_remote_address true: the client is who connects; the filters believe no X-Forwarded-For that a
  client sends. Behind a load balancer set xff_num_trusted_hops to the number of proxies in front.
normalize_path: /a/../admin is judged and counted as /admin.
clusters: STRICT_DNS names, as compose and Kubernetes give them; HTTP/2 for gRPC must be said.
admin 127.0.0.1: whoever reaches it can end the proxy.
No answer from a service: 503. Why each field of the filters is as it is: deploy/wiring.py
No certificates here: principals are empty, and policies with principals refuse. For TLS and mTLS
see deploy/local/sidecars.py, which the demo runs.
"""


class Asked(NamedTuple):
    """A service as a plain Envoy finds it."""

    name: str
    port: int


RLS, AUTHZ = Asked("rls", RLS_PORT), Asked("authz", AUTHZ_PORT)


def files() -> Mapping[str, str]:
    """File name below `deploy/envoy/` → its text."""
    kinds = {
        "ratelimit.yaml": ("rls about every request", [RLS]),
        "authz.yaml": ("authz about every request", [AUTHZ]),
        "both.yaml": ("authz, then rls about what authz allows", [AUTHZ, RLS]),
    }
    return {
        name: comment(f"{HEADER}\n" + ABOUT.format(whom=whom, name=name))
        + as_yaml([plain(edge(services))], start=False)
        for name, (whom, services) in kinds.items()
    }


def edge(services: Sequence[Asked]) -> Bootstrap:
    listener = bootstrap.http_listener(
        "edge",
        LISTENER_PORT,
        UPSTREAM,
        filters=[_filter(each) for each in services],
        edge=True,
        host=ANYWHERE,
    )
    clusters = [bootstrap.cluster(UPSTREAM, UPSTREAM_PORT, host=UPSTREAM)]
    clusters += [
        bootstrap.cluster(each.name, each.port, http2=True, host=each.name) for each in services
    ]
    return bootstrap.bootstrap("edge", ADMIN_PORT, [listener], clusters)


def _filter(asked: Asked) -> HttpFilter:
    service = Service(asked.name, asked.name)
    return ext_authz_filter(service) if asked == AUTHZ else ratelimit_filter(service)
