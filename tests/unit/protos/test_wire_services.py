"""Services and the health messages: the witness is the published definition, by hand."""

from typing import Any

import pytest

from protos import health_v1_pb2, service_auth_v3_pb2, service_ratelimit_v3_pb2
from protos.health_v1_pb2 import HealthCheckRequest, HealthCheckResponse


@pytest.mark.parametrize(
    ("encoded", "service"),
    [(b"", ""), (b"\x0a\x09ratelimit", "ratelimit"), (b"\x0a\x02\xc3\xa4", "ä")],
)
def test_a_request_is_the_service_in_field_1(encoded: bytes, service: str) -> None:
    assert HealthCheckRequest.FromString(encoded).service == service
    assert HealthCheckRequest(service=service).SerializeToString() == encoded


@pytest.mark.parametrize(
    ("encoded", "name"),
    [
        (b"", "UNKNOWN"),
        (b"\x08\x01", "SERVING"),
        (b"\x08\x02", "NOT_SERVING"),
        (b"\x08\x03", "SERVICE_UNKNOWN"),
    ],
)
def test_a_response_is_the_status_in_field_1(encoded: bytes, name: str) -> None:
    status = HealthCheckResponse.ServingStatus.Value(name)
    assert HealthCheckResponse.FromString(encoded).status == status
    assert HealthCheckResponse(status=name).SerializeToString() == encoded


def test_there_is_nothing_else_in_them() -> None:
    assert [field.name for field in HealthCheckRequest.DESCRIPTOR.fields] == ["service"]
    assert [field.name for field in HealthCheckResponse.DESCRIPTOR.fields] == ["status"]
    assert len(HealthCheckResponse.ServingStatus.keys()) == 4


def test_the_service_is_the_one_that_kubernetes_and_envoy_ask() -> None:
    service = health_v1_pb2.DESCRIPTOR.services_by_name["Health"]
    assert service.full_name == "grpc.health.v1.Health"
    assert {
        method.name: (method.input_type.full_name, method.output_type.full_name)
        for method in service.methods
    } == {
        name: ("grpc.health.v1.HealthCheckRequest", "grpc.health.v1.HealthCheckResponse")
        for name in ("Check", "Watch")
    }
    assert [method.name for method in service.methods if method.server_streaming] == ["Watch"]


@pytest.mark.parametrize(
    ("file", "service", "methods"),
    [
        (
            service_ratelimit_v3_pb2,
            "envoy.service.ratelimit.v3.RateLimitService",
            {"ShouldRateLimit": ("RateLimitRequest", "RateLimitResponse")},
        ),
        (
            service_auth_v3_pb2,
            "envoy.service.auth.v3.Authorization",
            {"Check": ("CheckRequest", "CheckResponse")},
        ),
    ],
)
def test_a_service_has_the_methods_that_envoy_calls(
    file: Any, service: str, methods: dict[str, tuple[str, str]]
) -> None:
    (ours,) = file.DESCRIPTOR.services_by_name.values()
    assert ours.full_name == service
    assert {
        method.name: (method.input_type.name, method.output_type.name) for method in ours.methods
    } == methods
