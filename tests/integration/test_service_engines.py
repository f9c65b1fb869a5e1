"""`rls` and `authz` as processes, on either engine: what they offer, and how they leave."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from deploy.local.ports import LOOPBACK, reserved
from deploy.local.processes import ROOT, Process, http_answers
from deploy.local.services import ServicePorts, authz, rls
from protos.health_v1_pb2 import HealthCheckRequest, HealthCheckResponse
from protos.reflection_v1_pb2 import ServerReflectionRequest, ServerReflectionResponse

REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
OWN = {
    "rls": "envoy.service.ratelimit.v3.RateLimitService",
    "authz": "envoy.service.auth.v3.Authorization",
}


@contextmanager
def serving(name: str, transport: str, folder: Path) -> Iterator[tuple[Process, grpc.Channel]]:
    settings = {"TRANSPORT": transport}
    with reserved(2) as numbers:
        ports = ServicePorts(*numbers)
        service = (
            rls(folder, ports, ROOT / "config" / "rls", valkey_port=None, settings=settings)
            if name == "rls"
            else authz(folder, ports, folder, settings=settings)
        )
        with service as process:
            process.wait_until(http_answers(ports.admin, "/readyz"))
            with grpc.insecure_channel(f"{LOOPBACK}:{ports.grpc}") as channel:
                yield process, channel


@pytest.mark.parametrize("transport", ["fast", "grpcio"])
@pytest.mark.parametrize("name", ["rls", "authz"])
def test_a_service_offers_the_same_on_either_engine(
    tmp_path: Path, name: str, transport: str
) -> None:
    with serving(name, transport, tmp_path) as (process, channel):
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        body = check(HealthCheckRequest().SerializeToString(), timeout=20)
        assert HealthCheckResponse.FromString(body).status == HealthCheckResponse.SERVING
        question = ServerReflectionRequest(list_services="").SerializeToString()
        (answer,) = channel.stream_stream(REFLECTION)(iter([question]), timeout=20)
        services = ServerReflectionResponse.FromString(answer).list_services_response.service
        assert {service.name for service in services} == {
            OWN[name],
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
        }
        process._popen.send_signal(signal.SIGTERM)
        assert process._popen.wait(20) == 0
        assert "event='drained'" in process.log.read_text()
        assert f"transport={transport!r}" in process.log.read_text().lower()
