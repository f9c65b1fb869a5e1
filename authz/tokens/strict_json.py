"""
JSON from strangers: one object, no repeated member, bounded depth, nothing that Python adds.

Repeated members are how two readers come to believe two things of one token (RFC 7515 section 4
and RFC 7519 section 4 let a reader refuse them). Depth is bounded before the parser runs, since
Python's recurses: a deep header must not cost a RecursionError before any signature is checked.
"""

import json
import math
import re
from typing import Any, NoReturn

MAX_DEPTH = 64
STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_object(raw: bytes) -> dict[str, Any] | None:
    """The JSON object that `raw` is, or None when it is not exactly one."""
    try:
        text = raw.decode()
        if _is_too_deep(text):
            return None
        value = DECODER.decode(text)
        if SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _is_too_deep(text: str) -> bool:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for character in STRINGS.sub("", text):
        if character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif character in "]}":
            depth -= 1
    return False


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("a member is repeated")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is out of range")
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_finite, parse_constant=_refuse)
"""Built once; Python's integers are read whole, and refused beyond 4,300 digits."""
