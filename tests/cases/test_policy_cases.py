"""
Cases of AuthorizationPolicy: `authz/policies/policy/*.yaml` and `authz/refused/*.yaml`.

A policy case has `policies` (documents as a file holds them), and `requests` with a verdict each:
`allow`, `allow by NAMESPACE/NAME`, `deny` (no policy allows) or `deny by NAMESPACE/NAME`.
Shorter, it has `rules` with what they match and what they leave unmatched; these are judged
twice, once as an ALLOW policy and once as a DENY policy.

A refused case has one `document` and the problems it is refused for, in the order of the file:
`LINE KEY: part of the message`, without a key where the document as a whole is meant.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from authz.attachment import Workload
from authz.policies.policy import Policy, TrustDomains, compile_policy
from authz.policy_file import read_policies
from authz.request import Allow, Deny, JwtIdentity, Reason, Request
from serving.problems import ConfigError
from serving.reload import File

HERE = Path(__file__).parent / "authz"

DEFAULTS: dict[str, Any] = {
    "method": "GET",
    "host": "shop.example",
    "path": "/",
    "source_ip": "10.0.0.1",
    "remote_ip": "203.0.113.9",
    "destination_ip": "10.0.0.2",
    "destination_port": 8080,
    "principal": "",
    "sni": "",
}

Case = Mapping[str, Any]


def cases(folder: str) -> list[Any]:
    """Every case of a folder, named by its file and what it is about."""
    found: list[Any] = []
    for file in sorted((HERE / folder).glob("*.yaml")):
        content = yaml.safe_load(file.read_text())
        assert list(content) == ["about", "cases"], file
        found += [
            pytest.param(case, id=f"{file.stem}: {case['about']}") for case in content["cases"]
        ]
    return found


def a_request(given: Case) -> Request:
    """A request as Envoy describes it: `given` over the defaults, pseudo headers filled in."""
    values = {**DEFAULTS, **{key: given[key] for key in given if key in DEFAULTS}}
    headers = {
        ":method": values["method"],
        ":authority": values["host"],
        ":path": values["path"],
        **given.get("headers", {}),
    }
    each = {
        name: (value,) if isinstance(value, str) else tuple(value)
        for name, value in headers.items()
        if value is not None
    }
    return Request(headers=each, **values)


def an_identity(given: Case) -> JwtIdentity | None:
    claims = given.get("token")
    if claims is None:
        return None
    return JwtIdentity(str(claims.get("iss", "")), str(claims.get("sub", "")), claims, "")


def a_policy(case: Case, text: str) -> Policy:
    workload = {"namespace": "foo", "labels": {}, "root_namespace": "istio-system"}
    trust = {"trust_domain": "cluster.local", "aliases": [], **case.get("trust", {})}
    return compile_policy(
        read_policies([File("policies.yaml", text)]),
        Workload(**{**workload, **case.get("workload", {})}),
        TrustDomains(trust["trust_domain"], tuple(trust["aliases"])),
    )


def a_verdict(text: str) -> Allow | Deny:
    outcome, _, policy = text.partition(" by ")
    if outcome == "allow":
        return Allow(policy=policy)
    assert outcome == "deny", text
    reason = Reason.DENIED_BY_POLICY if policy else Reason.NO_POLICY_ALLOWS
    return Deny(403, reason, policy)


def document_of(action: str, rules: Any) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"name": "p", "namespace": "foo"},
            "spec": {"action": action, "rules": rules},
        }
    )


def judged(case: Case) -> Iterator[tuple[str, Policy, Case, str]]:
    """Everything a case asks: in words, by which policy, the request, the verdict expected."""
    if "rules" not in case:
        policy = a_policy(case, case["policies"])
        for request in case["requests"]:
            yield "policies", policy, request, request["verdict"]
        return
    for action, matched, unmatched in (
        ("ALLOW", "allow by foo/p", "deny"),
        ("DENY", "deny by foo/p", "allow"),
    ):
        policy = a_policy(case, document_of(action, case["rules"]))
        for request in case.get("matched", []):
            yield action, policy, request, matched
        for request in case.get("unmatched", []):
            yield action, policy, request, unmatched


KNOWN = {"about", "policies", "rules", "workload", "trust", "requests", "matched", "unmatched"}


@pytest.mark.parametrize("case", cases("policy"))
def test_a_policy_gives_istios_verdict(case: Case) -> None:
    assert set(case) <= KNOWN
    asked = list(judged(case))
    assert asked
    wrong = []
    for words, policy, request, expected in asked:
        assert set(request) <= {*DEFAULTS, "headers", "token", "verdict"}, request
        found = policy.decide(a_request(request), an_identity(request))
        if found != a_verdict(expected):
            wrong.append((words, request, expected, found))
    assert not wrong


@pytest.mark.parametrize("case", cases("refused"))
def test_a_document_is_refused_with_every_reason(case: Case) -> None:
    with pytest.raises(ConfigError) as caught:
        read_policies([File("policies.yaml", case["document"])])
    problems = caught.value.problems
    shown = "\n".join(map(str, problems))
    assert len(problems) == len(case["problems"]), shown
    for problem, expected in zip(problems, case["problems"], strict=True):
        where, _, part = expected.partition(": ")
        place = f"{problem.place.line} {problem.place.path}".rstrip()
        assert (place, part in problem.message) == (where, True), f"{expected}\n{shown}"
