"""The admin port over a real socket."""

import os
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from serving.admin import admin_port
from serving.health import Health


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_healthz_is_ok_whatever_the_components_say(client: aiohttp.ClientSession) -> None:
    health = Health("ratelimit")
    health.report("store", ready=False, reason="away")
    async with (
        admin_port("127.0.0.1", 0, health, CollectorRegistry()) as port,
        client.get(f"http://127.0.0.1:{port}/healthz") as answer,
    ):
        assert (answer.status, await answer.text()) == (200, "ok\n")


async def test_readyz_shows_every_component_and_its_reason(client: aiohttp.ClientSession) -> None:
    health = Health("ratelimit")
    health.report("limits", ready=True)
    async with admin_port("127.0.0.1", 0, health, CollectorRegistry()) as port:
        url = f"http://127.0.0.1:{port}/readyz"
        async with client.get(url) as answer:
            assert answer.status == 200
            assert await answer.json() == {
                "ready": True,
                "components": {"limits": {"ready": True, "reason": ""}},
            }
        health.report("store", ready=False, reason="connection refused", advisory=True)
        async with client.get(url) as answer:
            assert answer.status == 503
            assert await answer.json() == {
                "ready": False,
                "components": {
                    "limits": {"ready": True, "reason": ""},
                    "store": {"ready": False, "reason": "connection refused"},
                },
            }


async def test_metrics_shows_this_registry_and_no_other(client: aiohttp.ClientSession) -> None:
    registry = CollectorRegistry()
    Counter("tollhouse_tolls", "Tolls taken", registry=registry).inc(3)
    async with (
        admin_port("127.0.0.1", 0, Health("x"), registry) as port,
        client.get(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        text = await answer.text()
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert "tollhouse_tolls_total 3.0" in text.splitlines()
    assert "python_gc" not in text


async def test_a_service_adds_its_own_pages(client: aiohttp.ClientSession) -> None:
    async def config(request: web.Request) -> web.Response:
        return web.Response(text=f"asked for {request.query['of']}")

    pages = {"/config": config}
    async with admin_port("127.0.0.1", 0, Health("x"), CollectorRegistry(), pages) as port:
        async with client.get(f"http://127.0.0.1:{port}/config?of=limits") as answer:
            assert await answer.text() == "asked for limits"
        async with client.get(f"http://127.0.0.1:{port}/nothing") as answer:
            assert answer.status == 404
        async with client.post(f"http://127.0.0.1:{port}/config") as answer:
            assert answer.status == 405


async def test_an_address_in_use_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=str(port)):
            async with admin_port("127.0.0.1", port, Health("x"), CollectorRegistry()):
                pytest.fail("the port is taken")


async def test_the_port_is_free_again_when_the_context_ends() -> None:
    async with admin_port("127.0.0.1", 0, Health("x"), CollectorRegistry()) as port:
        pass
    with socket.create_server(("127.0.0.1", port)):
        pass


async def test_a_name_in_the_abstract_namespace_is_a_unix_socket_without_a_file() -> None:
    health = Health("x")
    health.report("limits", ready=False, reason="none yet")
    name = f"tollhouse-test-{os.getpid()}"
    async with (
        admin_port(f"@{name}", 6070, health, CollectorRegistry()) as port,
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(f"\0{name}")) as session,
        session.get("http://worker/readyz") as answer,
    ):
        assert port == 0
        assert answer.status == 503
        assert (await answer.json())["components"]["limits"]["reason"] == "none yet"
    with pytest.raises(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{name}")
