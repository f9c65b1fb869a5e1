"""Send the steps of the story through the calling sidecar and note what came of them."""

import http.client
from collections.abc import Mapping
from typing import NamedTuple

from deploy.demo.decisions import last_word, read_counts
from deploy.demo.story import Step
from deploy.local.mesh import Mesh
from deploy.local.ports import LOOPBACK
from deploy.local.tokens import Issuer

TIMEOUT_SECONDS = 10


class Outcome(NamedTuple):
    """What came of one step."""

    step: Step
    statuses: tuple[int, ...]
    decider: str

    @property
    def as_expected(self) -> bool:
        return (self.statuses, self.decider) == (self.step.statuses, self.step.decider)


def credentials(issuer: Issuer, now_seconds: int) -> Mapping[str, str]:
    """Name → value of the Authorization header; empty for none."""
    day = 86_400
    claims = {"sub": "alice", "aud": "httpbin", "tenant": "blue"}
    stranger = Issuer(issuer.name)  # the same name and key id, another key
    tokens = {
        "good": issuer.token(claims, now_seconds),
        "green": issuer.token({**claims, "sub": "grace", "tenant": "green"}, now_seconds),
        "expired": issuer.token(claims, now_seconds - day),
        "forged": stranger.token(claims, now_seconds),
    }
    return {"none": "", **{name: f"Bearer {token}" for name, token in tokens.items()}}


def play(step: Step, mesh: Mesh, authorization: Mapping[str, str]) -> Outcome:
    """Send the requests of one step and compare the services' counts before and after."""
    admin_ports = (mesh.ports.authz_admin, mesh.ports.rls_admin)
    before = read_counts(admin_ports)
    value = authorization[step.credential]
    headers = dict(step.headers) | ({"authorization": value} if value else {})
    port = mesh.callers[step.caller]
    statuses = tuple(status(port, step.path, headers, step.address) for _ in step.statuses)
    made = read_counts(admin_ports) - before
    return Outcome(step, statuses, last_word(made))


def status(port: int, path: str, headers: Mapping[str, str], address: str) -> int:
    """The status of one GET, sent from `address`, which is one of the loopback network."""
    connection = http.client.HTTPConnection(
        LOOPBACK, port, timeout=TIMEOUT_SECONDS, source_address=(address, 0)
    )
    try:
        connection.request("GET", path, headers=dict(headers))
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()
