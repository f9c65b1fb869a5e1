"""Pieces of a policy by themselves: what the cases through whole documents cannot show."""

import pytest

from authz.attachment import Workload
from authz.policies.addresses import NO_ADDRESS, Block, read_address, read_block
from authz.policies.attributes import Scope
from authz.policies.authorization_policy import (
    Action,
    AuthorizationPolicy,
    read_authorization_policy,
)
from authz.policies.checks import compile_rule
from authz.policies.path_template import template_problem
from authz.policies.patterns import Matcher, Patterns, fold_case, sort_out
from authz.policies.policy import Policy, compile_policy
from authz.policies.principals import (
    MAX_SERVICE_ACCOUNT_BYTES,
    compile_namespaces,
    compile_principals,
    compile_service_accounts,
    service_account_problem,
)
from authz.policies.rules import Condition, Rule
from authz.policies.subject import Subject, describe, without_query
from authz.policies.trust_domains import TrustDomains
from authz.policy_file import PolicyConfiguration, read_policies
from authz.request import Allow, Request
from serving.documents import read
from serving.problems import Place, Problems
from serving.reload import File

HERE = Place("a.yaml", 1, 1, "")
MESH = TrustDomains("cluster.local", ())
REQUEST = Request(
    method="GET",
    host="Shop.Example:80",
    path="/a?b#c",
    headers={},
    source_ip="10.0.0.1",
    remote_ip="10.0.0.2",
    destination_ip="10.0.0.3",
    destination_port=80,
    principal="spiffe://td/ns/a/sa/b",
    sni="shop.example",
)


def read_one(text: str) -> tuple[AuthorizationPolicy, list[str]]:
    problems = Problems()
    (document,) = read("a.yaml", text, problems)
    policy = read_authorization_policy(document, problems)
    return policy, [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("10.1.2.3", Block(32, 32, 0x0A010203)),
        ("10.1.2.3/8", Block(32, 8, 0x0A)),
        ("0.0.0.0/0", Block(32, 0, 0)),
        ("::1", Block(128, 128, 1)),
        ("2001:db8::1/32", Block(128, 32, 0x20010DB8)),
        ("::ffff:10.1.2.3/96", Block(128, 96, 0xFFFF)),
        ("fe80::1%eth0", Block(128, 128, 0xFE80 << 112 | 1)),
        ("10.1.2.3/032", None),
        ("10.1.2.3/+8", None),
        ("10.1.2.3/8/8", None),
        ("10.1.2.3/٨", None),
        ("", None),
    ],
)
def test_blocks_are_read_as_gos_netip_does(text: str, block: Block | None) -> None:
    assert read_block(text) == block


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", (32, 0x0A000001)),
        ("::1", (128, 1)),
        ("fe80::1%4", (128, 0xFE80 << 112 | 1)),
        ("", NO_ADDRESS),
        ("/run/a.sock", NO_ADDRESS),
        ("10.0.0.1\0", NO_ADDRESS),
        ("::1::", NO_ADDRESS),
    ],
)
def test_addresses_of_requests_are_read(text: str, address: tuple[int, int]) -> None:
    assert read_address(text) == address


def test_stars_are_sorted_out() -> None:
    assert sort_out(["a", "b*", "*c", "*", "*d*", "e*f", "a"]) == Patterns(
        frozenset(("a", "e*f")), ("b",), ("c", "d*"), True
    )


@pytest.mark.parametrize(
    ("text", "folded"),
    [("Shop.Example", "shop.example"), ("ÄB", "Äb"), ("\u212a", "\u212a"), ("", "")],
)
def test_only_ascii_letters_are_folded(text: str, folded: str) -> None:
    assert fold_case(text) == folded


@pytest.mark.parametrize(
    ("path", "left"),
    [("/a", "/a"), ("/a?b", "/a"), ("/a#b", "/a"), ("/a?b#c", "/a"), ("/a#b?c", "/a"), ("", "")],
)
def test_the_path_ends_at_the_query_or_the_fragment(path: str, left: str) -> None:
    assert without_query(path) == left


def test_a_request_is_laid_out_for_the_rules() -> None:
    assert describe(REQUEST, None) == Subject(
        method="GET",
        host="shop.example:80",
        path="/a",
        headers={},
        source_ip="10.0.0.1",
        remote_ip="10.0.0.2",
        destination_ip="10.0.0.3",
        destination_port=80,
        principal="spiffe://td/ns/a/sa/b",
        sni="shop.example",
        claims={},
    )


@pytest.mark.parametrize(
    "matches",
    [
        compile_principals(["*/sa/b"]),
        compile_principals(["*"]),
        compile_namespaces(["a"]),
        compile_namespaces(["*"]),
        compile_service_accounts(["a/b"], "foo"),
    ],
)
def test_a_line_break_in_an_identity_ends_what_a_dot_of_envoy_takes(matches: Matcher) -> None:
    assert matches("spiffe://td/ns/a/sa/b")
    assert not matches("spiffe://t\nd/ns/a/sa/b")


def test_a_service_account_may_have_320_bytes_not_characters() -> None:
    assert service_account_problem("a" * MAX_SERVICE_ACCOUNT_BYTES) == ""
    assert service_account_problem("ä" * (MAX_SERVICE_ACCOUNT_BYTES // 2)) == ""
    assert service_account_problem("ä" * (MAX_SERVICE_ACCOUNT_BYTES // 2) + "a") != ""


@pytest.mark.parametrize("path", ["/a b", "/a?b", "/", "", "*", "/a*", "//a//"])
def test_plain_paths_have_no_form(path: str) -> None:
    assert template_problem(path) == ""


@pytest.mark.parametrize(
    ("limit", "text", "problem"),
    [
        (512, "rules: [{rule}]", "spec.rules: 513 entries; at most 512"),
        (
            512,
            "rules: [{{from: [{source}]}}]",
            "spec.rules[0].from: 513 entries; at most 512",
        ),
    ],
)
def test_rules_and_sources_are_limited(limit: int, text: str, problem: str) -> None:
    for count, wrong in ((limit, False), (limit + 1, True)):
        spec = text.format(
            rule=", ".join(["{}"] * count),
            source=", ".join(["{source: {ipBlocks: [10.0.0.1]}}"] * count),
        )
        document = f"metadata: {{name: a, namespace: foo}}\nspec: {{{spec}}}"
        _, problems = read_one(document)
        assert [found.partition(": ")[2] for found in problems] == ([problem] if wrong else [])


def test_labels_are_limited() -> None:
    labels = ", ".join(f"l{number}: a" for number in range(4097))
    text = (
        f"metadata: {{name: a, namespace: foo}}\nspec: {{selector: {{matchLabels: {{{labels}}}}}}}"
    )
    _, problems = read_one(text)
    assert problems == ["a.yaml:2:19: spec.selector.matchLabels: 4097 labels; at most 4096"]


def test_a_document_becomes_nouns() -> None:
    policy, problems = read_one("""
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a, namespace: foo, annotations: {istio.io/dry-run: "true"}}
spec:
  action: DENY
  selector: {matchLabels: {app: web}}
  rules:
  - from: [{source: {notPrincipals: ["*"], namespaces: [a, b]}}]
    to: [{operation: {ports: ["80"], notPorts: ["81"]}}]
    when: [{key: "request.headers[a]", values: [b]}]
""")
    assert problems == []
    assert policy.full_name == "foo/a"
    assert policy.action is Action.DENY
    assert policy.dry_run
    assert policy.provider == ""
    assert policy.attachment.selector == {"app": "web"}
    assert not policy.attachment.has_target_refs
    assert policy.rules == (
        Rule(
            sources=(
                (
                    Condition("principals", (), ("*",), HERE),
                    Condition("namespaces", ("a", "b"), (), HERE),
                ),
            ),
            operations=((Condition("ports", ("80",), ("81",), HERE),),),
            when=(Condition("request.headers[a]", ("b",), (), HERE),),
        ),
    )
    assert [one.place.line for one in policy.rules[0].conditions()] == [9, 9, 10, 11]


def test_a_custom_policy_names_its_provider() -> None:
    policy, problems = read_one("""
metadata: {name: a, namespace: foo}
spec: {action: CUSTOM, provider: {name: tollhouse}, rules: [{}]}
""")
    assert problems == []
    assert policy.provider == "tollhouse"


def test_a_condition_made_by_hand_with_a_key_nobody_has_is_a_fault() -> None:
    rule = Rule((), (), (Condition("request.counts", ("1",), (), HERE),))
    with pytest.raises(ValueError, match=r"unknown key 'request\.counts'"):
        compile_rule(rule, Scope("foo", MESH))


def test_without_documents_a_request_is_not_even_laid_out() -> None:
    policy = compile_policy(PolicyConfiguration(), Workload("foo", {}, "root"), MESH)
    assert policy == Policy(denies=(), allows=None)
    assert policy.decide(REQUEST, None) == Allow()


def test_only_what_governs_the_workload_is_compiled() -> None:
    text = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a, namespace: bar}
spec: {action: DENY, rules: [{}, {}]}
"""
    configuration = read_policies([File("a.yaml", text)])
    of_foo = compile_policy(configuration, Workload("foo", {}, "root"), MESH)
    of_bar = compile_policy(configuration, Workload("bar", {}, "root"), MESH)
    assert (len(of_foo.denies), len(of_bar.denies)) == (0, 2)
