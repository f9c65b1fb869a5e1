"""One worker process: started, watched, and started again when it ends."""

import asyncio
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress

import aiohttp
import structlog

from serving.admin import abstract
from serving.process import background
from serving.worker_life import Backoff, Life, Page
from serving.worker_settings import Endpoint

log = structlog.get_logger()

LOOK_SECONDS = 0.05
"""How often a starting worker is asked whether it answers."""


class Worker:
    """
    The process of one endpoint, kept up until all are to stop.

    Args:
        endpoint: which.
        command: the program and its arguments. Standard input is a pipe whose end tells the
            worker that its supervisor is gone.
        stopping: set when all workers are to stop; set here when this one refuses to start.
        backoff: how long it stays dead.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        command: Sequence[str],
        stopping: asyncio.Event,
        *,
        backoff: Backoff = Backoff(),  # noqa: B008 - immutable
    ) -> None:
        self.index, self.restarts = endpoint.index, 0
        self._endpoint, self._command, self._backoff = endpoint, command, backoff
        self._stopping = stopping
        self._process: Process | None = None
        self._up_since: float | None = None
        self.settled = asyncio.Event()
        """Set once it is known that the worker does not refuse its configuration, or is over."""

    @property
    def pid(self) -> int | None:
        """None while there is no process."""
        return None if self._process is None else self._process.pid

    @property
    def up(self) -> bool:
        """True from when it serves until its process ends."""
        return self._up_since is not None

    async def keep_up(self) -> bool:
        """Start the process again and again; returns whether it left well when all stopped."""
        try:
            life = await self._life()
            if life.refused and not self._stopping.is_set():
                log.error("worker refuses to start", worker=self.index, status=life.status)
                self._stopping.set()
                return False
            self.settled.set()
            return await self._again(life)
        finally:
            self.settled.set()

    async def _again(self, life: Life) -> bool:
        """From the first end, if all are not stopping, to the last."""
        quick_ends = 0
        while not self._stopping.is_set():
            quick_ends = 0 if life.steady else quick_ends + 1
            if await self._stopped_within(life, self._backoff.delay_seconds(quick_ends)):
                return True
            self.restarts += 1
            life = await self._life()
        return life.drained

    async def _stopped_within(self, life: Life, seconds: float) -> bool:
        log.warning(
            "worker ended", worker=self.index, status=life.status, restart_in_seconds=seconds
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _life(self) -> Life:
        """Run the process until it ends."""
        try:
            # A process group of its own, so that Ctrl-C in a terminal reaches the supervisor
            # alone: a worker takes a second signal for impatience and does not finish its drain.
            process = await asyncio.create_subprocess_exec(
                *self._command, env=self._endpoint.environment, stdin=PIPE, process_group=0
            )
        except OSError as error:
            log.error("cannot start worker", worker=self.index, reason=str(error))
            return Life(None, 0.0)
        self._process = process
        try:
            if self._stopping.is_set():
                self.send(signal.SIGTERM)
            async with background(self._come_up(process.pid)):
                status = await process.wait()
            return Life(status, self._up_seconds())
        finally:
            self._process = self._up_since = None

    def _up_seconds(self) -> float:
        since = self._up_since
        return 0.0 if since is None else asyncio.get_running_loop().time() - since

    async def _come_up(self, pid: int) -> None:
        while not await self._serves():  # noqa: ASYNC110 - a process
            await asyncio.sleep(LOOK_SECONDS)
        self._up_since = asyncio.get_running_loop().time()
        self.settled.set()
        log.info("worker up", worker=self.index, pid=pid)

    async def _serves(self) -> bool:
        """A service opens its gRPC listener last: what it refuses it has refused by then."""
        if (await self.ask("/healthz", timeout_seconds=1)).status != 200:
            return False
        try:
            match self._endpoint.listener:
                case str(path):
                    _, writer = await asyncio.open_unix_connection(path)
                case (host, port):
                    _, writer = await asyncio.open_connection(host, port)
                case _:
                    return True
        except OSError:
            return False
        writer.close()
        return True

    def send(self, which: signal.Signals) -> None:
        """Send a signal if there is a process."""
        if self._process is not None:
            with suppress(ProcessLookupError):  # it ended this moment
                self._process.send_signal(which)

    async def ask(self, path: str, *, timeout_seconds: float) -> Page:
        """Fetch a page of the worker's admin port."""
        connector = aiohttp.UnixConnector(abstract(self._endpoint.admin), force_close=True)
        timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.get(f"http://worker{path}") as answer,
            ):
                return Page(answer.status, await answer.text())
        except TimeoutError:
            return Page(504, "does not answer")
        except aiohttp.ClientError:
            return Page(502, "does not listen")
