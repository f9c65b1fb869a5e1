"""Every engine: what every server offers besides its service: health and reflection."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from prometheus_client import CollectorRegistry

from protos import service_ratelimit_v3_pb2  # registers what reflection is asked for
from protos.health_v1_pb2 import HealthCheckRequest, HealthCheckResponse
from protos.reflection_v1_pb2 import ServerReflectionRequest, ServerReflectionResponse
from serving.engines import listening
from serving.health import Health
from serving.values import ProcessSettings

SERVICE = "ratelimit"
CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
SHOULD = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
VERSIONS = ["v1", "v1alpha"]

Offer = Callable[[], AbstractAsyncContextManager[tuple[Health, grpc.aio.Channel]]]


@pytest.fixture
def offer(transport: str) -> Offer:
    """A server as both services set it up, its health, and a channel to it."""

    @asynccontextmanager
    async def run() -> AsyncIterator[tuple[Health, grpc.aio.Channel]]:
        settings = ProcessSettings(transport=transport, grpc_host="127.0.0.1")
        health = Health(SERVICE)
        methods = {SHOULD: lambda body, _: body}
        async with (
            asyncio.timeout(20),
            listening(settings, 0, methods, health, CollectorRegistry()) as (engine, address),
            grpc.aio.insecure_channel(address) as channel,
        ):
            yield health, channel
            await engine.stop(0)

    return run


def watch(channel: grpc.aio.Channel, name: str = SERVICE) -> Any:
    return channel.unary_stream(WATCH)(HealthCheckRequest(service=name).SerializeToString())


async def state(call: Any) -> str:
    answer = HealthCheckResponse.FromString(await call.read())
    return HealthCheckResponse.ServingStatus.Name(answer.status)


async def check(channel: grpc.aio.Channel, name: str) -> str:
    body = HealthCheckRequest(service=name).SerializeToString()
    answer = HealthCheckResponse.FromString(await channel.unary_unary(CHECK)(body))
    return HealthCheckResponse.ServingStatus.Name(answer.status)


async def code_of(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    return caught.value.code()


async def test_the_service_itself_is_served_beside_them(offer: Offer) -> None:
    async with offer() as (_, channel):
        assert await channel.unary_unary(SHOULD)(b"body") == b"body"


@pytest.mark.parametrize("name", ["", SERVICE])
async def test_check_tells_the_state_now(offer: Offer, name: str) -> None:
    async with offer() as (health, channel):
        assert await check(channel, name) == "SERVING"
        health.report("limits", ready=False, reason="none yet")
        assert await check(channel, name) == "NOT_SERVING"


async def test_check_of_an_unknown_service_is_not_found(offer: Offer) -> None:
    async with offer() as (_, channel):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await check(channel, "ratelimt")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_watch_tells_the_state_now_and_then_each_change(offer: Offer) -> None:
    async with offer() as (health, channel):
        call = watch(channel)
        assert await state(call) == "SERVING"
        health.report("store", ready=False, reason="away", advisory=True)  # no change to Envoy
        health.report("limits", ready=False, reason="broken")
        assert await state(call) == "NOT_SERVING"
        health.report("drain", ready=False, reason="draining")  # nor is this one
        health.report("drain", ready=True)
        health.report("limits", ready=True)
        assert await state(call) == "SERVING"


async def test_watch_of_an_unknown_service_says_so_and_stays_open(offer: Offer) -> None:
    async with offer() as (health, channel):
        call, other = watch(channel, "ratelimt"), watch(channel)
        assert await state(call) == "SERVICE_UNKNOWN"
        assert await state(other) == "SERVING"
        health.report("limits", ready=False)
        assert await state(other) == "NOT_SERVING"
        assert not call.done()


async def test_watch_ends_with_the_server(offer: Offer) -> None:
    async with offer() as (health, channel):
        calls = [watch(channel) for _ in range(3)]
        assert [await state(call) for call in calls] == ["SERVING"] * 3
        health.report("drain", ready=False)
        assert [await state(call) for call in calls] == ["NOT_SERVING"] * 3
        health.close()
        assert {await code_of(call) for call in calls} == {grpc.StatusCode.UNAVAILABLE}
        assert await code_of(watch(channel)) is grpc.StatusCode.UNAVAILABLE


async def test_a_watch_that_its_client_cancels_is_forgotten(offer: Offer) -> None:
    async with offer() as (health, channel):
        for _ in range(3):
            call = watch(channel)
            assert await state(call) == "SERVING"
            call.cancel()
        health.report("limits", ready=False)
        assert await state(watch(channel)) == "NOT_SERVING"


@pytest.mark.parametrize("bodies", [[], [b"\xff\xff"]])
async def test_watch_takes_one_request(offer: Offer, bodies: list[bytes]) -> None:
    async with offer() as (_, channel):
        call = channel.stream_stream(WATCH)()
        for body in bodies:
            await call.write(body)
        await call.done_writing()
        assert await code_of(call) is grpc.StatusCode.INVALID_ARGUMENT


class Reflected:
    """A reflection stream and its questions."""

    def __init__(self, channel: grpc.aio.Channel, version: str) -> None:
        path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        self.call: Any = channel.stream_stream(path)()

    async def ask(self, **question: str) -> ServerReflectionResponse:
        await self.call.write(ServerReflectionRequest(**question).SerializeToString())
        return ServerReflectionResponse.FromString(await self.call.read())


@pytest.mark.parametrize("version", VERSIONS)
async def test_reflection_lists_every_service(offer: Offer, version: str) -> None:
    async with offer() as (_, channel):
        answer = await Reflected(channel, version).ask(list_services="*", host="rls")
    assert [service.name for service in answer.list_services_response.service] == [
        "envoy.service.ratelimit.v3.RateLimitService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ]
    assert (answer.valid_host, answer.original_request.list_services) == ("rls", "*")


@pytest.mark.parametrize("version", VERSIONS)
async def test_reflection_describes_a_symbol_by_its_file_and_all_that_it_imports(
    offer: Offer, version: str
) -> None:
    async with offer() as (_, channel):
        reflected = Reflected(channel, version)
        name = "envoy.service.ratelimit.v3.RateLimitService"
        by_symbol = await reflected.ask(file_containing_symbol=name)
        by_name = await reflected.ask(file_by_filename=service_ratelimit_v3_pb2.DESCRIPTOR.name)
    files = [
        FileDescriptorProto.FromString(each)
        for each in by_symbol.file_descriptor_response.file_descriptor_proto
    ]
    assert files[0].service[0].name == "RateLimitService"
    described = {file.name for file in files}
    assert {name for file in files for name in file.dependency} <= described
    assert len(described) == len(files) > 1
    assert by_name.file_descriptor_response == by_symbol.file_descriptor_response


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ({"file_containing_symbol": "envoy.Nothing"}, grpc.StatusCode.NOT_FOUND),
        ({"file_by_filename": "nothing.proto"}, grpc.StatusCode.NOT_FOUND),
        ({}, grpc.StatusCode.UNIMPLEMENTED),
    ],
)
async def test_reflection_answers_what_it_cannot_and_goes_on(
    offer: Offer, question: dict[str, str], code: grpc.StatusCode
) -> None:
    async with offer() as (_, channel):
        reflected = Reflected(channel, "v1")
        answer = await reflected.ask(**question)
        assert answer.error_response.error_code == code.value[0]
        assert answer.error_response.error_message
        assert (await reflected.ask(list_services="")).list_services_response.service


async def test_reflection_refuses_what_is_no_question(offer: Offer) -> None:
    async with offer() as (_, channel):
        reflected = Reflected(channel, "v1")
        await reflected.call.write(b"\xff\xff")
        assert await code_of(reflected.call) is grpc.StatusCode.INVALID_ARGUMENT
