"""JSON from strangers."""

import json

import pytest

from authz.tokens.strict_json import MAX_DEPTH, read_object


def nested(depth: int) -> bytes:
    """An object with `depth` levels, itself among them."""
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b' {"a": [1, -2.5, 1e3, true, false, null, "\\u00e9\\ud83d\\ude00\\\\ud800"]}\n',
        '{"é": "\U0001f600"}'.encode(),
        b'{"n": ' + b"9" * 4300 + b"}",
        nested(MAX_DEPTH),
        b'{"a": "' + b"[" * 1000 + b'\\"{"}',  # brackets in text nest nothing
        b'{"a": [' + b",".join([b"[]"] * 1000) + b"]}",  # many, not deep
    ],
)
def test_an_object_is_read_as_the_standard_library_reads_it(raw: bytes) -> None:
    assert read_object(raw) == json.loads(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b'"a"',
        b"1",
        b"{} {}",
        b'{"a": 1,}',
        b"{'a': 1}",
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": 1, "\\u0061": 1}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e400}',
        b'{"a": -1e400}',
        b'{"a": ' + b"9" * 4301 + b"}",
        b'{"a": 01}',
        b'{"a": "\n"}',
        b'{"a": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"a": "\\ude00\\ud83d"}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        nested(MAX_DEPTH + 1),
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
    ],
)
def test_anything_else_is_refused_and_nothing_is_raised(raw: bytes) -> None:
    assert read_object(raw) is None
