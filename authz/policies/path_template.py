"""
Path templates: `/users/{*}/orders` and `/files/{**}`.

`{*}` is one segment, `{**}` any number of characters and slashes, and the whole path must match.
Istio hands them to Envoy's URI template matcher, whose wildcards take the characters of RFC 3986
path segments only: a path with a quote or a bar in the wildcard's place does not match.
"""

import re
from collections.abc import Iterable

from authz.policies.patterns import Matcher

ONE_SEGMENT, ANY_SEGMENTS = "{*}", "{**}"
LITERAL = re.compile(r"[a-zA-Z0-9\-._~%!$&'()+,;:@=]+")
"""What Istio's webhook takes beside an operator: RFC 3986 pchar without the star."""

PCHAR = r"a-zA-Z0-9\-._~%!$&'()*+,;:@="
REGEX = {ONE_SEGMENT: f"[{PCHAR}]+", ANY_SEGMENTS: f"[{PCHAR}/]*"}
"""What the wildcards of Envoy 1.40 take (seen: every ASCII character was tried)."""


def is_template(path: str) -> bool:
    return ONE_SEGMENT in path or ANY_SEGMENTS in path


def template_problem(path: str) -> str:
    """What keeps a path from being loaded, empty if nothing; plain paths are looked at too."""
    segments = path.strip("/").split("/")
    literals = [segment for segment in segments if segment not in REGEX]
    if any("{" in literal or "}" in literal for literal in literals):
        return "braces stand only around a whole segment: {*} for one, {**} for any number"
    if not is_template(path):
        return ""
    operators = [segment for segment in segments if segment in REGEX]
    if ANY_SEGMENTS in operators[:-1]:
        return "{**} must be the last operator of a template"
    wrong = next((literal for literal in literals if not LITERAL.fullmatch(literal)), None)
    if wrong is not None:
        return f"{wrong!r} beside an operator; a segment has letters, digits and -._~%!$&'()+,;:@="
    if not path.startswith("/") or path.startswith("//") or path.endswith("//"):
        return "a template starts with one '/' and ends with at most one, or Envoy refuses it"
    return ""


def compile_templates(templates: Iterable[str]) -> Matcher:
    """Match a path without query against any of the templates."""
    pattern = re.compile("|".join(map(_regex, templates)))
    return lambda path: pattern.fullmatch(path) is not None


def _regex(template: str) -> str:
    segments = template.removeprefix("/").split("/")
    return "/" + "/".join(REGEX.get(segment) or re.escape(segment) for segment in segments)
