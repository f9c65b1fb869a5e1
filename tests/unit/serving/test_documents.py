"""YAML with its lines: where each value stands, and which files are refused at which place."""

import time

import pytest

from serving.documents import MAX_COPIES, MAX_DEPTH, Node, read
from serving.problems import Problems


def load(text: str) -> Node:
    """The only document of a file without problems."""
    problems = Problems()
    (root,) = read("f.yaml", text, problems)
    assert [str(problem) for problem in problems] == []
    return root


def complaints(text: str) -> list[str]:
    problems = Problems()
    read("f.yaml", text, problems)
    return [str(problem) for problem in problems]


def places(node: Node) -> dict[str, tuple[int, int]]:
    """Path → (line, column) of a node and everything below it."""
    found = {node.place.path: (node.place.line, node.place.column)}
    for child in (*node.entries.values(), *node.items):
        found |= places(child)
    return found


NESTED = """\
# a comment
domain: web
descriptors:
  - key: path
    rate_limit:
      unit: second
  - [1, {a: b}]
"""


def test_every_value_knows_its_line_column_and_path() -> None:
    assert places(load(NESTED)) == {
        "": (2, 1),
        "domain": (2, 1),
        "descriptors": (3, 1),
        "descriptors[0]": (4, 5),
        "descriptors[0].key": (4, 5),
        "descriptors[0].rate_limit": (5, 5),
        "descriptors[0].rate_limit.unit": (6, 7),
        "descriptors[1]": (7, 5),
        "descriptors[1][0]": (7, 6),
        "descriptors[1][1]": (7, 9),
        "descriptors[1][1].a": (7, 10),
    }


def test_windows_line_ends_and_a_byte_order_mark_change_no_position() -> None:
    assert places(load("\ufeff" + NESTED.replace("\n", "\r\n"))) == places(load(NESTED))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x", "str"),
        ("'5'", "str"),
        ("!!str 5", "str"),
        ("5", "int"),
        ("0x10", "int"),
        ("1.5", "float"),
        ("yes", "bool"),
        ("~", "null"),
        ("2030-01-01", "timestamp"),
        ("{}", "map"),
        ("[]", "list"),
    ],
)
def test_a_scalar_keeps_its_source_text_and_the_kind_yaml_gives_it(text: str, kind: str) -> None:
    node = load(f"key: {text}").entries["key"]
    assert node.kind == kind
    if kind not in ("map", "list"):
        assert node.text == text.removeprefix("!!str ").strip("'")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("{a: 1}", "a map"), ("[1]", "a list"), ("", "nothing"), ("0x10", "'0x10'")],
)
def test_a_value_is_shown_as_a_person_would_name_it(text: str, shown: str) -> None:
    assert load(f"key: {text}").entries["key"].shown == shown


def test_a_scalar_that_claims_to_be_a_map_is_not_an_empty_map() -> None:
    assert load("a: !!map x").entries["a"].kind == "!!map"
    assert load("a: !<tag:yaml.org,2002:list> x").entries["a"].kind == "!!list"


def test_each_document_of_a_file_is_a_node_and_empty_ones_are_left_out() -> None:
    problems = Problems()
    roots = read("f.yaml", "---\n# nothing\n---\na: 1\n---\n~\n---\nb: 2\n", problems)
    assert [list(root.entries) for root in roots] == [["a"], ["b"]]
    assert [root.place.line for root in roots] == [4, 8]
    assert not problems


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "---\n...\n"])
def test_a_file_without_a_value_has_no_document(text: str) -> None:
    problems = Problems()
    assert read("f.yaml", text, problems) == ()
    assert not problems


def test_an_alias_has_the_path_of_its_use_and_the_lines_of_its_anchor() -> None:
    root = load("base: &base\n  unit: day\nother:\n  limit: *base\n")
    assert places(root.entries["other"]) == {
        "other": (3, 1),
        "other.limit": (4, 3),
        "other.limit.unit": (2, 3),
    }


def test_merge_keys_give_way_to_own_keys_and_earlier_sources_win() -> None:
    root = load(
        "a: &a {x: 1, y: 1}\n"
        "b: &b {x: 2, y: 2, z: 2}\n"
        "one:\n  <<: *a\n  y: 3\n"
        "many:\n  y: 3\n  <<: [*a, *b]\n"
    )
    one, many = root.entries["one"], root.entries["many"]
    assert {key: node.text for key, node in one.entries.items()} == {"x": "1", "y": "3"}
    assert {key: node.text for key, node in many.entries.items()} == {"x": "1", "y": "3", "z": "2"}
    assert many.entries["z"].place[1:] == (2, 20, "many.z")


def test_a_quoted_merge_key_is_a_key_like_any_other() -> None:
    assert load("'<<': {a: 1}").entries["<<"].kind == "map"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a:\n  <<: 5\n", "f.yaml:2:3: a.<<: found '5'; a map is wanted, or a list of maps"),
        ("<<: [{a: 1}, x]\n", "f.yaml:1:1: <<: found 'x'; a map is wanted, or a list of maps"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "f.yaml:4:3: b.c: given twice; the first is at line 3"),
        ("5: x\n'5': y\n", "f.yaml:2:1: 5: given twice; the first is at line 1"),
        ("a:\n  ? [b]\n  : c\n", "f.yaml:2:5: a: a key must be plain text"),
    ],
)
def test_a_wrong_map_is_a_problem_at_its_key(text: str, complaint: str) -> None:
    assert complaints(text) == [complaint]


def test_a_repeated_key_does_not_hide_other_problems() -> None:
    assert len(complaints("a: 1\na: 2\na: 3\n? {}\n: x\n")) == 3


@pytest.mark.parametrize(
    ("text", "start", "part"),
    [
        ("a:\n\tb: 1\n", "f.yaml:2:1: not YAML: ", "cannot start any token"),
        ("a: [1, 2\nb: 3\n", "f.yaml:2:2: not YAML: ", "while parsing a flow sequence"),
        ("a: 'x\n", "f.yaml:2:1: not YAML: ", "quoted scalar"),
        ("a: 1\nb: *nowhere\n", "f.yaml:2:4: not YAML: ", "undefined alias"),
        ("a: 1\n---\nb: ]\n", "f.yaml:3:4: not YAML: ", ""),
        ("%YAML 9.9\n---\na: 1\n", "f.yaml:1:1: not YAML: ", "incompatible"),
        ("[" * 5000, "f.yaml:1:1001: not YAML: ", "maximum nesting depth"),
    ],
)
def test_what_is_not_yaml_is_one_problem_with_its_position(
    text: str, start: str, part: str
) -> None:
    (complaint,) = complaints(text)
    assert complaint.startswith(start)
    assert part in complaint


def test_a_control_character_is_found_by_line_and_column() -> None:
    assert complaints("ä: ö\nkey: ü\x01\n") == [
        "f.yaml:2:7: not YAML: character 0x1: control characters are not allowed"
    ]


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_nesting_is_bounded() -> None:
    assert places(load(nested(MAX_DEPTH + 1)))["[0]" * MAX_DEPTH] == (1, MAX_DEPTH + 1)
    (complaint,) = complaints(nested(MAX_DEPTH + 2))
    assert complaint.startswith(f"f.yaml:1:{MAX_DEPTH + 2}: [0]")
    assert complaint.endswith(f"nested more than {MAX_DEPTH} deep")


@pytest.mark.parametrize("text", ["a: &a [*a, *a]", "a: &a {b: *a}", "a: &a {<<: *a}"])
def test_a_value_inside_itself_is_refused(text: str) -> None:
    (complaint,) = complaints(text)
    assert complaint.endswith(f"nested more than {MAX_DEPTH} deep")


def bomb(levels: int, width: int) -> str:
    """`levels` lists, each of `width` aliases of the one before."""
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]\n" for n in range(1, levels)]
    return "".join(["a0: &a0 [x, x]\n", *lines])


def merge_bomb(levels: int, width: int) -> str:
    """The same with merge keys, which leave nothing behind but the time they took."""
    lines = [
        f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * width)}]}}\n" for n in range(1, levels)
    ]
    return "".join(["m0: &m0 {x: 1, y: 1}\n", *lines])


@pytest.mark.parametrize("text", [bomb(9, 9), bomb(40, 2), merge_bomb(9, 9)])
def test_a_page_of_aliases_is_refused_in_well_under_a_second(text: str) -> None:
    start = time.thread_time()
    (complaint,) = complaints(text)
    assert time.thread_time() - start < 1
    assert complaint.endswith(f"aliases repeat more than {MAX_COPIES} values")


def test_the_bound_on_aliases_counts_each_repeated_value() -> None:
    exact = f"a: &a [{', '.join('x' * 99)}]\nb: [{', '.join(['*a'] * (MAX_COPIES // 100))}]\n"
    assert complaints(exact) == []
    (complaint,) = complaints(exact + "c: *a\n")
    assert complaint.startswith("f.yaml:3:1: c: aliases repeat")


def test_a_long_file_without_aliases_is_not_bounded() -> None:
    text = "a:\n" + "  - x\n" * (MAX_COPIES + 10)
    assert len(load(text).entries["a"].items) == MAX_COPIES + 10
