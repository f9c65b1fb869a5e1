"""
Counters in Redis or Valkey, shared by every process: one round trip a request.

A fixed window is `SET key 0 EX ttl NX`, sent when this connection meets the window first, and an
`INCRBY` for each hit. So the window has its TTL before it counts, whatever dies in between, and
its key names its start, so the TTL only collects rubbish. A window that vanishes while it is in
use (a flush, an eviction) comes back by `INCRBY` alone; the reply shows it, and `EXPIRE` follows
at once, whether or not the caller waited. A bucket is one run of `token_bucket.lua`.
"""

import hashlib
from collections.abc import Awaitable, Sequence
from functools import partial
from importlib.resources import files
from typing import cast

from hiredis import HiredisError

from rls.counter_key import window_key
from rls.counters import Hit, Spent, StoreUnavailable
from rls.counters.connection import Replies, Reply, packed
from rls.counters.link import Link
from rls.limits import Algorithm
from rls.window import SLACK_SECONDS, US, window_start_seconds

SCRIPT = files("rls.counters").joinpath("token_bucket.lua").read_bytes()
SCRIPT_SHA = hashlib.sha1(SCRIPT, usedforsecurity=False).hexdigest().encode()

FULL = 2**63 - 1
OVERFLOW = "ERR increment or decrement would overflow"
"""A window cannot hold more than `FULL`; then it answers as over, whatever the limit."""

MAX_BEGUN = 65_536
"""Windows remembered as begun; forgetting one costs a SET NX that does nothing."""
MAX_BEGUN_BYTES = 1_024
"""A longer key is not remembered: clients choose its values, and they must not eat the process."""


Increment = tuple[int, bool, Hit, bytes]
"""An INCRBY on its way: the place of its reply among those of the request, whether the command
before it is the window's SET, the hit, and the window. A bare tuple, because there is one a hit."""


class Commands:
    """What one request sends, and where among the replies the answers are."""

    __slots__ = ("answers", "begun", "increments", "packed")

    def __init__(self) -> None:
        self.packed: list[bytes] = []
        self.answers: list[int] = []
        """For each hit the index of the reply that says what is spent."""
        self.increments: list[Increment] = []
        self.begun: dict[bytes, int] = {}
        """Stem → start of the windows that the request begins."""


class ValkeyStore:
    """A `CounterStore` over one link; `link` is down until its `keep_up` runs."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._begun: dict[bytes, int] = {}
        self._begun_on = 0

    def hit(self, hits: Sequence[Hit], now_us: int) -> Awaitable[Spent]:
        if self._begun_on != self._link.generation or len(self._begun) > MAX_BEGUN:
            # Another server may be behind the new connection, without our windows.
            self._begun, self._begun_on = {}, self._link.generation
        commands = Commands()
        for hit in hits:
            self._add(commands, hit, now_us)
        arrived = partial(self._arrived, commands.increments) if commands.increments else None
        replies = self._link.send(commands.packed, arrived)
        self._begun.update(commands.begun)  # not before: a refused send begins nothing
        return self._spent(hits, now_us, commands.answers, replies)

    def _add(self, commands: Commands, hit: Hit, now_us: int) -> None:
        (key, limit), addend = hit.counter, hit.addend
        if limit.algorithm is Algorithm.TOKEN_BUCKET:
            commands.packed.append(_take(b"EVALSHA", SCRIPT_SHA, hit, now_us))
        else:
            start = window_start_seconds(now_us, limit.unit.seconds)
            window = window_key(key, start)
            if addend:
                self._add_increment(commands, hit, window, start)
            else:
                commands.packed.append(packed(b"GET", window))
        commands.answers.append(len(commands.packed) - 1)

    def _add_increment(self, commands: Commands, hit: Hit, window: bytes, start: int) -> None:
        key = hit.counter.key
        begins = self._begun.get(key) != start and commands.begun.get(key) != start
        if begins:
            commands.packed.append(packed(b"SET", window, 0, b"EX", _ttl_seconds(hit), b"NX"))
            if len(key) <= MAX_BEGUN_BYTES:
                commands.begun[key] = start
        commands.increments.append((len(commands.packed), begins, hit, window))
        commands.packed.append(packed(b"INCRBY", window, hit.addend))

    def _arrived(self, increments: Sequence[Increment], replies: Replies) -> None:
        """Give a TTL to each window that an INCRBY found gone and made anew."""
        for at, begins, hit, window in increments:
            if replies[at] == hit.addend and not (begins and replies[at - 1] == b"OK"):
                self._link.tell(packed(b"EXPIRE", window, _ttl_seconds(hit)))

    async def _spent(
        self, hits: Sequence[Hit], now_us: int, answers: Sequence[int], waiting: Awaitable[Replies]
    ) -> Spent:
        replies = await waiting
        for reply in replies:
            if isinstance(reply, HiredisError):
                await self._mend(hits, now_us, answers, replies)
                break
        return [_number(replies[answer]) for answer in answers]

    async def _mend(
        self, hits: Sequence[Hit], now_us: int, answers: Sequence[int], replies: Replies
    ) -> None:
        """
        Run again what the store had lost the script for: it did not run, so it may.

        Raises:
            StoreUnavailable: there are other errors among the replies.
        """
        unrun = [
            (answer, hit)
            for answer, hit in zip(answers, hits, strict=True)
            if _is_error(replies[answer], "NOSCRIPT")
        ]
        if unrun:
            again = [_take(b"EVAL", SCRIPT, hit, now_us) for _, hit in unrun]
            for (answer, _), reply in zip(unrun, await self._link.send(again), strict=True):
                replies[answer] = reply
        for answer in answers:
            if _is_error(replies[answer], OVERFLOW):
                replies[answer] = FULL
        for reply in replies:
            if isinstance(reply, HiredisError):
                self._link.refused(str(reply))
                raise StoreUnavailable(f"counter store refused: {reply}")


def _ttl_seconds(hit: Hit) -> int:
    """A whole unit, not what is left of it: the clock may step back within the window."""
    return hit.counter.limit.unit.seconds + SLACK_SECONDS


def _take(verb: bytes, script: bytes, hit: Hit, now_us: int) -> bytes:
    (key, limit), addend = hit.counter, hit.addend
    unit_us = limit.unit.seconds * US
    arguments = (addend, now_us, limit.requests_per_unit, unit_us, limit.burst)
    return packed(verb, script, 1, key, *arguments)


def _is_error(reply: Reply, code: str) -> bool:
    return isinstance(reply, HiredisError) and str(reply).startswith(code)


def _number(reply: Reply) -> float:
    if reply is None:  # GET of a window that nobody has hit
        return 0
    return reply if isinstance(reply, int) else float(cast(bytes, reply))
