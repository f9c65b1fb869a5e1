"""Problems as a reader sees them: where, which key, what; all of them, in order."""

import pytest

from serving.problems import ConfigError, Place, Problem, Problems, accepted


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Place("limits.yaml", 3, 7, "domain"), "limits.yaml:3:7: domain: is empty"),
        (Place("limits.yaml", 1, 1, ""), "limits.yaml:1:1: is empty"),
        (Place("limits.yaml", 0, 0, ""), "limits.yaml: is empty"),
        (Place("environment", 0, 0, "GRPC_PORT"), "environment: GRPC_PORT: is empty"),
    ],
)
def test_a_problem_reads_as_place_key_and_message(place: Place, text: str) -> None:
    assert str(Problem(place, "is empty")) == text


def test_an_error_lists_every_problem_in_file_order() -> None:
    late = Problem(Place("a.yaml", 10, 1, "x"), "late")
    early = Problem(Place("a.yaml", 2, 9, "y"), "early")
    other = Problem(Place("b.yaml", 1, 1, ""), "other file")
    error = ConfigError([other, late, early])
    assert error.problems == (early, late, other)
    assert str(error).splitlines() == [str(early), str(late), str(other)]


def test_problems_are_false_and_silent_until_something_is_added() -> None:
    problems = Problems()
    problems.raise_any()
    assert not problems
    assert list(problems) == []


def test_raise_any_raises_all_that_was_added() -> None:
    problems = Problems()
    problems.add(Place("f", 2, 1, ""), "second")
    problems.add(Place("f", 1, 1, ""), "first")
    assert problems
    assert [problem.message for problem in problems] == ["second", "first"]
    with pytest.raises(ConfigError) as caught:
        problems.raise_any()
    assert [problem.message for problem in caught.value.problems] == ["first", "second"]


@pytest.mark.parametrize(
    ("found", "hint"),
    [
        ("secnd", "; did you mean 'second'?"),
        ("SECOND", "; did you mean 'second'?"),
        ("hour", "; did you mean 'Hour'?"),
        ("fortnight", ""),
        ("", ""),
    ],
)
def test_the_nearest_spelling_is_offered_only_when_one_is_near(found: str, hint: str) -> None:
    assert accepted(found, ["second", "minute", "Hour"]) == f"accepted: second, minute, Hour{hint}"
