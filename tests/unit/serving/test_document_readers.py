"""The typed readers: the value where it is right, else a problem that says what is accepted."""

from collections.abc import Callable
from typing import Any

import pytest

from serving import documents
from serving.documents import Node, read
from serving.problems import Problems

Reader = Callable[[Node, Problems], Any]


def value_of(text: str) -> Node:
    (root,) = read("f.yaml", f"key: {text}\n", Problems())
    return root.entries["key"]


def apply(reader: Reader, text: str) -> tuple[Any, list[str]]:
    problems = Problems()
    value = reader(value_of(text), problems)
    return value, [str(problem).removeprefix("f.yaml:1:1: key: ") for problem in problems]


def small(node: Node, problems: Problems) -> int:
    return documents.integer(node, problems, 1, 100)


def colour(node: Node, problems: Problems) -> str:
    return documents.choice(node, problems, ("red", "green"))


def texts(node: Node, problems: Problems) -> list[tuple[str, str]]:
    return [(item.place.path, text) for item, text in documents.strings(node, problems)]


def kinds(node: Node, problems: Problems) -> list[str]:
    return [item.kind for item in documents.elements(node, problems)]


@pytest.mark.parametrize(
    ("reader", "text", "value"),
    [
        (documents.source_text, "web", "web"),
        (documents.source_text, "0x10", "0x10"),
        (documents.source_text, "1.50", "1.50"),
        (documents.source_text, "2030-01-01", "2030-01-01"),
        (documents.source_text, "yes", "yes"),
        (documents.source_text, "~", ""),
        (documents.source_text, "''", ""),
        (documents.string, "web", "web"),
        (documents.string, "'5'", "5"),
        (documents.string, "''", ""),
        (small, "1", 1),
        (small, "100", 100),
        (small, "0x10", 16),
        (small, "+7", 7),
        (documents.boolean, "true", True),
        (documents.boolean, "True", True),
        (documents.boolean, "ON", True),
        (documents.boolean, "false", False),
        (documents.boolean, "no", False),
        (colour, "green", "green"),
        (colour, "'red'", "red"),
        (texts, "[a, 'b']", [("key[0]", "a"), ("key[1]", "b")]),
        (texts, "[]", []),
        (kinds, "[a, 1, {}]", ["str", "int", "map"]),
    ],
)
def test_a_right_value_is_read_without_a_problem(reader: Reader, text: str, value: Any) -> None:
    assert apply(reader, text) == (value, [])


WANTED = "a whole number 1 to 100 is wanted"


@pytest.mark.parametrize(
    ("reader", "text", "value", "problem"),
    [
        (documents.source_text, "{a: 1}", "", "found a map; text is wanted"),
        (documents.source_text, "[a]", "", "found a list; text is wanted"),
        (documents.string, "5", "5", "found '5'; text is wanted; quote it"),
        (documents.string, "true", "true", "found 'true'; text is wanted; quote it"),
        (documents.string, "", "", "found nothing; text is wanted"),
        (documents.string, "{}", "", "found a map; text is wanted"),
        (small, "0", 1, f"found '0'; {WANTED}"),
        (small, "101", 1, f"found '101'; {WANTED}"),
        (small, "-1", 1, f"found '-1'; {WANTED}"),
        (small, "'5'", 1, f"found '5'; {WANTED}"),
        (small, "5.0", 1, f"found '5.0'; {WANTED}"),
        (small, "010", 1, f"found '010'; {WANTED}"),
        (small, "1:30", 1, f"found '1:30'; {WANTED}"),
        (small, "!!int five", 1, f"found 'five'; {WANTED}"),
        (small, "", 1, f"found nothing; {WANTED}"),
        (small, "[5]", 1, f"found a list; {WANTED}"),
        (documents.boolean, "'true'", True, "found 'true'; accepted: true, false"),
        (documents.boolean, "1", False, "found '1'; accepted: true, false"),
        (documents.boolean, "", False, "found nothing; accepted: true, false"),
        (colour, "gren", "red", "found 'gren'; accepted: red, green; did you mean 'green'?"),
        (colour, "GREEN", "red", "found 'GREEN'; accepted: red, green; did you mean 'green'?"),
        (colour, "5", "red", "found '5'; accepted: red, green"),
        (colour, "", "red", "found nothing; accepted: red, green"),
        (colour, "{}", "red", "found a map; text is wanted"),
        (texts, "a", [], "found 'a'; a list is wanted"),
        (kinds, "{}", [], "found a map; a list is wanted"),
        (kinds, "", [], "found nothing; a list is wanted"),
        (kinds, "!!seq a", [], "found 'a'; a list is wanted"),
    ],
)
def test_a_wrong_value_is_one_problem_and_a_harmless_value(
    reader: Reader, text: str, value: Any, problem: str
) -> None:
    assert apply(reader, text) == (value, [problem])


def test_a_number_too_long_to_convert_is_a_problem_not_an_exception() -> None:
    value, (problem,) = apply(small, "9" * 5000)
    assert value == 1
    assert problem.endswith(WANTED)


def test_a_wrong_item_is_named_by_its_index() -> None:
    problems = Problems()
    assert list(documents.strings(value_of("[a, 1]"), problems))[1][1] == "1"
    assert [problem.place.path for problem in problems] == ["key[1]"]


def fields(text: str) -> tuple[dict[str, str], list[str]]:
    entries, problems = apply(
        lambda node, problems: documents.fields(node, problems, ("unit", "name")), text
    )
    return {key: node.text for key, node in entries.items()}, problems


def test_fields_gives_known_entries_and_takes_null_for_left_out() -> None:
    assert fields("{unit: day, name: }") == ({"unit": "day"}, [])
    assert fields("{}") == ({}, [])


def test_fields_names_each_unknown_key_with_the_nearest_known_one() -> None:
    entries, problems = fields("{units: day, name: x, other: }")
    assert entries == {"name": "x"}
    assert problems == [
        "f.yaml:1:7: key.units: unknown key 'units'; accepted: unit, name; did you mean 'unit'?",
        "f.yaml:1:28: key.other: unknown key 'other'; accepted: unit, name",
    ]


@pytest.mark.parametrize(("text", "shown"), [("[a]", "a list"), ("", "nothing"), ("x", "'x'")])
def test_fields_of_what_is_no_map_is_a_problem_that_lists_the_keys(text: str, shown: str) -> None:
    assert fields(text) == ({}, [f"found {shown}; a map is wanted, accepted: unit, name"])
