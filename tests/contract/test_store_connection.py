"""
The pipelined connection on a real socket, byte by byte.

The far end is the test itself: it says what a server under way says, and when. What a real Valkey
says is in the other files; here the order of events matters, and no server can be told that.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import uvloop

from rls.counters import StoreUnavailable
from rls.counters.connection import HOPELESS_SECONDS, Connection, packed

PING = packed("PING")


class Line:
    """A connection, and the other end of its socket."""

    def __init__(self, connection: Connection, far: socket.socket, lost: list[str]) -> None:
        self.connection, self.far, self.lost = connection, far, lost

    def say(self, reply: bytes) -> None:
        self.far.sendall(reply)

    async def heard(self, expected: bytes) -> None:
        """Wait for exactly these bytes from the connection."""
        loop, got = asyncio.get_running_loop(), b""
        async with asyncio.timeout(10):
            while len(got) < len(expected):
                got += await loop.sock_recv(self.far, 1 << 16)
        assert got == expected


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    with near, far:
        yield near, far


async def connected(near: socket.socket, far: socket.socket, op_timeout_seconds: float) -> Line:
    lost: list[str] = []
    connection = Connection(op_timeout_seconds, lost.append)
    await asyncio.get_running_loop().create_connection(lambda: connection, sock=near)
    return Line(connection, far, lost)


@pytest.fixture
async def line(sockets: tuple[socket.socket, socket.socket]) -> AsyncIterator[Line]:
    """A connection whose store may take its time."""
    line = await connected(*sockets, op_timeout_seconds=10)
    yield line
    line.connection.close("end of test")
    await asyncio.sleep(0)  # the transport closes its socket in the next turn


@pytest.fixture
async def hasty(sockets: tuple[socket.socket, socket.socket]) -> AsyncIterator[Line]:
    """A connection with a time-out that a test can wait for."""
    line = await connected(*sockets, op_timeout_seconds=0.02)
    yield line
    line.connection.close("end of test")
    await asyncio.sleep(0)


async def test_a_turns_commands_leave_in_one_write_and_are_answered_in_order(line: Line) -> None:
    first = line.connection.send([packed("GET", "a"), packed("GET", "b")])
    second = line.connection.send([packed("GET", "c")])
    await line.heard(packed("GET", "a") + packed("GET", "b") + packed("GET", "c"))
    assert line.connection.writes == 1
    line.say(b":1\r\n:2\r\n:3\r\n")
    assert await first == [1, 2]
    assert await second == [3]


async def test_replies_may_come_in_any_pieces(line: Line) -> None:
    waiting = [line.connection.send([PING, PING]) for _ in range(2)]
    for byte in b"$3\r\nabc\r\n-ERR no\r\n*2\r\n:1\r\n$-1\r\n+OK\r\n":
        line.say(bytes([byte]))
        await asyncio.sleep(0)
    first, second = await asyncio.gather(*waiting)
    assert first[0] == b"abc"
    assert str(first[1]) == "ERR no"
    assert second == [[1, None], b"OK"]


async def test_a_caller_that_left_keeps_its_place_among_the_replies(line: Line) -> None:
    leaving, staying = line.connection.send([PING, PING]), line.connection.send([PING])
    leaving.cancel()
    line.say(b":1\r\n:2\r\n:3\r\n")
    assert await staying == [3]


async def test_what_arrives_is_told_whether_or_not_somebody_waits(line: Line) -> None:
    arrived: list[Any] = []
    line.connection.send([PING], arrived.append).cancel()
    staying = line.connection.send([PING], arrived.append)
    line.say(b":1\r\n:2\r\n")
    assert await staying == [2]
    assert arrived == [[1], [2]]


async def test_a_late_store_fails_what_waits_and_then_everything_at_once(hasty: Line) -> None:
    waiting = hasty.connection.send([PING])
    with pytest.raises(StoreUnavailable, match=r"^counter store did not answer in time$"):
        await waiting
    with pytest.raises(StoreUnavailable, match=r"^counter store does not answer in time$"):
        hasty.connection.send([PING])
    assert hasty.lost == []


async def test_late_replies_are_nobody_elses(hasty: Line) -> None:
    arrived, replies = asyncio.Event(), list[Any]()

    def arrive(late: list[Any]) -> None:
        replies.extend(late)
        arrived.set()

    late, left = hasty.connection.send([PING], arrive), hasty.connection.send([PING, PING])
    left.cancel()
    with pytest.raises(StoreUnavailable):
        await late
    hasty.say(b":1\r\n:2\r\n")
    await arrived.wait()
    with pytest.raises(StoreUnavailable):
        hasty.connection.send([PING])  # a reply is still out
    hasty.say(b":3\r\n")
    waiting = await sent_again(hasty)
    hasty.say(b":4\r\n")
    assert await waiting == [4]
    assert replies == [1]


async def sent_again(line: Line) -> "asyncio.Future[Any]":
    async with asyncio.timeout(10):
        while True:
            try:
                return line.connection.send([PING])
            except StoreUnavailable:
                await asyncio.sleep(0)


async def test_a_store_that_is_behind_can_still_be_told(hasty: Line) -> None:
    with pytest.raises(StoreUnavailable):
        await hasty.connection.send([PING])
    hasty.connection.tell([packed("EXPIRE", "a", 60)])
    await hasty.heard(PING + packed("EXPIRE", "a", 60))
    hasty.say(b":1\r\n:1\r\n")
    waiting = await sent_again(hasty)
    hasty.say(b":2\r\n")
    assert await waiting == [2]


async def test_younger_batches_get_their_whole_time(sockets: Any, until: Any) -> None:
    line = await connected(*sockets, op_timeout_seconds=0.2)
    old = line.connection.send([PING])
    young_from = time.monotonic() + 0.1
    await until(lambda: time.monotonic() > young_from)
    young = line.connection.send([PING])
    with pytest.raises(StoreUnavailable):
        await old
    assert not young.done()
    line.say(b":1\r\n:2\r\n")
    assert await young == [2]
    line.connection.close("end of test")
    await asyncio.sleep(0)


async def test_a_store_that_stays_silent_is_given_up(hasty: Line, until: Any) -> None:
    began = time.monotonic()
    waiting = hasty.connection.send([PING])
    with pytest.raises(StoreUnavailable):
        await waiting
    await until(lambda: hasty.lost)
    assert time.monotonic() - began >= HOPELESS_SECONDS
    assert hasty.lost == ["counter store stopped answering"]
    with pytest.raises(StoreUnavailable, match=r"^counter store stopped answering$"):
        hasty.connection.send([PING])


async def test_a_changed_time_out_holds_at_once(line: Line) -> None:
    pinged = line.connection.send([PING])
    line.say(b"+PONG\r\n")
    await pinged  # leaves the watch of the long time-out behind
    line.connection.expect_within(0.02)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await line.connection.send([PING])
    assert time.monotonic() - began < 2


def test_the_shortest_time_out_still_leaves_time(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    """uvloop rounds a quarter of it to no time: every batch would fail after a few turns."""

    async def survivors() -> list[bool]:
        line = await connected(*sockets, op_timeout_seconds=0.0019)
        survived = []
        for number in range(20):
            waiting = await sent_again(line)
            for _ in range(8):
                await asyncio.sleep(0)
            survived.append(not waiting.done())
            line.say(b":%d\r\n" % number)
            await asyncio.gather(waiting, return_exceptions=True)
        line.connection.close("end of test")
        return survived

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert any(runner.run(survivors()))  # not all: this machine may well be busy


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_stall_of_our_own_is_not_taken_for_one_of_the_store(
    sockets: tuple[socket.socket, socket.socket], loop_factory: Any
) -> None:
    async def stalled() -> object:
        line = await connected(*sockets, op_timeout_seconds=0.005)
        waiting = line.connection.send([PING])
        await asyncio.sleep(0)
        line.say(b"+PONG\r\n")  # the store answers at once, and we do not listen
        time.sleep(0.1)  # noqa: ASYNC251 - the stall that the test is about
        try:
            return await waiting
        finally:
            line.connection.close("end of test")

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(stalled()) == [b"PONG"]


async def test_a_lost_connection_fails_everything_once(line: Line) -> None:
    waiting = [line.connection.send([PING]) for _ in range(3)]
    waiting[0].cancel()
    line.far.close()
    for each in waiting[1:]:
        with pytest.raises(StoreUnavailable, match=r"^connection to the counter store lost: "):
            await each
    assert len(line.lost) == 1
    with pytest.raises(StoreUnavailable, match=r"^connection to the counter store lost: "):
        line.connection.send([PING])
    line.connection.tell([PING])
    assert not line.connection._waiting  # dropped, or a watch would run for ever
    assert line.connection.writes == 1


async def test_what_was_queued_in_the_turn_of_the_close_is_not_sent(line: Line) -> None:
    waiting = line.connection.send([PING])
    line.connection.close("closed by the test")
    with pytest.raises(StoreUnavailable, match=r"^closed by the test$"):
        await waiting
    await asyncio.sleep(0)
    assert line.connection.writes == 0
    assert line.lost == ["closed by the test"]


async def test_a_far_end_that_speaks_no_resp_is_given_up(line: Line) -> None:
    waiting = line.connection.send([PING])
    line.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(StoreUnavailable, match=r"^counter store speaks no RESP: "):
        await waiting


async def test_a_reply_that_nobody_asked_for_ends_the_connection(line: Line, until: Any) -> None:
    line.say(b"-ERR max number of clients reached\r\n")
    await until(lambda: line.lost)
    assert "max number of clients reached" in line.lost[0]
    with pytest.raises(StoreUnavailable, match="max number of clients reached"):
        line.connection.send([PING])


async def test_one_reply_too_many_ends_the_connection(line: Line) -> None:
    waiting = line.connection.send([PING])
    line.say(b":1\r\n:2\r\n:3\r\n")
    assert await waiting == [1]
    with pytest.raises(StoreUnavailable, match="unasked: 2"):
        line.connection.send([PING])


def test_a_closed_connection_needs_no_socket() -> None:
    async def close() -> list[str]:
        lost: list[str] = []
        Connection(1, lost.append).close("never connected")
        return lost

    assert asyncio.run(close()) == ["never connected"]
