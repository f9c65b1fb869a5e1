"""Keeps one connection to the store up: connects, greets, and connects again."""

import asyncio
import random
from collections.abc import Sequence

import structlog
from hiredis import HiredisError

from rls.counters import StoreUnavailable
from rls.counters.address import StoreAddress
from rls.counters.connection import Arrived, Connection, Replies, packed
from serving.health import Health

log = structlog.get_logger()

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0
GREETING_TIMEOUT_SECONDS = 1.0

PROBE = packed("SET", "rl1:{probe}", 0, "XX")
"""Writes nothing, for the key is never there, and yet gets the error that a hit would get: a
read-only replica, a full store, a user without rights."""

NOT_HERE = (
    "READONLY",
    "OOM",
    "LOADING",
    "BUSY ",
    "NOAUTH",
    "MISCONF",
    "NOREPLICAS",
    "MASTERDOWN",
    "CLUSTERDOWN",
)
"""Errors that a hit gets from a server that cannot count now, whatever the hit."""


class Link:
    """
    The way to one server.

    Args:
        address: where it is.
        connect_timeout_seconds: for one attempt.
        op_timeout_seconds: for one batch of commands.
        scripts: Lua sources to load on each new connection: a store forgets them when it restarts.
        health: told about every change, as the component `store`.
    """

    def __init__(
        self,
        address: StoreAddress,
        *,
        connect_timeout_seconds: float,
        op_timeout_seconds: float,
        scripts: Sequence[bytes],
        health: Health,
    ) -> None:
        self._address = address
        self._connect_timeout_seconds = connect_timeout_seconds
        self._op_timeout_seconds = op_timeout_seconds
        self._scripts = scripts
        self._health = health
        self._connection: Connection | None = None
        self._reason = "not connected yet"
        self.generation = 0
        """Counts connections; what a connection taught may be untrue on the next one."""
        self.commands = 0
        """Commands sent, for the metrics."""
        self._writes = 0
        self._say(up=False)

    @property
    def up(self) -> bool:
        return self._connection is not None

    @property
    def writes(self) -> int:
        """Writes sent on all connections, for the metrics: commands ÷ writes is the batching."""
        return self._writes + (self._connection.writes if self._connection else 0)

    def send(
        self, commands: Sequence[bytes], arrived: Arrived | None = None
    ) -> "asyncio.Future[Replies]":
        """Send packed commands as `Connection.send` does. Raises StoreUnavailable likewise."""
        if self._connection is None:
            raise StoreUnavailable(f"counter store away: {self._reason}")
        replies = self._connection.send(commands, arrived)
        self.commands += len(commands)
        return replies

    def tell(self, command: bytes) -> None:
        """Send a command whose reply does not matter; without a connection it is dropped."""
        if self._connection is not None:
            self._connection.tell([command])
            self.commands += 1

    def refused(self, reply: str) -> None:
        """An error reply; if no hit can succeed here now, the greeting finds out when one can."""
        if self._connection is not None and reply.startswith(NOT_HERE):
            self._connection.close(f"counter store refused: {reply}")

    async def keep_up(self) -> None:
        """Connect, and connect again whenever the connection is lost, until cancelled."""
        pause_seconds = FIRST_PAUSE_SECONDS
        try:
            while True:
                lost = asyncio.Event()
                try:
                    self._connection = await self._connect(lost)
                # UnicodeError is what a host that cannot be a host name gives.
                except (OSError, UnicodeError, StoreUnavailable) as error:
                    self._failed(f"{self._address}: {error}")
                else:
                    self.generation += 1
                    pause_seconds = FIRST_PAUSE_SECONDS
                    self._say(up=True)
                    await lost.wait()
                # Jitter, so that the pods of a mesh do not all knock at the same moment.
                await asyncio.sleep(pause_seconds * random.uniform(0.5, 1))  # noqa: S311
                pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
        finally:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close("shutting down")

    async def _connect(self, lost: asyncio.Event) -> Connection:
        def on_lost(reason: str) -> None:
            lost.set()
            if self._connection is connection:
                self._writes += connection.writes
                self._connection, self._reason = None, reason
                self._say(up=False)

        loop, address = asyncio.get_running_loop(), self._address
        connection = Connection(GREETING_TIMEOUT_SECONDS, on_lost)
        try:
            async with asyncio.timeout(self._connect_timeout_seconds):
                if address.unix_path:
                    await loop.create_unix_connection(lambda: connection, address.unix_path)
                else:
                    await loop.create_connection(lambda: connection, address.host, address.port)
        except TimeoutError as error:
            raise StoreUnavailable("connecting took too long") from error
        try:
            for command in self._greeting():
                await self._greet(connection, command)
        except BaseException:
            connection.close("greeting failed")
            raise
        if connection.lost:  # by what came right behind the last reply
            raise StoreUnavailable(connection.lost)
        connection.expect_within(self._op_timeout_seconds)
        return connection

    def _greeting(self) -> list[bytes]:
        address = self._address
        greeting = [packed("SCRIPT", "LOAD", script) for script in self._scripts]
        greeting.append(PROBE)
        if address.database:
            greeting.insert(0, packed("SELECT", address.database))
        if address.username:
            greeting.insert(0, packed("AUTH", address.username, address.password))
        elif address.password:
            greeting.insert(0, packed("AUTH", address.password))
        return greeting

    async def _greet(self, connection: Connection, command: bytes) -> None:
        [reply] = await connection.send([command])
        if isinstance(reply, HiredisError):
            raise StoreUnavailable(f"counter store refused: {self._redacted(str(reply))}")

    def _redacted(self, text: str) -> str:
        # A server that knows no AUTH quotes the arguments that it was called with.
        password = self._address.password
        return text.replace(password, "***") if password else text

    def _failed(self, reason: str) -> None:
        if reason != self._reason:  # said once, not at every attempt
            log.warning("cannot reach the counter store", reason=reason)
        self._reason = reason
        self._say(up=False)

    def _say(self, *, up: bool) -> None:
        reason = "" if up else f"counter store away: {self._reason}"
        # Advisory: the pod still answers UNAVAILABLE within microseconds, and Envoy's failure
        # mode decides. With the endpoint taken out it would decide the same, only later.
        self._health.report("store", ready=up, reason=reason, advisory=True)
