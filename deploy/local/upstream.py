"""
The workload behind the sidecar: answers 200 and tells what it was sent, as JSON.

    python -m deploy.local.upstream PORT
"""

import sys

from aiohttp import web

from deploy.local.ports import LOOPBACK


async def echo(request: web.Request) -> web.Response:
    """What arrived, after the filters: a header the proxy added or removed shows here."""
    await request.read()
    seen = {
        "method": request.method,
        "path": request.path_qs,
        "headers": [[name.lower(), value] for name, value in request.headers.items()],
    }
    return web.json_response(seen)


def application() -> web.Application:
    made = web.Application()
    made.router.add_route("*", "/{path:.*}", echo)
    return made


def main(arguments: list[str]) -> None:
    web.run_app(
        application(), host=LOOPBACK, port=int(arguments[0]), access_log=None, print=lambda _: None
    )


if __name__ == "__main__":
    main(sys.argv[1:])
