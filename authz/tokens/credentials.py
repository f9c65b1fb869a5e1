"""
Find the token of a request.

A rule looks where it says; one that says nothing looks into `Authorization: Bearer …` and the
query parameter `access_token`. Every place where any rule looks is looked at, and what is found
must be one token: a place may hold it once, and several places only the same text. Istio leaves
undefined who a request with several tokens is from; here it is refused, because whoever reads the
other token behind us would believe it without proof.

The prefix must stand at the front of the value. Envoy finds it anywhere, so that `xBearer …` or
the second of two credentials is read; here the first is no credential and the second is refused.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from authz.request import Request
from authz.tokens.jwt_rule import HeaderLocation, JwtRule
from authz.tokens.refusal import Failure

BEARER = HeaderLocation("authorization", "Bearer ")
ACCESS_TOKEN = "access_token"  # noqa: S105 - the name of a parameter (RFC 6750 section 2.3)
BLANKS = " \t"


class Place(NamedTuple):
    """Where a token may be."""

    kind: str
    """`header`, `param` or `cookie`."""
    name: str
    prefix: str = ""


class Credential(NamedTuple):
    """The one token of a request."""

    text: str
    places: tuple[Place, ...]
    """Every place that holds it, never none."""


Found = dict[Place, str]
"""What stands at which place."""


def places_of(rule: JwtRule) -> tuple[Place, ...]:
    """Where a rule looks; an explicit place puts the two usual ones out of use."""
    places = (
        *(Place("header", *location) for location in rule.from_headers),
        *(Place("param", name) for name in rule.from_params),
        *(Place("cookie", name) for name in rule.from_cookies),
    )
    return places or (Place("header", *BEARER), Place("param", ACCESS_TOKEN))


class CredentialFinder:
    """Looks into a fixed choice of places."""

    def __init__(self, places: Iterable[Place]) -> None:
        known = tuple(dict.fromkeys(places))
        headers: dict[str, tuple[Place, ...]] = {}
        for place in known:
            if place.kind == "header":
                headers[place.name] = (*headers.get(place.name, ()), place)
        self._headers = tuple(_Header(name, each) for name, each in headers.items())
        self._params = {place.name: place for place in known if place.kind == "param"}
        self._cookies = {place.name: place for place in known if place.kind == "cookie"}

    def find(self, request: Request) -> Credential | Failure | None:
        """The token, None when there is none, a failure when it is not clear which it is."""
        found: Found = {}
        for looked in self._look(request):
            if looked is None:
                return Failure.AMBIGUOUS
            found |= looked
        if not found:
            return None
        texts = set(found.values())
        return Failure.AMBIGUOUS if len(texts) > 1 else Credential(texts.pop(), tuple(found))

    def _look(self, request: Request) -> Iterator[Found | None]:
        for header in self._headers:
            values = request.headers.get(header.name)
            if values:
                yield header.look(values)
        if self._params and "?" in request.path:
            yield _params(request.path, self._params)
        if self._cookies and "cookie" in request.headers:
            yield _cookies(request.headers["cookie"], self._cookies)


class _Header:
    """One header that may carry a token behind one of several prefixes."""

    def __init__(self, name: str, places: Iterable[Place]) -> None:
        self.name = name
        # The scheme of Authorization has no case (RFC 9110 section 11.1); other prefixes do.
        fold = re.IGNORECASE if name == "authorization" else 0
        self._places = tuple(
            (place, re.compile(re.escape(place.prefix), fold))
            for place in sorted(places, key=lambda place: -len(place.prefix))
        )
        later = "|".join(re.escape(place.prefix.rstrip()) for place, _ in self._places)
        self._later = re.compile(rf",[ \t]*(?:{later})", fold)

    def look(self, values: tuple[str, ...]) -> Found | None:
        """
        The place whose prefix fits, and every other that leaves the same text.

        None when a token is one of several credentials. Envoy may have joined the lines of a
        header by commas, so a token behind a comma counts: it must not hide behind a credential
        of another scheme.
        """
        found: Found = {}
        for value in values:
            if "," in value and self._later.search(value):
                return None
            text = None
            for place, prefix in self._places:
                start = prefix.match(value)
                if start is None:
                    continue
                rest = value[start.end() :].lstrip(BLANKS) if place.prefix else value
                text = rest if text is None else text
                if rest == text:
                    found[place] = rest
        return None if found and len(values) > 1 else found


def _params(path: str, wanted: Mapping[str, Place]) -> Found | None:
    found: Found = {}
    query = path.partition("#")[0].partition("?")[2]
    for part in query.split("&"):
        name, _, value = part.partition("=")
        place = wanted.get(unquote(name) if "%" in name else name)
        if place in found:
            return None
        if place is not None:
            found[place] = unquote(value)
    return found


def _cookies(lines: Iterable[str], wanted: Mapping[str, Place]) -> Found | None:
    found: Found = {}
    for line in lines:
        for pair in line.split(";"):
            name, equals, value = pair.strip(BLANKS).partition("=")
            place = wanted.get(name) if equals else None
            if place in found:
                return None
            if place is not None:
                quoted = len(value) > 1 and value[0] == value[-1] == '"'
                found[place] = value[1:-1] if quoted else value
    return found
