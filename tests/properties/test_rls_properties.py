"""What holds for every limits file, every request and every clock."""

import re
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from protos.service_ratelimit_v3_pb2 import RateLimitRequest
from rls.bucket import FULL, Bucket, spend
from rls.codec import decode
from rls.counter_key import counter_key, window_key
from rls.counters import Counter, Hit
from rls.counters.memory import MemoryStore
from rls.limits import Algorithm, Entry, Level, Node, RateLimit, Unit, Wildcard
from rls.matcher import match
from rls.verdict import status
from rls.window import US
from serving.call import InvalidArgument

# Few letters, and those that mean something in a key, so that near misses are common.
PARTS = st.text(alphabet="a1:{}_é", max_size=4)
ENTRIES = st.lists(st.builds(Entry, PARTS, PARTS), max_size=3)
COUNTED = st.tuples(
    PARTS, ENTRIES, st.sampled_from(Unit), st.sampled_from(Algorithm), st.integers(0, 3)
)


def key_of(counted: tuple[str, list[Entry], Unit, Algorithm, int]) -> bytes:
    domain, entries, unit, algorithm, window_start = counted
    key = counter_key(domain, entries, RateLimit(1, unit, algorithm))
    is_window = algorithm is Algorithm.FIXED_WINDOW
    return window_key(key, window_start) if is_window else key


@given(one=COUNTED, other=COUNTED)
def test_two_counters_never_share_a_key(
    one: tuple[str, list[Entry], Unit, Algorithm, int],
    other: tuple[str, list[Entry], Unit, Algorithm, int],
) -> None:
    bucket = one[3] is Algorithm.TOKEN_BUCKET
    same = one[:4] == other[:4] and (bucket or one[4] == other[4])
    assert (key_of(one) == key_of(other)) is same


@given(counted=COUNTED)
def test_a_key_has_a_hash_tag_that_depends_on_domain_and_entries_alone(
    counted: tuple[str, list[Entry], Unit, Algorithm, int],
) -> None:
    domain, entries, *_ = counted
    slot = re.compile(rb"[^{]*\{([^}]*)\}", re.DOTALL)  # how Redis Cluster finds it
    keys = [
        window_key(counter_key(domain, entries, RateLimit(1, unit, algorithm)), start)
        for unit in Unit
        for algorithm in Algorithm
        for start in (0, 60)
    ]
    tags = {found[1] for key in keys if (found := slot.match(key))}
    assert len(tags) == 1
    assert tags != {b""}  # an empty tag would be none


PATTERNS = st.text(alphabet="ab*", max_size=8).filter(lambda text: "*" in text)


@given(pattern=PATTERNS, value=st.text(alphabet="ab\n", max_size=10))
def test_a_wildcard_equals_a_regular_expression(pattern: str, value: str) -> None:
    expression = ".*".join(re.escape(literal) for literal in pattern.split("*"))
    expected = re.fullmatch(expression, value, re.DOTALL) is not None
    wildcard = Wildcard("key", tuple(pattern.split("*")))
    assert wildcard.matches(Entry("key", value)) is expected


KEYS = st.sampled_from("kl")
VALUES = st.sampled_from(("", "a", "ab", "b", "a*", "*", "*b"))
Descriptors = list[tuple[str, str, int, "Descriptors"]]


def descriptors(depth: int) -> st.SearchStrategy[Descriptors]:
    """Key, value (empty for none), the number of its limit (0 for none), and what is below."""
    below: st.SearchStrategy[Descriptors] = descriptors(depth - 1) if depth else st.just([])
    one = st.tuples(KEYS, VALUES, st.integers(0, 9), below)
    return st.lists(one, max_size=5, unique_by=lambda each: each[:2])


def level_of(tree: Descriptors) -> Level:
    nodes = {
        Entry(key, value): Node(RateLimit(number, Unit.DAY) if number else None, level_of(below))
        for key, value, number, below in tree
    }
    return Level(
        {entry: node for entry, node in nodes.items() if entry.value},
        tuple(
            (Wildcard(entry.key, tuple(entry.value.split("*"))), node)
            for entry, node in nodes.items()
            if "*" in entry.value
        ),
        {entry.key: node for entry, node in nodes.items() if not entry.value},
    )


def candidates(tree: Descriptors, entry: Entry) -> Iterator[tuple[int, Descriptors]]:
    """The branches that an entry could take, the better ones first."""
    mine = [each for each in tree if each[0] == entry.key]
    yield from (each[2:] for each in mine if each[1] and each[1] == entry.value)
    for _, value, number, below in mine:
        pattern = re.escape(value).replace(r"\*", ".*")
        if "*" in value and re.fullmatch(pattern, entry.value):
            yield number, below
    yield from (each[2:] for each in mine if not each[1])


def brute_force(tree: Descriptors, entries: tuple[Entry, ...]) -> int:
    """The number of the limit, by the rules as they are written in the reference."""
    if not entries:
        return 0
    number, below = next(candidates(tree, entries[0]), (0, []))
    return brute_force(below, entries[1:]) if entries[1:] else number


@given(
    tree=descriptors(2),
    entries=st.lists(st.builds(Entry, KEYS, VALUES | st.just("abb")), max_size=4).map(tuple),
)
def test_the_matcher_equals_a_brute_force_matcher(
    tree: Descriptors, entries: tuple[Entry, ...]
) -> None:
    limit = match(level_of(tree), entries)
    assert (limit.requests_per_unit if limit else 0) == brute_force(tree, entries)


TIMES_US = st.integers(0, 200 * US)
HITS = st.lists(st.tuples(TIMES_US, st.integers(0, 4)), max_size=40)


@given(hits=HITS, requests=st.integers(0, 10), unit=st.sampled_from((Unit.SECOND, Unit.MINUTE)))
def test_a_window_never_admits_more_than_its_limit(
    hits: list[tuple[int, int]], requests: int, unit: Unit
) -> None:
    limit = RateLimit(requests, unit)
    store, admitted = MemoryStore(), dict[int, int]()
    # A store of this process forgets windows that are long over, so it is asked in time's order
    # but for steps back that are smaller than its slack.
    for time_us, addend in sorted(hits, key=lambda hit: hit[0] // (30 * US)):
        [spent] = store.hit([Hit(Counter(b"key", limit), addend)], time_us)
        if status(limit, spent, time_us).code.name == "OK":
            window = time_us // (unit.seconds * US)
            admitted[window] = admitted.get(window, 0) + addend
    assert all(number <= requests for number in admitted.values())


@given(
    hits=HITS,
    rate=st.integers(1, 10),
    burst=st.integers(1, 12),
    unit=st.sampled_from((Unit.SECOND, Unit.MINUTE)),
)
def test_a_bucket_never_admits_more_than_burst_and_what_came_back(
    hits: list[tuple[int, int]], rate: int, burst: int, unit: Unit
) -> None:
    limit = RateLimit(rate, unit, Algorithm.TOKEN_BUCKET, burst)
    bucket, passed = FULL, list[tuple[int, int]]()
    latest_us = 0
    for time_us, addend in hits:
        bucket, spent = spend(bucket, limit, addend, time_us)
        if addend and spent <= burst:
            latest_us = max(latest_us, time_us)
            passed.append((latest_us, addend))
    for first, (since_us, _) in enumerate(passed):
        admitted = 0
        for until_us, addend in passed[first:]:
            admitted += addend
            came_back = (until_us - since_us) * rate / (unit.seconds * US)
            assert admitted <= burst + came_back + 1e-6


@given(
    spent=st.floats(0, 2**32),
    updated_us=TIMES_US,
    now_us=TIMES_US,
    addend=st.just(0) | st.integers(0, 2**32),
)
def test_a_refused_hit_and_a_look_change_no_bucket(
    spent: float, updated_us: int, now_us: int, addend: int
) -> None:
    limit = RateLimit(3, Unit.SECOND, Algorithm.TOKEN_BUCKET, 2**31)
    before = Bucket(spent, updated_us)
    after, seen = spend(before, limit, addend, now_us)
    if addend == 0 or seen > limit.burst:
        assert after == before
    else:
        assert after == Bucket(seen, max(now_us, updated_us))


MESSAGES = st.builds(
    RateLimitRequest,
    domain=st.text(max_size=3),
    hits_addend=st.integers(0, 2**32 - 1),
    descriptors=st.lists(
        st.fixed_dictionaries(
            {"entries": st.lists(st.fixed_dictionaries({"key": st.text(max_size=3)}), max_size=2)},
            optional={"hits_addend": st.fixed_dictionaries({"value": st.integers(0, 2**64 - 1)})},
        ),
        max_size=2,
    ),
).map(RateLimitRequest.SerializeToString)


@given(texts=st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)), min_size=1))
def test_any_bytes_of_a_header_are_limited(texts: list[tuple[bytes, bytes]]) -> None:
    def delimited(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    descriptors = [
        delimited(2, delimited(1, delimited(1, key) + delimited(2, value))) for key, value in texts
    ]
    request = decode(delimited(1, b"edge") + b"".join(descriptors))
    assert [descriptor.entries for descriptor in request.descriptors] == [
        (Entry(key.decode("utf-8", "backslashreplace"), value.decode("utf-8", "backslashreplace")),)
        for key, value in texts
    ]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A request of which a byte was replaced by others."""
    body = draw(MESSAGES)
    place = draw(st.integers(0, len(body)))
    return body[:place] + draw(st.binary(max_size=3)) + body[place + 1 :]


@given(body=st.binary(max_size=60) | damaged())
def test_any_bytes_are_a_request_or_an_invalid_argument(body: bytes) -> None:
    try:
        request = decode(body)
    except InvalidArgument:
        return
    assert request.domain
    assert request.descriptors
