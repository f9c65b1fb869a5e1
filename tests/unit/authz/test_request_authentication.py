"""RequestAuthentication documents that load: every field, and what is taken that looks odd."""

import json

import pytest

from authz.tokens.jwt_rule import ClaimToHeader, HeaderLocation, JwtRule, KeySource
from authz.tokens.request_authentication import (
    MAX_RULES,
    RequestAuthentication,
    read_request_authentication,
)
from serving.documents import read
from serving.problems import Place, Problems
from tests.token_mint import key, key_set

HEAD = """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: shop}
"""


def load(spec: str, *, allow_http: bool = False) -> tuple[RequestAuthentication, list[str]]:
    problems = Problems()
    (document,) = read("a.yaml", HEAD + spec, problems)
    found = read_request_authentication(document, problems, allow_http=allow_http)
    return found, [str(problem) for problem in problems]


def rule(text: str, *, allow_http: bool = False) -> JwtRule:
    """The one rule of a document that must be right."""
    found, problems = load(f"spec:\n  jwtRules:\n  - {text}\n", allow_http=allow_http)
    assert problems == []
    return found.jwt_rules[0]


def test_every_field_is_read() -> None:
    found, problems = load(
        """
spec:
  selector: {matchLabels: {app: cart}}
  jwtRules:
  - issuer: https://id.example
    audiences: [orders, https://carts.example/]
    jwksUri: https://id.example/keys
    fromHeaders: [{name: X-Token}, {name: x-jwt, prefix: "JWT "}]
    fromParams: [token]
    fromCookies: [session]
    outputPayloadToHeader: X-Payload
    outputClaimToHeaders: [{header: X-Sub, claim: sub}, {header: x_role, claim: realm.role}]
    forwardOriginalToken: yes
    timeout: 1s500ms
    spaceDelimitedClaims: [roles]
    presence: OPTIONAL
"""
    )
    assert problems == []
    assert found.attachment.full_name == "shop/tokens"
    assert found.attachment.selector == {"app": "cart"}
    assert found.jwt_rules == (
        JwtRule(
            place=Place("a.yaml", 9, 5, "spec.jwtRules[0]"),
            issuer="https://id.example",
            audiences=("orders", "https://carts.example/"),
            jwks_uri="https://id.example/keys",
            jwks=None,
            from_headers=(HeaderLocation("x-token", ""), HeaderLocation("x-jwt", "JWT ")),
            from_params=("token",),
            from_cookies=("session",),
            output_payload_to_header="x-payload",
            output_claim_to_headers=(
                ClaimToHeader("x-sub", "sub"),
                ClaimToHeader("x_role", "realm.role"),
            ),
            forward_original_token=True,
            timeout_seconds=1.5,
            space_delimited_claims=("roles",),
        ),
    )


@pytest.mark.parametrize("spec", ["", "spec:", "spec: {}", "spec: {jwtRules: []}", "status: {}"])
def test_a_document_without_rules_is_right(spec: str) -> None:
    found, problems = load(spec)
    assert problems == []
    assert found.jwt_rules == ()


def test_defaults_are_istios() -> None:
    found = rule("{issuer: https://id.example}")
    expected = JwtRule(place=found.place, issuer="https://id.example")
    assert found == expected
    assert expected.timeout_seconds == 5
    assert found.source == KeySource("https://id.example", "")


def test_a_null_is_as_if_left_out() -> None:
    found = rule("{issuer: i, jwks: null, audiences: null, fromHeaders: null, timeout: null}")
    assert found == JwtRule(place=found.place, issuer="i")


def test_any_issuer_may_be_taken_if_the_keys_are_named() -> None:
    assert rule("{jwksUri: https://id.example/keys}").source == KeySource(
        "", "https://id.example/keys"
    )


def test_jwks_uri_has_two_names() -> None:
    assert rule("{issuer: i, jwks_uri: https://id.example/keys}").jwks_uri == (
        "https://id.example/keys"
    )


@pytest.mark.parametrize("text", [key_set("rsa", "p256"), json.dumps(key("rsa").jwk)])
def test_inline_keys_are_parsed_and_need_no_source(text: str) -> None:
    found = rule(f"issuer: i\n    jwks: '{text}'")
    assert found.jwks is not None
    assert found.jwks.keys[0].kid == "rsa"
    assert found.source is None


def test_a_weak_inline_key_beside_a_good_one_is_left_out() -> None:
    found = rule(f"issuer: i\n    jwks: '{key_set('rsa1024', 'rsa')}'")
    assert found.jwks is not None
    assert [each.kid for each in found.jwks.keys] == ["rsa"]
    assert len(found.jwks.remarks) == 1


def test_an_empty_inline_set_counts_as_none() -> None:
    assert rule("{issuer: https://id.example, jwks: ''}").source is not None


def test_an_issuer_that_is_no_address_is_taken() -> None:
    """As in Istio; its keys cannot be discovered, so no token of it passes."""
    assert rule("{issuer: example.com}").source == KeySource("example.com", "")


def test_plain_http_may_be_allowed() -> None:
    assert rule("{issuer: http://id.example}", allow_http=True).issuer == "http://id.example"
    assert rule("{jwksUri: http://keycloak.idp:8080/certs}", allow_http=True).jwks_uri


@pytest.mark.parametrize(
    ("text", "seconds"), [("1m", 60), ("100ms", 0.1), ("1ms", 0.001), ("1h2m", 3720), ("0.5s", 0.5)]
)
def test_timeouts(text: str, seconds: float) -> None:
    assert rule(f"{{issuer: i, timeout: {text}}}").timeout_seconds == pytest.approx(seconds)


def test_an_empty_payload_header_is_none() -> None:
    assert rule("{issuer: i, outputPayloadToHeader: ''}").output_payload_to_header == ""


def test_limits_of_istios_schema() -> None:
    rules = ", ".join(["{issuer: i}"] * (MAX_RULES + 1))
    assert load(f"spec: {{jwtRules: [{rules}]}}")[1] == [
        "a.yaml:5:8: spec.jwtRules: 4097 rules; at most 4096"
    ]
    address = "https://id.example/" + "a" * 2030
    assert load(f"spec: {{jwtRules: [{{jwksUri: '{address}'}}]}}")[1] == [
        "a.yaml:5:20: spec.jwtRules[0].jwksUri: 2049 characters; at most 2048"
    ]
    claims = ", ".join(f"c{number}" for number in range(65))
    assert load(f"spec: {{jwtRules: [{{issuer: i, spaceDelimitedClaims: [{claims}]}}]}}")[1] == [
        "a.yaml:5:31: spec.jwtRules[0].spaceDelimitedClaims: 65 claims; at most 64"
    ]


def test_a_source_is_shown_without_its_password() -> None:
    assert KeySource("i", "https://u:p@id.example/keys").shown == "https://id.example/keys"
    assert KeySource("https://u:p@id.example", "").shown == "discovery at https://id.example"
    assert KeySource("https://[id", "").shown == "discovery at an address that is none"
