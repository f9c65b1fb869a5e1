"""A server that gives one constant answer: `python -m loadtest.bench.constant ENGINE PORT`."""

import asyncio
import sys

import uvloop

from serving.call import Engine, MethodTable
from serving.fast_engine import FastEngine
from serving.grpcio_engine import GrpcioEngine
from serving.health import Health

METHOD = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
ANSWER = b"\x08\x01"
"""RateLimitResponse{overall_code: OK}: what is measured is the transport alone."""

ENGINES = ("fast", "grpcio")


async def serve(name: str, port: int) -> None:
    methods: MethodTable = {METHOD: lambda body, call: ANSWER, **Health("bench").methods()}
    engine: Engine
    if name == "fast":
        engine = FastEngine("127.0.0.1", port, methods)
    else:
        engine = GrpcioEngine("127.0.0.1", port, methods)
    print(await engine.start(), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
