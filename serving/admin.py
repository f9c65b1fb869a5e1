"""The second port, for people and probes: /healthz, /readyz, /metrics."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from serving.health import Health


@asynccontextmanager
async def admin_port(
    host: str,
    port: int,
    health: Health,
    registry: CollectorRegistry,
    pages: Mapping[str, Handler] | None = None,
) -> AsyncIterator[int]:
    """
    Serve the admin pages while the context is open.

    Args:
        host: address to bind; loopback unless the operator chose otherwise (no authentication).
        port: 0 for any free port.
        health: what `/readyz` shows.
        registry: what `/metrics` shows.
        pages: the service's own pages, path → aiohttp handler of a GET.

    Yields:
        The bound port. Raises OSError when the address cannot be had.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        body = {
            "ready": health.ready,
            "components": {
                name: {"ready": state.ready, "reason": state.reason}
                for name, state in health.components.items()
            },
        }
        return web.json_response(body, status=200 if health.ready else 503)

    async def metrics(_: web.Request) -> web.Response:
        body = generate_latest(registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", metrics)
    for path, page in (pages or {}).items():
        application.router.add_get(path, page)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, shutdown_timeout=1)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
