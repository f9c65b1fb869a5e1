"""The name of a counter in the store."""

import pytest

from rls.counter_key import counter_key, window_key
from rls.limits import Algorithm, Entry, RateLimit, Unit

WINDOW = RateLimit(5, Unit.MINUTE)
BUCKET = RateLimit(5, Unit.MINUTE, Algorithm.TOKEN_BUCKET, 5)


def test_a_key_is_versioned_tagged_and_says_its_unit() -> None:
    assert counter_key("edge", [Entry("user", "ann")], WINDOW) == b"rl1:{4:edge4:user3:ann}w60"
    assert counter_key("edge", [Entry("user", "ann")], BUCKET) == b"rl1:{4:edge4:user3:ann}b60"


def test_a_window_has_its_start_in_the_key() -> None:
    assert window_key(b"rl1:{1:d}w60", 1_700_000_040) == b"rl1:{1:d}w60:1700000040"


def test_lengths_count_bytes_of_utf_8() -> None:
    assert counter_key("d", [Entry("k", "é")], WINDOW) == "rl1:{1:d1:k2:é}w60".encode()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([Entry("x", "y_z")], [Entry("x_y", "z")]),
        ([Entry("a", ""), Entry("b", "c")], [Entry("a", "b"), Entry("", "c")]),
        ([Entry("a", "1:b")], [Entry("a", "1"), Entry("b", "")]),
        ([Entry("a", "}b")], [Entry("a", "}"), Entry("b", "")]),
        ([Entry("a", "b")], [Entry("b", "a")]),
    ],
)
def test_entries_that_look_alike_have_counters_of_their_own(
    one: list[Entry], other: list[Entry]
) -> None:
    assert counter_key("d", one, WINDOW) != counter_key("d", other, WINDOW)


def test_limit_of_another_unit_or_algorithm_has_another_counter() -> None:
    entries = [Entry("a", "b")]
    hour = RateLimit(5, Unit.HOUR)
    keys = {counter_key("d", entries, limit) for limit in (WINDOW, BUCKET, hour)}
    assert len(keys) == 3


def test_a_changed_number_of_requests_keeps_the_counter() -> None:
    entries = [Entry("a", "b")]
    assert counter_key("d", entries, WINDOW) == counter_key(
        "d", entries, RateLimit(500, Unit.MINUTE)
    )
