"""
Counters in Redis or Valkey, shared by every process: one round trip a request.

A fixed window is `SET key 0 EX ttl NX`, sent when this connection meets the window first, and an
`INCRBY` for each hit. The window cannot end up without a TTL, whatever dies in between, and its
key names its start, so the TTL only collects rubbish. A bucket is one run of `token_bucket.lua`.
"""

import hashlib
from collections.abc import Awaitable, Sequence
from importlib.resources import files
from typing import cast

from hiredis import HiredisError

from rls.counter_key import window_key
from rls.counters import Hit, Spent, StoreUnavailable
from rls.counters.connection import Replies, Reply, packed
from rls.counters.link import Link
from rls.limits import Algorithm, RateLimit
from rls.window import US, window_start_seconds

SCRIPT = files("rls.counters").joinpath("token_bucket.lua").read_bytes()
SCRIPT_SHA = hashlib.sha1(SCRIPT, usedforsecurity=False).hexdigest().encode()

WINDOW_SLACK_SECONDS = 60
"""How long a window outlives its end: longer than any clock between the pods is off."""

MAX_BEGUN = 65_536
"""Windows remembered as begun; forgetting one costs a SET NX that does nothing."""


class ValkeyStore:
    """A `CounterStore` over one link; `link` is down until its `keep_up` runs."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._begun: dict[bytes, int] = {}
        self._begun_on = 0
        self.failures = 0
        """Requests that got no answer, for the metrics."""

    def hit(self, hits: Sequence[Hit], now_us: int) -> Awaitable[Spent]:
        if self._begun_on != self._link.generation or len(self._begun) > MAX_BEGUN:
            # Another server may be behind the new connection, without our windows.
            self._begun, self._begun_on = {}, self._link.generation
        commands: list[bytes] = []
        answers: list[int] = []
        for hit in hits:
            commands += self._commands(hit, now_us)
            answers.append(len(commands) - 1)
        try:
            replies = self._link.send(commands)
        except StoreUnavailable:
            self.failures += 1
            raise
        return self._spent(hits, now_us, answers, replies)

    def _commands(self, hit: Hit, now_us: int) -> tuple[bytes, ...]:
        """The commands of one hit; the last one's reply is what is spent."""
        (key, limit), addend = hit.counter, hit.addend
        if limit.algorithm is Algorithm.TOKEN_BUCKET:
            return (_take(b"EVALSHA", SCRIPT_SHA, key, limit, addend, now_us),)
        start = window_start_seconds(now_us, limit.unit.seconds)
        window = window_key(key, start)
        if not addend:
            return (packed(b"GET", window),)
        increment = packed(b"INCRBY", window, addend)
        if self._begun.get(key) == start:
            return (increment,)
        self._begun[key] = start
        ttl_seconds = start + limit.unit.seconds - now_us // US + WINDOW_SLACK_SECONDS
        return (packed(b"SET", window, 0, b"EX", ttl_seconds, b"NX"), increment)

    async def _spent(
        self, hits: Sequence[Hit], now_us: int, answers: list[int], waiting: Awaitable[Replies]
    ) -> Spent:
        try:
            replies = await waiting
            if any(isinstance(reply, HiredisError) for reply in replies):
                await self._mend(hits, now_us, answers, replies)
        except StoreUnavailable:
            self.failures += 1
            raise
        return [_number(replies[answer]) for answer in answers]

    async def _mend(
        self, hits: Sequence[Hit], now_us: int, answers: list[int], replies: Replies
    ) -> None:
        """Run again what failed because the store lost the script; it did not run, so it may."""
        for hit, answer in zip(hits, answers, strict=True):
            if str(replies[answer]).startswith("NOSCRIPT"):
                (key, limit), addend = hit.counter, hit.addend
                whole = _take(b"EVAL", SCRIPT, key, limit, addend, now_us)
                [replies[answer]] = await self._link.send([whole])
        for reply in replies:
            if isinstance(reply, HiredisError):
                self._begun.clear()  # a failed SET must be sent again
                self._link.refused(str(reply))
                raise StoreUnavailable(f"counter store refused: {reply}")


def _take(
    verb: bytes, script: bytes, key: bytes, limit: RateLimit, addend: int, now_us: int
) -> bytes:
    unit_us = limit.unit.seconds * US
    arguments = (addend, now_us, limit.requests_per_unit, unit_us, limit.burst)
    return packed(verb, script, 1, key, *arguments)


def _number(reply: Reply) -> float:
    if reply is None:  # GET of a window that nobody has hit
        return 0
    return reply if isinstance(reply, int) else float(cast(bytes, reply))
