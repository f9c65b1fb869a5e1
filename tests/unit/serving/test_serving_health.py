"""Component states → grpc.health.v1 and readiness."""

import pytest
from structlog.testing import capture_logs

from protos.health_v1_pb2 import HealthCheckRequest, HealthCheckResponse
from serving.call import Call, InvalidArgument, NotFound
from serving.health import Component, Health

CHECK = "/grpc.health.v1.Health/Check"
CALL = Call(metadata=(), timeout_seconds=None, peer="")
SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


def check(health: Health, service: str = "") -> int:
    handler = health.methods()[CHECK]
    assert callable(handler)
    body = handler(HealthCheckRequest(service=service).SerializeToString(), CALL)
    assert isinstance(body, bytes)
    return HealthCheckResponse.FromString(body).status


@pytest.mark.parametrize("name", ["", "ratelimit"])
def test_it_answers_for_the_server_and_for_its_service(name: str) -> None:
    health = Health("ratelimit")
    assert check(health, name) == SERVING
    health.report("limits", ready=False, reason="no good configuration yet")
    assert check(health, name) == NOT_SERVING
    health.report("limits", ready=True)
    assert check(health, name) == SERVING


def test_an_unknown_service_is_not_found_and_the_known_one_is_named() -> None:
    with pytest.raises(NotFound, match=r"unknown service 'ratelimt'; known: ratelimit$"):
        check(Health("ratelimit"), "ratelimt")


def test_a_body_that_is_no_request_is_an_invalid_argument() -> None:
    handler = Health("ratelimit").methods()[CHECK]
    assert callable(handler)
    with pytest.raises(InvalidArgument, match="not a HealthCheckRequest"):
        handler(b"\xff\xff", CALL)


def test_one_component_that_is_not_ready_is_enough() -> None:
    health = Health("ratelimit")
    health.report("limits", ready=True)
    assert (health.ready, health.serving) == (True, True)
    health.report("drain", ready=False, reason="draining")
    assert (health.ready, health.serving) == (False, False)
    assert health.components == {
        "limits": Component(True, "", False),
        "drain": Component(False, "draining", False),
    }


def test_an_advisory_component_shows_in_readiness_and_keeps_the_endpoint_in() -> None:
    health = Health("ratelimit")
    health.report("store", ready=False, reason="away", advisory=True)
    assert (health.ready, health.serving) == (False, True)
    assert check(health) == SERVING


def test_only_a_change_of_readiness_is_logged() -> None:
    health = Health("ratelimit")
    with capture_logs() as lines:
        health.report("store", ready=False, reason="refused")
        health.report("store", ready=False, reason="refused")
        health.report("store", ready=False, reason="timed out")
        health.report("store", ready=True)
        health.report("store", ready=True)
    assert [(line["event"], line["log_level"], line["reason"]) for line in lines] == [
        ("component not ready", "warning", "refused"),
        ("component ready", "info", ""),
    ]
    assert all(line["component"] == "store" for line in lines)


def test_the_latest_reason_is_kept_though_it_is_not_logged() -> None:
    health = Health("ratelimit")
    health.report("store", ready=False, reason="refused")
    health.report("store", ready=False, reason="timed out")
    assert health.components["store"].reason == "timed out"
