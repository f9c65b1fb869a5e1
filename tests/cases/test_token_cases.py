"""
Cases of tokens: `authz/tokens/*.yaml`.

A case has `rules` (jwtRules as a document holds them, `jwks` a list of key names; without rules
one rule takes tokens of https://id.example by the keys rsa, p256, p384, p521, ed25519, secret) and
either

- `good` tokens, and `bad` ones by what is wrong with them (a `Failure` in lower case), each sent
  as `Authorization: Bearer …`; or
- `tokens` by name, and `requests` that `send` headers and a `path` in which `<name>` stands for a
  token. `expect` is ISSUER/SUBJECT, `nobody` or a `Failure`; `claims`, `set`, `remove` and
  `remove_params` are what the answer must say besides, if they are given.

A token is described by the arguments of `tests.token_mint.mint`, with `without` for claims and
`without_header` for header members left out. It is second 1,000,000 in every case.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from authz.keys.key_fetch import KeyFetcher
from authz.keys.key_ring import KeyRing
from authz.request import Deny, Request
from authz.tokens.authenticate import Authenticated, Authenticator
from authz.tokens.jwt_rule import JwtRule
from authz.tokens.refusal import Failure, refuse
from authz.tokens.request_authentication import read_request_authentication
from serving.documents import read
from serving.problems import Problems
from tests.token_mint import ISSUER, NOW, key_set, mint

HERE = Path(__file__).parent / "authz" / "tokens"
KEYS = ("rsa", "p256", "p384", "p521", "ed25519", "secret")

Case = Mapping[str, Any]


def cases() -> list[Any]:
    found: list[Any] = []
    for file in sorted(HERE.glob("*.yaml")):
        content = yaml.safe_load(file.read_text())
        assert list(content) == ["about", "cases"], file
        found += [
            pytest.param(case, id=f"{file.stem}: {case['about']}") for case in content["cases"]
        ]
    return found


def the_rules(case: Case) -> tuple[JwtRule, ...]:
    """The rules of a case, read from a document."""
    rules = [{**rule} for rule in case.get("rules", [{"issuer": ISSUER}])]
    for rule in rules:
        if "jwksUri" not in rule:
            rule["jwks"] = key_set(*rule.get("jwks", KEYS))
    document = {
        "apiVersion": "security.istio.io/v1",
        "kind": "RequestAuthentication",
        "metadata": {"name": "tokens", "namespace": "foo"},
        "spec": {"jwtRules": rules},
    }
    problems = Problems()
    (node,) = read("case.yaml", yaml.safe_dump(document), problems)
    found = read_request_authentication(node, problems)
    assert not problems, list(problems)
    return found.jwt_rules


def a_token(given: Case | str) -> str:
    if isinstance(given, str):
        return given
    arguments = dict(given)
    claims = {**arguments.pop("claims", {}), **dict.fromkeys(arguments.pop("without", []), ...)}
    header = {
        **arguments.pop("header", {}),
        **dict.fromkeys(arguments.pop("without_header", []), ...),
    }
    if "cut" in arguments:
        end = arguments.pop("cut")
        arguments["edit"] = lambda signature: signature[:end]
    return mint(claims, header=header, **arguments)


def a_request(given: Case, tokens: Mapping[str, str]) -> Request:
    def filled(text: str) -> str:
        for name, token in tokens.items():
            text = text.replace(f"<{name}>", token)
        return text

    headers = {
        name: tuple(map(filled, [value] if isinstance(value, str) else value))
        for name, value in given.get("send", {}).items()
    }
    method, path = given.get("method", "GET"), filled(given.get("path", "/"))
    return Request(method, "shop.example", path, headers, "", "", "", 80, "", "")


def said(outcome: Any) -> str:
    """An outcome as a case writes it."""
    if isinstance(outcome, Authenticated):
        return outcome.identity.request_principal if outcome.identity else "nobody"
    assert isinstance(outcome, Deny)
    return next(
        failure.name.lower() for failure in Failure if outcome == refuse(failure, NO_REQUEST)
    )


NO_REQUEST = Request("GET", "shop.example", "/", {}, "", "", "", 80, "", "")


def an_authenticator(case: Case) -> Authenticator:
    return Authenticator(the_rules(case), KeyRing(KeyFetcher()), case.get("leeway", 60))


def bearer(token: str) -> Request:
    return NO_REQUEST._replace(headers={"authorization": (f"Bearer {token}",)})


@pytest.mark.parametrize("case", cases())
def test_a_token_is_judged(case: Case) -> None:
    assert set(case) <= {"about", "rules", "leeway", "good", "bad", "tokens", "requests"}
    authenticator = an_authenticator(case)
    asked = 0
    for given in case.get("good", []):
        outcome = authenticator.authenticate(bearer(a_token(given)), NOW)
        assert isinstance(outcome, Authenticated), (given, outcome)
        assert outcome.identity is not None
        asked += 1
    for failure, many in case.get("bad", {}).items():
        for given in many:
            outcome = authenticator.authenticate(bearer(a_token(given)), NOW)
            assert said(outcome) == failure, given
            asked += 1
    tokens = {name: a_token(given) for name, given in case.get("tokens", {"t": {}}).items()}
    for request in case.get("requests", []):
        judge(authenticator, request, tokens)
        asked += 1
    assert asked


def judge(authenticator: Authenticator, given: Case, tokens: Mapping[str, str]) -> None:
    """One request, asked twice: the second time its token is remembered."""
    known = {"send", "path", "method", "expect", "claims", "set", "remove", "remove_params"}
    assert set(given) <= known, given
    request = a_request(given, tokens)
    first, outcome = (authenticator.authenticate(request, NOW) for _ in range(2))
    assert first == outcome
    assert said(outcome) == given["expect"], given
    if not isinstance(outcome, Authenticated):
        return
    assert outcome.had_token == (outcome.identity is not None)
    found = {
        "set": dict(outcome.set_headers),
        "remove": sorted(outcome.remove_headers),
        "remove_params": list(outcome.remove_params),
    }
    for name in found.keys() & given.keys():
        expected = sorted(given[name]) if name == "remove" else given[name]
        if name == "set":
            payloads = {f"<{key} payload>": token.split(".")[1] for key, token in tokens.items()}
            expected = {name: payloads.get(value, value) for name, value in expected.items()}
        assert found[name] == expected, given
    for name, value in given.get("claims", {}).items():
        assert outcome.identity is not None
        assert outcome.identity.claims[name] == value, given
    assert not {name for name, _ in outcome.set_headers} & set(outcome.remove_headers)
