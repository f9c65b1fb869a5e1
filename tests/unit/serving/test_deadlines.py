"""Deadlines of many calls at the price of one timer; the clock is the test's."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from serving.deadlines import TICK_SECONDS, Deadlines


class Clock:
    """The part of a loop that deadlines use: time, and timers that run when it passes."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.timers: list[tuple[float, Timer]] = []
        self.set = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> "Timer":
        self.set += 1
        timer = Timer(callback)
        self.timers.append((when, timer))
        return timer

    def pass_to(self, now: float) -> None:
        """Run the timers that are due, one after the other, at the time that each was set for."""
        while due := [entry for entry in self.timers if entry[0] <= now]:
            entry = min(due, key=lambda entry: entry[0])
            self.timers.remove(entry)
            self.now = max(self.now, entry[0])
            entry[1].run()
        self.now = now

    @property
    def pending(self) -> int:
        return len([timer for _, timer in self.timers if not timer.cancelled])


class Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback, self.cancelled = callback, False

    def cancel(self) -> None:
        self.cancelled = True

    def run(self) -> None:
        if not self.cancelled:
            self._callback()


class Call:
    """Something that expires; notes when."""

    due_tick: int | None = None

    def __init__(self, clock: Clock, then: Callable[[], None] = lambda: None) -> None:
        self._clock, self._then, self.expired = clock, then, list[float]()

    def expire(self) -> None:
        self.expired.append(self._clock.now)
        self._then()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def deadlines(clock: Clock) -> Deadlines:
    loop: Any = clock
    return Deadlines(loop)


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.01, 0.0999, 0.25, 1.0, 3_600.0])
def test_a_call_expires_never_early_and_at_most_a_tick_late(
    clock: Clock, deadlines: Deadlines, seconds: float
) -> None:
    call = Call(clock)
    deadlines.add(call, clock.now + seconds)
    clock.pass_to(clock.now + seconds + 10)
    assert len(call.expired) == 1
    assert 0 <= call.expired[0] - 1_000.0 - seconds <= TICK_SECONDS + 1e-9
    assert len(deadlines) == clock.pending == 0


def test_one_timer_serves_them_all_and_none_is_set_when_none_is_left(
    clock: Clock, deadlines: Deadlines
) -> None:
    calls = [Call(clock) for _ in range(100)]
    for index, call in enumerate(calls):
        deadlines.add(call, clock.now + 0.25 + index / 1_000)
    assert clock.pending == 1
    clock.pass_to(1_001.0)
    assert all(len(call.expired) == 1 for call in calls)
    assert clock.pending == 0
    assert clock.set <= 12


def test_an_earlier_deadline_moves_the_timer(clock: Clock, deadlines: Deadlines) -> None:
    late, early = Call(clock), Call(clock)
    deadlines.add(late, clock.now + 3_600)
    deadlines.add(early, clock.now + 0.02)
    assert clock.pending == 1
    clock.pass_to(1_000.1)
    assert (late.expired, len(early.expired)) == ([], 1)
    clock.pass_to(5_000.0)
    assert len(late.expired) == 1


def test_a_call_that_is_over_leaves_nothing_however_far_its_deadline(
    clock: Clock, deadlines: Deadlines
) -> None:
    kept = Call(clock)
    deadlines.add(kept, clock.now + 0.5)
    for _ in range(1_000):
        call = Call(clock)
        deadlines.add(call, clock.now + 99_999_999 * 3_600)
        clock.now += 0.0001
        deadlines.drop(call)
        assert call.due_tick is None
    assert len(deadlines) == 1
    clock.pass_to(1_001.0)
    assert len(kept.expired) == 1


def test_dropping_one_of_two_of_a_tick_keeps_the_other(clock: Clock, deadlines: Deadlines) -> None:
    gone, kept = Call(clock), Call(clock)
    for call in (gone, kept):
        deadlines.add(call, 1_000.5)
    deadlines.drop(gone)
    clock.pass_to(1_001.0)
    assert (gone.expired, len(kept.expired)) == ([], 1)


def test_dropping_what_has_no_deadline_or_has_expired_does_nothing(
    clock: Clock, deadlines: Deadlines
) -> None:
    never, expired = Call(clock), Call(clock)
    deadlines.drop(never)
    deadlines.add(expired, 1_000.1)
    clock.pass_to(1_001.0)
    deadlines.drop(expired)
    assert len(expired.expired) == 1


def test_a_deadline_that_is_set_while_another_expires_is_kept(
    clock: Clock, deadlines: Deadlines
) -> None:
    second = Call(clock)
    first = Call(clock, lambda: deadlines.add(second, clock.now + 0.1))
    third = Call(clock)
    deadlines.add(first, 1_000.1)
    deadlines.add(third, 1_000.15)
    clock.pass_to(1_001.0)
    assert [len(call.expired) for call in (first, second, third)] == [1, 1, 1]
    assert third.expired < second.expired


def test_a_call_that_ends_another_of_its_tick(clock: Clock, deadlines: Deadlines) -> None:
    other = Call(clock)
    ender = Call(clock, lambda: deadlines.drop(other))
    deadlines.add(ender, 1_000.1)
    deadlines.add(other, 1_000.3)
    clock.pass_to(1_001.0)
    assert (len(ender.expired), other.expired) == (1, [])
    assert clock.pending == 0


def test_nothing_expires_after_the_end(clock: Clock, deadlines: Deadlines) -> None:
    deadlines.close()
    call = Call(clock)
    deadlines.add(call, 1_000.1)
    deadlines.close()
    clock.pass_to(1_001.0)
    assert call.expired == []
    assert len(deadlines) == 0


async def test_on_a_real_loop() -> None:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    class Waiter:
        due_tick: int | None = None

        def expire(self) -> None:
            done.set()

    start = loop.time()
    Deadlines(loop).add(Waiter(), start + 0.03)
    async with asyncio.timeout(20):
        await done.wait()
    assert loop.time() - start >= 0.03
