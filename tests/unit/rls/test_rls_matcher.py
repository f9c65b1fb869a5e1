"""Which limit a descriptor falls under; the tables of precedence are in tests/cases/rls."""

from rls.limits import Entry, Level, Node, RateLimit, Unit, Wildcard
from rls.matcher import match

EMPTY = Level({}, (), {})
OUTER = RateLimit(1, Unit.SECOND, path="outer")
INNER = RateLimit(2, Unit.SECOND, path="inner")


def level(
    exact: dict[Entry, Node] | None = None,
    wildcards: tuple[tuple[Wildcard, Node], ...] = (),
    key_only: dict[str, Node] | None = None,
) -> Level:
    return Level(exact or {}, wildcards, key_only or {})


def test_no_entries_match_nothing() -> None:
    assert match(level(key_only={"a": Node(OUTER, None)}), ()) is None


def test_no_descriptors_match_nothing() -> None:
    assert match(EMPTY, (Entry("a", "1"),)) is None


def test_the_depths_must_be_equal() -> None:
    top = level(key_only={"a": Node(OUTER, level(key_only={"b": Node(INNER, None)}))})
    assert match(top, (Entry("a", "1"),)) is OUTER
    assert match(top, (Entry("a", "1"), Entry("b", "2"))) is INNER
    assert match(top, (Entry("a", "1"), Entry("b", "2"), Entry("c", "3"))) is None


def test_exact_beats_wildcard_beats_key_alone() -> None:
    exact, wildcard, key_only = (RateLimit(n, Unit.SECOND) for n in (1, 2, 3))
    top = level(
        {Entry("a", "one"): Node(exact, None)},
        ((Wildcard("a", ("o", "")), Node(wildcard, None)),),
        {"a": Node(key_only, None)},
    )
    assert match(top, (Entry("a", "one"),)) is exact
    assert match(top, (Entry("a", "other"),)) is wildcard
    assert match(top, (Entry("a", "two"),)) is key_only


def test_there_is_no_way_back_from_the_branch_taken() -> None:
    top = level(
        {Entry("a", "1"): Node(None, EMPTY)},
        key_only={"a": Node(None, level(key_only={"b": Node(INNER, None)}))},
    )
    assert match(top, (Entry("a", "2"), Entry("b", "x"))) is INNER
    assert match(top, (Entry("a", "1"), Entry("b", "x"))) is None
