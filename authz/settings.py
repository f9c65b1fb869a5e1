"""The process settings of the authorization service."""

from dataclasses import dataclass
from pathlib import Path

from authz.attachment import Workload
from serving.settings import setting
from serving.values import PORT, ProcessSettings, boolean, choice, integer, labels, names, text


def paths(found: str) -> tuple[Path, ...]:
    """Comma-separated files or folders."""
    return tuple(Path(name) for name in names(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(ProcessSettings):
    """Read once by `__main__`, printed redacted at start."""

    grpc_port: int = setting(9191, PORT, "port of the gRPC listener")
    admin_host: str = setting("127.0.0.1", text, "address of the admin port")
    admin_port: int = setting(9190, PORT, "port of /healthz, /readyz, /metrics")
    policy_paths: tuple[Path, ...] = setting(
        (Path("/etc/tollhouse/policies"),), paths, "files or folders with Istio documents"
    )
    workload_namespace: str = setting("default", text, "namespace of the workload judged for")
    workload_labels: tuple[tuple[str, str], ...] = setting(
        (), labels, "labels of the workload judged for, as selectors see them"
    )
    root_namespace: str = setting("istio-system", text, "namespace whose policies hold mesh-wide")
    trust_domain: str = setting("cluster.local", text, "trust domain of the mesh")
    trust_domain_aliases: tuple[str, ...] = setting((), names, "other names of the trust domain")
    xff_num_trusted_hops: int = setting(
        0, integer(0, 100), "proxies in front whose X-Forwarded-For entries are believed"
    )
    trust_xfcc: str = setting(
        "never", choice("never"), "callers named in x-forwarded-client-cert are not believed so far"
    )
    jwt_leeway_seconds: int = setting(
        60, integer(0, 600), "how far the clocks of issuer and verifier may differ"
    )
    jwks_allow_http: bool = setting(
        False, boolean, "fetch keys over plain http: whoever is on the way can then mint tokens"
    )

    @property
    def workload(self) -> Workload:
        return Workload(self.workload_namespace, dict(self.workload_labels), self.root_namespace)
