"""
A server whose method table answers Envoy's rate limit filter, on either engine.

    python -m tests.integration.toll_server PORT [LESS]

Settings come from the environment, as the services read theirs. LESS names a mend to be left out,
so that a test can show that it fails without it.
"""

import asyncio
import os
import sys

import ngh2
import uvloop
from prometheus_client import CollectorRegistry

from protos.service_ratelimit_v3_pb2 import RateLimitResponse
from serving import fast_engine
from serving.call import Call
from serving.engines import listening
from serving.fast_connection import FastConnection
from serving.health import Health
from serving.http2 import Http2
from serving.process import drain, signalled
from serving.settings import read_settings
from serving.values import ProcessSettings

METHOD = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
SEEN = "x-toll-seen"
PADDING = "x" * 2_000

GOAWAY_NOTICE = "goaway notice"
WINDOW_UPDATE = "window update"
TABLE_SIZE = "table size"


async def take(_: bytes, call: Call) -> bytes:
    """OK, with the names of the metadata as a header, and 2 KB that fill Envoy's windows."""
    await asyncio.sleep(0)
    response = RateLimitResponse(overall_code=RateLimitResponse.OK)
    names = ",".join(sorted(name for name, _ in call.metadata))
    response.response_headers_to_add.add(key=SEEN, value=names)
    response.response_headers_to_add.add(key="x-padding", value=PADDING)
    return response.SerializeToString()


class Stingy(ngh2.Connection):  # type: ignore[misc] # its wheel carries no types
    """Opens the connection's window once, at the start, and never again."""

    opened = False

    def acknowledge_received_data(self, amount: int, stream_id: int) -> None:
        pass

    def set_local_window_size(self, window_size: int, **more: int) -> None:
        if not self.opened:
            super().set_local_window_size(window_size, **more)
        self.opened = True


def leave_out(mend: str) -> None:
    """Take one mend out of the fast engine."""
    receive = Http2.receive

    def deaf(http2: Http2, data: bytes, now: float) -> bytes:
        # SETTINGS_HEADER_TABLE_SIZE is 1: whoever asked for 0 is taken to have asked for 4096.
        return receive(http2, data.replace(b"\0\1\0\0\0\0", b"\0\1\0\0\x10\0"), now)

    if mend == GOAWAY_NOTICE:
        FastConnection.announce_shutdown = FastConnection.abort  # type: ignore[method-assign]
    elif mend == WINDOW_UPDATE:
        ngh2.Connection = Stingy  # type: ignore[misc]
    elif mend == TABLE_SIZE:
        Http2.receive = deaf  # type: ignore[method-assign]
    else:
        raise ValueError(mend)


async def serve(port: int) -> None:
    settings = read_settings(ProcessSettings, os.environ)
    health = Health("toll")
    methods = {METHOD: take}
    async with listening(settings, port, methods, health, CollectorRegistry()) as (engine, _):
        await signalled()
        await drain(
            engine,
            health,
            delay_seconds=settings.drain_delay_seconds,
            timeout_seconds=settings.drain_timeout_seconds,
        )


def main(arguments: list[str]) -> None:
    fast_engine.SWEEP_SECONDS = 0.1  # a test has no time to look every other second
    for mend in arguments[1:]:
        leave_out(mend)
    uvloop.run(serve(int(arguments[0])))


if __name__ == "__main__":
    main(sys.argv[1:])
