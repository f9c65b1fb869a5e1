"""
Whatever comes in, a connection neither raises nor grows, and says goodbye as the last thing.

Any octets, any frames, good ones with some octets changed, in chunks of any size.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from itertools import chain, zip_longest
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from serving.call import Call, Streaming
from serving.http2_limits import Http2Limits
from tests.fast_socket import Server
from tests.http2_frames import (
    END_HEADERS,
    END_STREAM,
    HELLO,
    METHOD,
    POST,
    TYPES,
    Answers,
    block,
    data,
    frame,
    headers,
    message,
    ping,
    reset,
    window_update,
)
from tests.http2_frames import settings as settings_frame

WAIT, ECHO_STREAM = "/toll/Wait", "/toll/EchoStream"
LIMITS = Http2Limits(max_concurrent_streams=50, max_message_bytes=5_000)


def echo(body: bytes, _: Call) -> bytes:
    return body


def wait(_: bytes, __: Call) -> Awaitable[bytes]:
    return asyncio.get_running_loop().create_future()


async def echo_stream(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
    async for body in requests:
        yield body


METHODS = {METHOD: echo, WAIT: wait, ECHO_STREAM: Streaming(echo_stream)}

# Streams that are used, idle, even, and none at all.
some_streams = st.sampled_from([1, 3, 5, 7, 9, 0, 2, 0x7FFFFFFF])
paths = st.sampled_from([METHOD, WAIT, ECHO_STREAM, "/toll/Nowhere"])
bodies = st.binary(max_size=40).map(message) | st.binary(max_size=40)

control_frames = st.one_of(
    st.builds(ping, st.binary(min_size=8, max_size=8), st.sampled_from([0, 1])),
    st.builds(window_update, st.just(0), st.integers(1, 1 << 20)),
    st.builds(
        settings_frame, st.dictionaries(st.sampled_from([1, 3, 6, 99]), st.integers(0, 9_999))
    ),
)
good_frames = control_frames | st.one_of(
    st.builds(
        lambda stream, path, flags: headers(stream, path=path, flags=flags),
        st.sampled_from([1, 3, 5, 7, 9]),
        paths,
        st.sampled_from([END_HEADERS, END_HEADERS | END_STREAM]),
    ),
    st.builds(data, st.sampled_from([1, 3, 5, 7, 9]), bodies, st.sampled_from([0, END_STREAM])),
)
resets = st.builds(reset, some_streams, st.sampled_from(["CANCEL", "NO_ERROR"]))
blocks = st.binary(max_size=60) | st.lists(
    st.tuples(st.binary(max_size=12), st.binary(max_size=12)), max_size=6
).map(lambda more: block([*POST.items(), *more]))
bad_frames = st.one_of(
    st.builds(
        frame,
        st.integers(0, len(TYPES) + 3),
        some_streams,
        st.binary(max_size=40),
        st.integers(0, 255),
    ),
    st.builds(headers, some_streams, blocks, st.integers(0, 255)),
    st.binary(max_size=30),
)
mutations = st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 255)), max_size=4)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def mutated(octets: bytes, changes: list[tuple[int, int]]) -> bytes:
    changed = bytearray(octets)
    for at, value in changes:
        if changed:
            changed[at % len(changed)] = value
    return bytes(changed)


def chunks(octets: bytes, sizes: list[int]) -> list[bytes]:
    """Cut at the sizes, again and again from the first."""
    found, at, turn = [], 0, 0
    while at < len(octets):
        size = sizes[turn % len(sizes)]
        found.append(octets[at : at + size])
        at, turn = at + size, turn + 1
    return found


async def conversation(parts: list[bytes]) -> dict[str, Any]:
    """All of it received; what must hold of any conversation holds; what a client makes of it."""
    server = Server(METHODS, LIMITS)
    dispatch = server.connection._dispatch
    for part in parts:
        server.receive(part)
        assert len(dispatch.calls) <= LIMITS.max_concurrent_streams
        assert 0 <= dispatch._held <= LIMITS.held_bytes
    await server.turn(8)
    assert server.answers.whole
    ended = server.connection._http2.ended
    assert server.socket.closed == ended
    if ended:
        assert server.answers.goaways()
    if server.connection._http2.fault is not None:
        assert server.answers.frames[-1].type == "GOAWAY"
    understood = seen(server.answers)
    for seconds in range(2, 70, 2):
        server.connection.sweep(server.clock.now + seconds)
        await server.turn(2)
    server.connection.connection_lost(None)
    await server.turn(3)
    assert len(server.deadlines) == dispatch._held == len(dispatch.calls) == 0
    return understood


@settings(max_examples=150)
@given(octets=st.binary(max_size=400), sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4))
def test_any_octets_behind_the_preface(octets: bytes, sizes: list[int]) -> None:
    run(talk(HELLO + octets, sizes))


@settings(max_examples=100)
@given(octets=st.binary(max_size=200), sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4))
def test_any_octets_at_all(octets: bytes, sizes: list[int]) -> None:
    run(talk(octets, sizes))


@settings(max_examples=300)
@given(
    frames=st.lists(good_frames | resets | bad_frames, max_size=20),
    changes=mutations,
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=4),
)
def test_any_frames_with_some_octets_changed(
    frames: list[bytes], changes: list[tuple[int, int]], sizes: list[int]
) -> None:
    run(talk(HELLO + mutated(b"".join(frames), changes), sizes))


async def talk(octets: bytes, sizes: list[int]) -> None:
    await conversation(chunks(octets, sizes))


def seen(answers: Answers) -> dict[str, Any]:
    """
    What a client makes of it.

    Windows and acknowledgements may come at other times; whether a client is told to stop after an
    answer depends on whether it had.
    """
    return {
        "status": {stream: answers.status(stream) for stream in answers.fields},
        "bodies": dict(answers.bodies),
        "resets": {n: error for n, error in answers.resets().items() if error != "NO_ERROR"},
        "goaways": answers.goaways(),
        "pings": [got.payload for got in answers.of("PING")],
    }


def by_trailers(stream: int) -> bytes:
    return headers(stream, [(b"x", b"y")], END_HEADERS | END_STREAM)


@st.composite
def request(draw: st.DrawFn) -> list[Callable[[int], bytes]]:
    """The frames of a request that keeps to HTTP/2, if not to gRPC; each given its stream."""
    path, octets = draw(paths), draw(bodies)
    cuts = sorted(draw(st.lists(st.integers(0, len(octets)), max_size=3)))
    parts = [octets[at:to] for at, to in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
    return [
        lambda stream: headers(stream, path=path),
        *[lambda stream, part=part: data(stream, part, 0) for part in parts],
        draw(st.sampled_from([lambda stream: data(stream), by_trailers])),
    ]


@settings(max_examples=200)
@given(
    requests=st.lists(request(), max_size=8),
    others=st.lists(control_frames, max_size=8),
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=4),
)
def test_the_answers_do_not_depend_on_the_chunks(
    requests: list[list[Callable[[int], bytes]]], others: list[bytes], sizes: list[int]
) -> None:
    async def compare() -> None:
        turns = [
            build(2 * number + 1)
            for frames in zip_longest(*requests)
            for number, build in enumerate(frames)
            if build is not None
        ]
        octets = HELLO + b"".join(chain.from_iterable(zip_longest(turns, others, fillvalue=b"")))
        whole = await conversation([octets])
        assert whole["goaways"] == []
        assert whole == await conversation(chunks(octets, sizes))

    run(compare())
