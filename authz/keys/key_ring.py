"""
The key sets of every issuer in use, fetched ahead of need.

A request whose key is here never waits: a set is fetched when a rule starts to use it and again
before anybody misses a change, and it serves for as long as the next one cannot be had. A request
waits in two cases only: the set was never fetched (cold start), or it is here without the key
that the token names (the issuer has just changed its keys). Everyone who waits for a source waits
for the same fetch. Invented key names cannot make us ask an issuer more than once in a cool-down.

No key is ever made up: without keys there is nothing but refusal.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import structlog

from authz.keys.jwks import KeySet
from authz.keys.key_fetch import FetchError, KeyFetcher
from authz.keys.key_record import KeyRecord
from authz.tokens.jwt_rule import JwtRule, KeySource

log = structlog.get_logger()

MAX_FETCH_SECONDS = 60.0
"""A rule's `timeout` is heeded up to here."""
LOOK_SECONDS = 1.0

Flight = asyncio.Task[None]
"""A fetch under way. It never fails; what it brought is in the ring."""


class KeyRing:
    """
    Key sets by source; kept when the policies are loaded anew.

    Args:
        fetcher: gets one set.
        clock: seconds that only go forward.
        chance: gives a number in [0, 1) that spreads the refreshes.
        changed: called when `unready` may have changed.
    """

    def __init__(
        self,
        fetcher: KeyFetcher,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._fetcher, self._clock, self._chance = fetcher, clock, chance
        self._changed = changed
        self._records: dict[KeySource, KeyRecord] = {}
        self._flights: dict[KeySource, Flight] = {}
        self._fetches = {"ok": 0, "failed": 0}
        self._wake = asyncio.Event()

    @property
    def fetches(self) -> Mapping[str, int]:
        """Fetches so far by result: `ok`, `failed`."""
        return self._fetches

    def use(self, rules: Iterable[JwtRule]) -> None:
        """Serve these rules from now on; sets that they share with the rules before stay."""
        timeouts: dict[KeySource, float] = {}
        for rule in rules:
            if rule.source is not None:
                seconds = min(rule.timeout_seconds, MAX_FETCH_SECONDS)
                timeouts[rule.source] = max(seconds, timeouts.get(rule.source, 0.0))
        for source in self._records.keys() - timeouts.keys():
            del self._records[source]
            if source in self._flights:
                self._flights.pop(source).cancel()
        for source, seconds in timeouts.items():
            self._records.setdefault(source, KeyRecord(seconds)).timeout_seconds = seconds
        self._wake.set()
        self._changed()

    def keys(self, source: KeySource) -> KeySet | None:
        """The set as last fetched; None when there is none."""
        record = self._records.get(source)
        return None if record is None else record.keys

    def seek(self, source: KeySource, kid: str | None) -> Flight | None:
        """A fetch that may bring what a request lacks; None when waiting is of no use now."""
        record, flight = self._records.get(source), self._flights.get(source)
        if record is None or not record.worth_waiting(
            kid, self._clock(), under_way=flight is not None
        ):
            return None
        return flight or self._start(source, record)

    def unready(self) -> Mapping[KeySource, str]:
        """The sources against which no token can be verified now, each with the reason."""
        return {source: record.lack for source, record in self._records.items() if record.lack}

    def fetch_due(self) -> tuple[Flight, ...]:
        """Start every fetch whose time has come."""
        now = self._clock()
        return tuple(
            self._start(source, record)
            for source, record in self._records.items()
            if source not in self._flights and now >= record.due
        )

    async def run(self) -> None:
        """Keep the sets fresh until cancelled; fetches under way end with it."""
        try:
            while True:
                self._wake.clear()
                self.fetch_due()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._wake.wait()
        finally:
            flights = tuple(self._flights.values())
            self._flights.clear()
            for flight in flights:
                flight.cancel()
            await asyncio.gather(*flights, return_exceptions=True)

    def _start(self, source: KeySource, record: KeyRecord) -> Flight:
        record.asked = self._clock()
        flight = asyncio.get_running_loop().create_task(self._fly(source, record))
        self._flights[source] = flight
        return flight

    async def _fly(self, source: KeySource, record: KeyRecord) -> None:
        try:
            keys = await self._fetcher.fetch(source, record.timeout_seconds)
        except FetchError as error:
            self._fail(source, record, str(error))
        except Exception:
            log.exception("key fetch broke", source=source.shown)
            self._fail(source, record, "an internal fault, see the log")
        else:
            self._accept(source, record, keys)
        self._flights.pop(source, None)
        self._changed()

    def _accept(self, source: KeySource, record: KeyRecord, keys: KeySet) -> None:
        self._fetches["ok"] += 1
        if record.accept(keys, self._clock(), self._chance()):
            log.info("keys fetched", source=source.shown, keys=len(keys.keys), remarks=keys.remarks)

    def _fail(self, source: KeySource, record: KeyRecord, reason: str) -> None:
        self._fetches["failed"] += 1
        log.warning(
            "key fetch failed",
            source=source.shown,
            reason=reason,
            retry_seconds=record.fail(reason, self._clock()),
            old_keys_serve=record.keys is not None,
        )
