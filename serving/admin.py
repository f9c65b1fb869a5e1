"""The second port, for people and probes: /healthz, /readyz, /metrics."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from serving.health import Health


@asynccontextmanager
async def listen(host: str, port: int, pages: Mapping[str, Handler]) -> AsyncIterator[int]:
    """
    Serve pages while the context is open.

    Args:
        host: address to bind; `@name` is a Unix socket in Linux's abstract namespace, which needs
            no writable file system and leaves nothing behind.
        port: 0 for any free port; ignored for a Unix socket.
        pages: path → aiohttp handler of a GET.

    Yields:
        The bound port, 0 for a Unix socket. Raises OSError when the address cannot be had.
    """
    application = web.Application()
    for path, page in pages.items():
        application.router.add_get(path, page)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        if host.startswith("@"):
            await web.UnixSite(runner, abstract(host)).start()
            yield 0
        else:
            await web.TCPSite(runner, host, port).start()
            yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def abstract(host: str) -> str:
    """`@name` as the kernel spells it (unix(7), "Abstract sockets")."""
    return host.replace("@", "\0", 1)


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
        host: as `listen` takes it; loopback unless the operator chose otherwise, for there is no
            authentication.
        port: 0 for any free port; ignored for a Unix socket.
        health: what `/readyz` shows.
        registry: what `/metrics` shows.
        pages: the service's own pages, path → aiohttp handler of a GET.

    Yields:
        The bound port, 0 for a Unix socket. Raises OSError when the address cannot be had.
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

    own = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}
    async with listen(host, port, {**(pages or {}), **own}) as bound:
        yield bound
