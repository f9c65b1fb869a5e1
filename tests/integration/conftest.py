"""The rate limit service as a real process, asked as Envoy, a probe and Prometheus ask it."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from deploy.local import services
from deploy.local.ports import LOOPBACK, reserved
from deploy.local.processes import Process, http_answers
from protos.health_v1_pb2 import HealthCheckRequest, HealthCheckResponse
from protos.service_ratelimit_v3_pb2 import RateLimitRequest, RateLimitResponse

SHOULD_RATE_LIMIT = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
CALL_SECONDS = 10.0


class Rls:
    """A running `python -m rls serve`."""

    def __init__(
        self, process: Process, ports: services.ServicePorts, limits: Path, channel: grpc.Channel
    ) -> None:
        self.process, self.limits = process, limits
        self._admin = f"http://{LOOPBACK}:{ports.admin}"
        self._channel = channel

    def call(self, path: str, body: bytes) -> "grpc.CallFuture[bytes]":
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(path)
        return method.future(body, timeout=CALL_SECONDS, wait_for_ready=True)

    def asked(self, **entries: str) -> "grpc.CallFuture[bytes]":
        """One descriptor of the domain `shop`, on its way."""
        request = RateLimitRequest(domain="shop")
        descriptor = request.descriptors.add()
        for key, value in entries.items():
            descriptor.entries.add(key=key, value=value)
        return self.call(SHOULD_RATE_LIMIT, request.SerializeToString())

    def ask(self, **entries: str) -> str:
        """OK or OVER_LIMIT, or the gRPC status and message of a failed call."""
        return self.answer(self.asked(**entries))

    @staticmethod
    def answer(call: "grpc.CallFuture[bytes]") -> str:
        error = call.exception()
        if error is None:
            code = RateLimitResponse.FromString(call.result()).overall_code
            return RateLimitResponse.Code.Name(code)
        return f"{call.code().name}: {call.details()}"

    def health(self) -> str:
        """What grpc.health.v1 says of the service `ratelimit`."""
        body = HealthCheckRequest(service="ratelimit").SerializeToString()
        status = HealthCheckResponse.FromString(self.call(HEALTH_CHECK, body).result()).status
        return HealthCheckResponse.ServingStatus.Name(status)

    def ready(self) -> tuple[int, dict[str, Any]]:
        """The status of /readyz and, by component, the reason why it is not ready."""
        try:
            with urllib.request.urlopen(f"{self._admin}/readyz") as answer:
                status, body = answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                status, body = error.code, json.load(error)
        components = body["components"].items()
        return status, {name: state["reason"] for name, state in components if not state["ready"]}

    def metric(self, series: str) -> float:
        """The value of a series, labels included; 0 where it does not exist yet."""
        with urllib.request.urlopen(f"{self._admin}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(f"{series} ")), 0)

    def logged(self) -> str:
        return self.process.log.read_text()

    def until(self, condition: Callable[[], bool]) -> None:
        self.process.wait_until(condition)


@pytest.fixture
def start_rls(tmp_path: Path) -> Iterator[Callable[..., Rls]]:
    """Start the service with a limits file; `REDIS_OP_TIMEOUT` and the like as keywords."""
    with ExitStack() as stack:

        def start(limits: str, valkey_port: int | None = None, **settings: str) -> Rls:
            folder = tmp_path / "limits"
            folder.mkdir()
            (folder / "shop.yaml").write_text(limits)
            ports = services.ServicePorts(*stack.enter_context(reserved(2)))
            running = services.rls(
                tmp_path, ports, folder, valkey_port=valkey_port, settings=settings
            )
            process = stack.enter_context(running)
            channel = stack.enter_context(grpc.insecure_channel(f"{LOOPBACK}:{ports.grpc}"))
            process.wait_until(http_answers(ports.admin, "/healthz"))
            return Rls(process, ports, folder, channel)

        yield start
