"""What the wirings' tests ask: both real services, a workload, identities and tokens."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.local.certificates import Authority, Files, Identity
from deploy.local.ports import reserved
from deploy.local.processes import http_answers, running
from deploy.local.services import ServicePorts, authz, rls
from deploy.local.tokens import Issuer
from deploy.render import FOLDER

ISSUER = "https://issuer.example"
RLS_HOST = "rls.tollhouse.svc.cluster.local"
AUTHZ_HOST = "authz.tollhouse.svc.cluster.local"
LOCAL_AUTHZ = "authz.tollhouse.internal"

IDENTITIES = {
    "web": Identity("web", "front"),
    "batch": Identity("batch", "nightly"),
    "spender": Identity("reports", "nightly"),
    "gateway": Identity("istio-system", "istio-ingressgateway-service-account"),
    "workload": Identity("shop", "httpbin"),
    "productpage": Identity("bookinfo", "bookinfo-productpage"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Where everything is."""

    upstream: int
    rls: int
    authz: Mapping[str, int]
    """By the workload that it judges for: `namespace/key=value`."""
    files: Mapping[str, Files]
    issuer: Issuer


def manifests(overlay: str, file: str = "envoyfilter.yaml") -> list[dict[str, Any]]:
    """The objects of a rendered file, as an operator applies them."""
    text = (FOLDER / "kubernetes" / "overlays" / overlay / file).read_text()
    return [each for each in yaml.safe_load_all(text) if each]


@contextmanager
def world(
    folder: Path,
    limits: Mapping[str, Any],
    policies: str,
    workloads: Sequence[str],
    more: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[World]:
    """
    Run the services while the context is open.

    Args:
        folder: gets logs, certificates and files.
        limits: domain → descriptors.
        policies: documents; `JWKS` in them stands for the issuer's keys.
        workloads: for whom authz judges, one process each: `namespace/key=value`.
        more: settings of authz for some of them.
    """
    issuer, authority = Issuer(ISSUER), Authority(folder)
    (folder / "limits").mkdir()
    for domain, descriptors in limits.items():
        text = yaml.safe_dump({"domain": domain, "descriptors": descriptors})
        (folder / "limits" / f"{domain}.yaml").write_text(text)
    (folder / "policies.yaml").write_text(policies.replace("JWKS", issuer.key_set()))
    with ExitStack() as stack:
        upstream, *ports = stack.enter_context(reserved(3 + 2 * len(workloads)))
        command = [sys.executable, "-m", "deploy.local.upstream", str(upstream)]
        started = [(stack.enter_context(running("upstream", command, folder)), upstream, "/")]
        at = ServicePorts(*ports[:2])
        service = rls(folder, at, folder / "limits", valkey_port=None)
        started.append((stack.enter_context(service), at.admin, "/readyz"))
        judges = {}
        for number, workload in enumerate(workloads):
            at = ServicePorts(*ports[2 + 2 * number : 4 + 2 * number])
            namespace, _, labels = workload.partition("/")
            settings = {"WORKLOAD_NAMESPACE": namespace, "WORKLOAD_LABELS": labels}
            settings |= (more or {}).get(workload, {})
            own = folder / f"authz-{number}"
            own.mkdir()
            service = authz(own, at, folder / "policies.yaml", settings=settings)
            started.append((stack.enter_context(service), at.admin, "/readyz"))
            judges[workload] = at.grpc
        for process, port, path in started:
            process.wait_until(http_answers(port, path))
        files = {name: authority.issue(identity) for name, identity in IDENTITIES.items()}
        yield World(upstream=upstream, rls=ports[0], authz=judges, files=files, issuer=issuer)
