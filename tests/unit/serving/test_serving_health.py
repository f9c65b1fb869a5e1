"""Component states → grpc.health.v1 and readiness."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from protos.health_v1_pb2 import HealthCheckRequest, HealthCheckResponse
from serving.call import Call, InvalidArgument, NotFound, Streaming, Unavailable
from serving.health import Component, Health

CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
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


async def stream(*bodies: bytes) -> AsyncIterator[bytes]:
    for body in bodies:
        yield body


def watch(health: Health, *bodies: bytes) -> AsyncIterator[bytes]:
    method = health.methods()[WATCH]
    assert isinstance(method, Streaming)
    return method.handle(stream(*bodies), CALL)


def watch_service(health: Health, service: str) -> AsyncIterator[bytes]:
    return watch(health, HealthCheckRequest(service=service).SerializeToString())


async def told(states: AsyncIterator[bytes]) -> int:
    async with asyncio.timeout(5):
        return HealthCheckResponse.FromString(await anext(states)).status


@pytest.mark.parametrize("name", ["", "ratelimit"])
async def test_a_watch_is_told_the_state_at_once_and_then_each_change(name: str) -> None:
    health = Health("ratelimit")
    states = watch_service(health, name)
    assert await told(states) == SERVING
    later = asyncio.create_task(told(states))
    await asyncio.sleep(0)
    health.report("limits", ready=True)  # a report that changes no answer
    await asyncio.sleep(0)
    assert not later.done()
    health.report("drain", ready=False, reason="draining")
    assert await later == NOT_SERVING


async def test_each_watch_is_told_by_itself() -> None:
    health = Health("ratelimit")
    first, second = watch_service(health, ""), watch_service(health, "")
    assert [await told(first), await told(second)] == [SERVING, SERVING]
    health.report("limits", ready=False)
    assert [await told(first), await told(second)] == [NOT_SERVING, NOT_SERVING]


async def test_a_watch_of_an_unknown_service_is_told_so_and_goes_on() -> None:
    health = Health("ratelimit")
    states = watch_service(health, "nobody")
    assert await told(states) == HealthCheckResponse.SERVICE_UNKNOWN
    later = asyncio.create_task(told(states))
    health.report("limits", ready=False)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not later.done()
    later.cancel()


async def test_a_watch_ends_as_unavailable_when_the_server_stops() -> None:
    health = Health("ratelimit")
    states = watch_service(health, "")
    await told(states)
    later = asyncio.create_task(told(states))
    await asyncio.sleep(0)
    health.close()
    with pytest.raises(Unavailable, match="the server is stopping"):
        await later
    with pytest.raises(Unavailable, match="the server is stopping"):
        await told(watch_service(health, ""))


@pytest.mark.parametrize(
    ("bodies", "message"),
    [((), "no HealthCheckRequest"), ((b"\xff\xff",), "not a HealthCheckRequest")],
)
async def test_a_watch_without_a_request_is_an_invalid_argument(
    bodies: tuple[bytes, ...], message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        await told(watch(Health("ratelimit"), *bodies))
