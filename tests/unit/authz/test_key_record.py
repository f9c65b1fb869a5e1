"""When an issuer may be asked: decisions over invented time."""

import pytest

from authz.keys.jwks import KeySet, read_fetched_key_set
from authz.keys.key_record import (
    COOL_DOWN_SECONDS,
    MAX_UNKNOWN,
    REFRESH_SECONDS,
    UNKNOWN_SECONDS,
    KeyRecord,
)
from tests.token_mint import key_set


def keys(*names: str) -> KeySet:
    found = read_fetched_key_set(key_set(*names).encode())
    assert isinstance(found, KeySet)
    return found


def fetched(*, at: float) -> KeyRecord:
    """A record whose set was fetched at that time."""
    record = KeyRecord(5.0)
    record.asked = at
    record.accept(keys("rsa"), at, 0.0)
    return record


def test_a_new_record_is_due_and_says_so() -> None:
    record = KeyRecord(5.0)
    assert record.due < 0
    assert record.lack == "not fetched yet"
    assert record.worth_waiting("rsa", 0.0, under_way=False)


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 1200.0), (0.5, 1140.0), (1.0, 1080.0)])
def test_a_set_is_fetched_again_at_a_time_that_chance_spreads(
    chance: float, seconds: float
) -> None:
    record = KeyRecord(5.0)
    assert record.accept(keys("rsa"), 100.0, chance)
    assert record.due == pytest.approx(100.0 + seconds)
    assert record.lack == ""


def test_the_same_text_again_keeps_the_old_set() -> None:
    record = fetched(at=0.0)
    before = record.keys
    assert not record.accept(keys("rsa"), 50.0, 0.0)
    assert record.keys is before
    assert record.due == 50.0 + REFRESH_SECONDS
    assert record.accept(keys("rsa", "p256"), 60.0, 0.0)
    assert record.keys is not before


def test_a_set_without_keys_replaces_one_with_keys() -> None:
    record = fetched(at=0.0)
    assert record.accept(keys(), 1.0, 0.0)
    assert record.lack == "the issuer serves no usable key"


def test_failures_are_further_and_further_apart_and_keep_the_last_good_set() -> None:
    record = fetched(at=0.0)
    waits = [record.fail("no answer", 10.0) for _ in range(12)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]
    assert record.due == 70.0
    assert record.keys is not None
    assert record.lack == ""
    record.accept(keys("rsa"), 20.0, 0.0)
    assert record.fail("no answer", 30.0) == 1


def test_a_cold_start_waits_for_a_fetch_and_not_for_a_pause() -> None:
    record = KeyRecord(5.0)
    record.fail("no answer", 100.0)
    assert record.lack == "no answer"
    assert not record.worth_waiting("rsa", 100.9, under_way=False)
    assert record.worth_waiting("rsa", 100.9, under_way=True)
    assert record.worth_waiting("rsa", 101.0, under_way=False)


def test_an_unknown_key_is_asked_for_once_a_cool_down_whatever_its_name() -> None:
    record = fetched(at=100.0)
    before, after = 100.0 + COOL_DOWN_SECONDS - 1, 100.0 + COOL_DOWN_SECONDS
    assert not record.worth_waiting("new", before, under_way=False)
    assert record.worth_waiting("new", after, under_way=False)
    record.asked = after
    assert not record.worth_waiting("other", after + 1, under_way=False)


def test_a_name_that_a_fetch_did_not_bring_is_remembered_for_a_while() -> None:
    record = fetched(at=0.0)
    assert record.worth_waiting("new", 100.0, under_way=False)
    assert not record.worth_waiting("new", 100.0 + UNKNOWN_SECONDS - 1, under_way=False)
    assert not record.worth_waiting("new", 100.0, under_way=True)
    assert record.worth_waiting("other", 100.0, under_way=True)
    assert record.worth_waiting("new", 100.0 + UNKNOWN_SECONDS, under_way=False)


def test_a_token_without_a_key_name_counts_as_one_name() -> None:
    record = fetched(at=0.0)
    assert record.worth_waiting(None, 100.0, under_way=False)
    assert not record.worth_waiting(None, 101.0, under_way=True)


def test_nobody_waits_for_an_issuer_that_is_away() -> None:
    record = fetched(at=0.0)
    record.fail("no answer", 100.0)
    assert not record.worth_waiting("new", 200.0, under_way=True)
    assert not record.worth_waiting("new", 200.0, under_way=False)


def test_remembered_names_are_bounded_and_the_oldest_go_first() -> None:
    record = fetched(at=0.0)
    for number in range(MAX_UNKNOWN + 10):
        assert record.worth_waiting(f"new {number}", 100.0, under_way=True)
    assert len(record.unknown) == MAX_UNKNOWN
    assert record.worth_waiting("new 0", 100.0, under_way=True)
    assert not record.worth_waiting(f"new {MAX_UNKNOWN}", 100.0, under_way=True)
