"""Unary calls on a connection without a socket: octets in, octets out."""

import asyncio
import gzip
from collections.abc import Awaitable
from typing import Any

import pytest
from structlog.testing import capture_logs

from serving.call import Call, InvalidArgument, Unavailable
from serving.http2_limits import Http2Limits
from tests.fast_socket import Server
from tests.http2_frames import (
    END_HEADERS,
    END_STREAM,
    call,
    data,
    headers,
    message,
)

CLOSING = END_HEADERS | END_STREAM


def echo(body: bytes, _: Call) -> bytes:
    return body


class Desk:
    """A handler whose answers are given later, by the test."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answers: list[asyncio.Future[bytes]] = []

    def __call__(self, _: bytes, call: Call) -> Awaitable[bytes]:
        self.calls.append(call)
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]


async def test_a_whole_message_is_answered_in_one_write() -> None:
    server = Server(echo).greet()
    before = len(server.socket.written)
    server.receive(call(1, b"abc") + call(3, b""))
    assert len(server.socket.written) == before + 1
    assert server.answers.bodies == {1: message(b"abc"), 3: message()}
    assert [server.answers.status(stream) for stream in (1, 3)] == ["200/0"] * 2


@pytest.mark.parametrize("size", [1, 2, 4, 5, 6, 7, 1_000])
async def test_a_message_is_put_together_from_parts_of_any_size(size: int) -> None:
    server = Server(echo).greet()
    request = message(bytes(range(256)) * 2)
    server.receive(headers(1))
    for at in range(0, len(request), size):
        server.receive(data(1, request[at : at + size], 0))
    server.receive(data(1))
    assert server.answers.bodies[1] == request


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([b""], "200/12"),
        ([b"\0"], "200/13"),
        ([b"\0\0\0\0"], "200/13"),
        ([b"\0\0\0\0\5abcd"], "200/13"),
        ([b"\0\0\0\0\5abcdef"], "200/12"),
        ([b"\0\0\0\0\5", b"abcd"], "200/13"),
        ([b"\0\0\0\0\1a\0\0\0\0\1b"], "200/12"),
        ([b"\0\0\0\0\1a", b"\0\0\0\0\1b"], "200/12"),
        ([b"\0\0\0\0\1a", b""], "200/0"),
        ([b"\1\0\0\0\1a"], "200/13"),
        ([b"\2\0\0\0\1a"], "200/13"),
        ([b"\0\0\0\0\145" + bytes(101)], "200/8"),
        ([b"\0\0\0\0\144" + bytes(100)], "200/0"),
        ([b"\0\xff\xff\xff\xff"], "200/8"),
        ([b"\0\xff\xff\xff\xff", b"a"], "200/8"),
    ],
)
async def test_what_is_not_one_message_is_refused(parts: list[bytes], status: str) -> None:
    server = Server(echo, Http2Limits(max_message_bytes=100)).greet()
    *first, last = parts
    server.receive(headers(1) + b"".join(data(1, part, 0) for part in first) + data(1, last))
    assert server.answers.status(1) == status


async def test_an_answer_with_trailers_behind_the_message() -> None:
    server = Server(echo).greet()
    server.receive(headers(1) + data(1, message(b"abc"), 0) + headers(1, [(b"x", b"y")], CLOSING))
    assert server.answers.status(1) == "200/0"


async def test_a_request_of_headers_only_has_no_message() -> None:
    server = Server(echo).greet()
    server.receive(headers(1, flags=CLOSING))
    assert server.answers.status(1) == "200/12"


async def test_a_message_too_large_is_refused_before_it_is_here_and_the_rest_ignored() -> None:
    server = Server(echo, Http2Limits(max_message_bytes=100)).greet()
    server.receive(headers(1) + data(1, b"\0\0\0\0\x65", 0))
    assert server.answers.status(1) == "200/8"
    assert server.answers.resets() == {1: "NO_ERROR"}
    later = server.receive(data(1, bytes(16_384), 0) * 3)
    assert {got.type for got in later} <= {"WINDOW_UPDATE"}
    server.receive(call(3, b"next"))
    assert server.answers.status(3) == "200/0"


async def test_gzip() -> None:
    server = Server(echo).greet()
    packed = gzip.compress(b"abc")
    server.receive(headers(1, grpc_encoding="gzip") + data(1, message(packed, 1)))
    server.receive(headers(3, grpc_encoding="br") + data(3, message(packed, 1)))
    assert server.answers.bodies[1] == message(b"abc")
    assert server.answers.status(3) == "200/12"
    assert server.answers.fields[3][b"grpc-accept-encoding"] == b"identity,gzip"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"path": "/toll/Nowhere"}, "200/12"),
        ({"content_type": "application/grpc+proto"}, "200/0"),
        ({"content_type": "application/grpc-web"}, "415"),
    ],
)
async def test_who_is_no_call_of_ours(fields: dict[str, str], status: str) -> None:
    server = Server(echo).greet()
    server.receive(headers(1, **fields) + data(1, message()))
    assert server.answers.status(1) == status


async def test_a_get_is_told_what_is_allowed() -> None:
    server = Server(echo).greet()
    fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b"host", b"a")]
    server.receive(headers(1, fields, CLOSING))
    assert server.answers.fields[1] == {b":status": b"405", b"allow": b"POST"}


async def test_what_a_handler_is_given() -> None:
    desk = Desk()
    server = Server(desk).greet()
    server.receive(call(1, b"", grpc_timeout="250m", x_user="ann", x_sum_bin="AAE"))
    (given,) = desk.calls
    assert given.metadata == (("x-user", "ann"), ("x-sum-bin", b"\0\1"))
    assert given.timeout_seconds == 0.25
    assert given.peer == "192.0.2.1:4711"


async def test_answers_come_when_they_are_ready_and_leave_together() -> None:
    desk = Desk()
    server = Server(desk).greet()
    server.receive(call(1) + call(3) + call(5))
    written = len(server.socket.written)
    desk.answers[2].set_result(b"third")
    desk.answers[0].set_result(b"first")
    await server.turn()
    assert len(server.socket.written) == written + 1
    assert server.answers.bodies == {1: message(b"first"), 5: message(b"third")}
    assert list(server.connection._dispatch.calls) == [3]


async def test_a_coroutine_is_awaited() -> None:
    async def later(body: bytes, _: Call) -> bytes:
        await asyncio.sleep(0)
        return body

    server = Server(later).greet()
    server.receive(call(1, b"abc"))
    await server.until(lambda got: got.ended(1))
    assert server.answers.bodies[1] == message(b"abc")


def fail_at_once(_: bytes, __: Call) -> bytes:
    raise InvalidArgument("no such thing")


async def fail_later(_: bytes, __: Call) -> bytes:
    raise Unavailable("store is away")


def break_at_once(_: bytes, __: Call) -> bytes:
    raise KeyError("secret")


async def break_later(_: bytes, __: Call) -> bytes:
    raise KeyError("secret")


def give_nothing(_: bytes, __: Call) -> Any:
    return None


async def give_text(_: bytes, __: Call) -> Any:
    return "text"


async def be_cancelled(_: bytes, __: Call) -> bytes:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("handler", "status", "text"),
    [
        (fail_at_once, "200/3", b"no such thing"),
        (fail_later, "200/14", b"store is away"),
        (break_at_once, "200/13", b"internal fault"),
        (break_later, "200/13", b"internal fault"),
        (give_nothing, "200/13", b"internal fault"),
        (give_text, "200/13", b"internal fault"),
        (be_cancelled, "200/14", b"the answer was cancelled"),
    ],
)
async def test_a_fault_of_a_handler_is_its_call_s_alone(
    handler: Any, status: str, text: bytes
) -> None:
    server = Server({"/toll/Bad": handler, "/toll/Good": echo}).greet()
    with capture_logs() as logs:
        server.receive(headers(1, path="/toll/Bad") + data(1, message()))
        server.receive(headers(3, path="/toll/Good") + data(3, message()))
        await server.until(lambda got: got.ended(1) and got.ended(3))
    assert server.answers.status(1) == status
    assert server.answers.fields[1][b"grpc-message"] == text
    assert server.answers.status(3) == "200/0"
    assert [line["method"] for line in logs] == (["/toll/Bad"] if status == "200/13" else [])
