"""
Policies for all inputs: the compiled form against a slow and obvious reading of the document.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.attachment import Workload
from authz.policies.addresses import compile_blocks, read_block
from authz.policies.path_template import compile_templates, template_problem
from authz.policies.policy import Policy, TrustDomains, compile_policy
from authz.policy_file import read_policies
from authz.request import Allow, JwtIdentity, Request, Verdict
from serving.reload import File
from tests.properties.policy_model import MODEL, Document, Question, allowed, fits

# --- what is asked ------------------------------------------------------------------------------

WORDS = st.sampled_from(["a", "b", "ab", "ba", "a/b", "*", "a*", "*a", "*b", "b*", "*/a", "a/*"])
NAMES = st.sampled_from(["a", "b", "ab", "a.b"])
BLOCKS = st.sampled_from(["10.0.0.1", "10.0.0.0/8", "10.1.2.3/31", "::1", "::/0", "10.0.0.0/0"])
PATHS = st.sampled_from(
    ["/a", "/a/*", "*/b", "*", "/a*", "/{*}", "/a/{*}", "/{**}", "/{*}/{**}", "/{**}/b", "/a/{*}/"]
)
IDENTITIES = st.sampled_from(
    ["td/ns/a/sa/b", "td/ns/a/sa/*", "td/ns/a/*", "*/sa/b", "*/ns/a/sa/b", "*", "td*", "x"]
)
VALUES: Mapping[str, st.SearchStrategy[str]] = {
    "principals": IDENTITIES,
    "source.principal": IDENTITIES,
    "namespaces": st.sampled_from(["a", "b", "*", "a*", "*b", "a*b"]),
    "serviceAccounts": st.sampled_from(["a/b", "b", "a/a", "foo/b"]),
    "trustDomains": st.sampled_from(["td", "t*", "*d", "*", "x"]),
    "ipBlocks": BLOCKS,
    "remoteIpBlocks": BLOCKS,
    "destination.ip": BLOCKS,
    "hosts": st.sampled_from(["a", "A", "a:*", "*.A", "*", "a.a"]),
    "ports": st.sampled_from(["80", "443", "08080"]),
    "methods": st.sampled_from(["GET", "P*", "*T", "*"]),
    "paths": PATHS,
}
SOURCES = ["principals", "namespaces", "trustDomains", "ipBlocks", "remoteIpBlocks"]
SOURCES += ["requestPrincipals"]
OPERATIONS = ["hosts", "ports", "methods", "paths"]
KEYS = [key for key in MODEL if key not in [*SOURCES, *OPERATIONS, "serviceAccounts"]]


def lists(key: str) -> st.SearchStrategy[list[str]]:
    return st.lists(VALUES.get(key, WORDS), min_size=1, max_size=3)


@st.composite
def alternatives(draw: st.DrawFn, names: list[str]) -> dict[str, list[str]]:
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    fields = {}
    for name in chosen:
        twin = draw(st.booleans())
        fields[f"not{name[0].upper()}{name[1:]}" if twin else name] = draw(lists(name))
    return fields


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    key = draw(st.sampled_from(KEYS))
    parts = draw(st.sampled_from([("values",), ("notValues",), ("values", "notValues")]))
    return {"key": key, **{part: draw(lists(key)) for part in parts}}


ACCOUNTS = st.fixed_dictionaries({"serviceAccounts": lists("serviceAccounts")})


@st.composite
def rules(draw: st.DrawFn) -> Document:
    rule: dict[str, Any] = {}
    if draw(st.booleans()):
        sources = st.one_of(alternatives(SOURCES), ACCOUNTS)
        rule["from"] = [{"source": one} for one in draw(st.lists(sources, max_size=2))]
    if draw(st.booleans()):
        operations = st.lists(alternatives(OPERATIONS), max_size=2)
        rule["to"] = [{"operation": one} for one in draw(operations)]
    rule["when"] = draw(st.lists(conditions(), max_size=2))
    return rule


@st.composite
def documents(draw: st.DrawFn, *, actions: tuple[str, ...] = ("ALLOW", "DENY")) -> Document:
    action = draw(st.sampled_from(actions))
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {
            "name": draw(st.uuids()).hex,
            "namespace": "foo",
            "annotations": {"istio.io/dry-run": draw(st.sampled_from(["false", "false", "true"]))},
        },
        "spec": {"action": action, "rules": draw(st.lists(rules(), min_size=1, max_size=3))},
    }


ADDRESSES = st.sampled_from(["", "10.0.0.1", "10.1.2.2", "11.0.0.1", "::1", "2001:db8::1"])
CLAIMS = st.recursive(
    st.sampled_from(["", "a", "b", "ab", "a/b", 1, True, None]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    host = draw(st.sampled_from(["a", "A", "a:80", "a.a", ""]))
    request = Request(
        method=draw(st.sampled_from(["GET", "PUT", "POST"])),
        host=host,
        path=draw(st.sampled_from(["/a", "/a/b", "/a/b?c", "/", "/b", "/a//b", "/a/b/", "/x#/a"])),
        headers={
            ":authority": (host,),
            **draw(
                st.dictionaries(
                    st.just("x-a"),
                    st.lists(
                        st.sampled_from(["", "a", "b", "ab", "a,b"]), min_size=1, max_size=2
                    ).map(tuple),
                )
            ),
        },
        source_ip=draw(ADDRESSES),
        remote_ip=draw(ADDRESSES),
        destination_ip=draw(ADDRESSES),
        destination_port=draw(st.sampled_from([80, 443, 8080])),
        principal=draw(
            st.sampled_from(
                [
                    "",
                    "spiffe://td/ns/a/sa/b",
                    "spiffe://td/ns/b/sa/b",
                    "spiffe://x/ns/a/sa/a",
                    "spiffe://x/ns/foo/sa/b",
                    "x",
                ]
            )
        ),
        sni=draw(st.sampled_from(["", "a", "ab"])),
    )
    claims = draw(st.none() | st.dictionaries(st.sampled_from(["iss", "sub", "aud", "a"]), CLAIMS))
    return request, None if claims is None else JwtIdentity("", "", claims, "")


def compiled(found: list[Document]) -> Policy:
    return compile_policy(
        read_policies([File("policies.yaml", yaml.safe_dump_all(found))]),
        Workload("foo", {}, "root"),
        TrustDomains("cluster.local", ()),
    )


def lets_pass(verdict: Verdict) -> bool:
    return isinstance(verdict, Allow)


# --- the properties -----------------------------------------------------------------------------


@settings(deadline=None, max_examples=200)
@given(st.lists(documents(), max_size=3), st.lists(questions(), min_size=1, max_size=5))
def test_the_compiled_form_says_what_the_document_says(
    found: list[Document], asked: list[Question]
) -> None:
    policy = compiled(found)
    for question in asked:
        assert lets_pass(policy.decide(*question)) == allowed(found, question)


@settings(deadline=None)
@given(st.lists(documents(), max_size=3), documents(actions=("DENY",)), questions())
def test_adding_a_deny_never_allows_more(
    found: list[Document], another: Document, question: Question
) -> None:
    before, after = (compiled(some).decide(*question) for some in (found, [*found, another]))
    assert lets_pass(before) or not lets_pass(after)


@settings(deadline=None)
@given(st.lists(documents(), min_size=1, max_size=3), questions(), st.randoms())
def test_the_order_of_documents_does_not_matter(
    found: list[Document], question: Question, random: Any
) -> None:
    shuffled = random.sample(found, len(found))
    assert compiled(shuffled).decide(*question) == compiled(found).decide(*question)


@settings(deadline=None)
@given(st.lists(documents(), max_size=2), documents(), questions())
def test_a_dry_run_changes_nothing(
    found: list[Document], another: Document, question: Question
) -> None:
    dry = {**another, "metadata": {**another["metadata"], "annotations": {"istio.io/dry-run": "1"}}}
    assert compiled([*found, dry]).decide(*question) == compiled(found).decide(*question)


@settings(deadline=None)
@given(st.sampled_from([*SOURCES, "serviceAccounts", *OPERATIONS]), st.data(), questions())
def test_a_not_field_is_the_negation_of_the_field(
    name: str, data: st.DataObject, question: Question
) -> None:
    values = data.draw(lists(name))
    part, inner = ("to", "operation") if name in OPERATIONS else ("from", "source")
    plain, twin = (
        compiled([a_deny({part: [{inner: {field: values}}]})])
        for field in (name, f"not{name[0].upper()}{name[1:]}")
    )
    assert lets_pass(plain.decide(*question)) != lets_pass(twin.decide(*question))


@settings(deadline=None)
@given(st.sampled_from(KEYS), st.data(), questions())
def test_not_values_is_the_negation_of_values(
    key: str, data: st.DataObject, question: Question
) -> None:
    values = data.draw(lists(key))
    plain, twin = (
        compiled([a_deny({"when": [{"key": key, side: values}]})])
        for side in ("values", "notValues")
    )
    assert lets_pass(plain.decide(*question)) != lets_pass(twin.decide(*question))


def a_deny(rule: Document) -> Document:
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "p", "namespace": "foo"},
        "spec": {"action": "DENY", "rules": [rule]},
    }


V4, V6 = st.ip_addresses(v=4), st.ip_addresses(v=6)
NETWORKS = st.one_of(
    st.tuples(V4, st.integers(0, 32)),
    st.tuples(V6, st.integers(0, 128)),
)


@given(st.lists(NETWORKS, max_size=4), V4 | V6)
def test_blocks_hold_the_addresses_that_ipaddress_says(
    networks: list[tuple[Any, int]], one: Any
) -> None:
    blocks = [read_block(f"{base}/{length}") for base, length in networks]
    contains = compile_blocks(block for block in blocks if block)
    # Not only what is far away: an address next to the first network, too.
    near = (
        [networks[0][0] + step for step in (0, 1) if int(networks[0][0]) < 2**32 - 2]
        if (networks)
        else []
    )
    for asked in (one, *near):
        expected = any(
            asked.version == base.version
            and asked in ipaddress.ip_network(f"{base}/{length}", strict=False)
            for base, length in networks
        )
        assert contains(str(asked)) == expected


SEGMENTS = st.sampled_from(["a", "b", "ab", "{*}", "{**}", ""])


@given(
    st.lists(SEGMENTS, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts)),
    st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=5).map(lambda p: "/" + "/".join(p)),
)
def test_templates_fit_as_cutting_the_path_up_in_every_way_says(template: str, plain: str) -> None:
    if ("{*}" in template or "{**}" in template) and not template_problem(template):
        assert compile_templates([template])(plain) == fits(template, plain)


TRUST = st.sampled_from(["td", "old", "cluster.local", "x"])


@given(TRUST, st.lists(TRUST, max_size=2), TRUST, NAMES)
def test_a_principal_of_the_mesh_stands_for_every_trust_domain_once(
    own: str, aliases: list[str], named: str, account: str
) -> None:
    mesh = TrustDomains(own, tuple(aliases))
    expanded = mesh.expand_principals([f"{named}/ns/a/sa/{account}"])
    ours = named in mesh.names or named == "cluster.local"
    wanted = {f"{name}/ns/a/sa/{account}" for name in (mesh.names if ours else [named])}
    assert set(expanded) == wanted
    assert len(expanded) == len(wanted)
