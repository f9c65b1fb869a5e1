"""CheckRequest → Request, Allow | Deny → CheckResponse."""

import json
from typing import Any

import pytest

from authz.codec import MESSAGES, Wire, decode, encode
from authz.request import Allow, Deny, Reason, Request
from protos.config_core_v3_pb2 import HeaderValue, HeaderValueOption
from protos.service_auth_v3_pb2 import AttributeContext, CheckRequest, CheckResponse

DIRECT = Wire(xff_trusted_hops=0)
OVERWRITE = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD


def check_request(
    lines: list[tuple[str, bytes]] | None = None, headers: dict[str, str] | None = None, **http: Any
) -> CheckRequest:
    """A request as Envoy sends it: `lines` with encode_raw_headers, else `headers`."""
    request = CheckRequest()
    attributes = request.attributes
    attributes.source.address.socket_address.address = "10.0.0.1"
    attributes.source.principal = "spiffe://cluster.local/ns/web/sa/front"
    attributes.destination.address.socket_address.address = "10.0.0.2"
    attributes.destination.address.socket_address.port_value = 8080
    attributes.tls_session.sni = "outbound_.80_._.shop"
    message = AttributeContext.HttpRequest(
        **{"method": "GET", "path": "/a?b=c", "host": "shop:80", **http}
    )
    if lines is not None:
        message.header_map.headers.extend(HeaderValue(key=k, raw_value=v) for k, v in lines)
    message.headers.update(headers or {})
    attributes.request.http.CopyFrom(message)
    return request


def decoded(request: CheckRequest, wire: Wire = DIRECT) -> Request:
    result = decode(request.SerializeToString(), wire)
    assert isinstance(result, Request)
    return result


def test_every_attribute_arrives() -> None:
    assert decoded(check_request([(":path", b"/a?b=c"), ("x-a", b"1")])) == Request(
        method="GET",
        host="shop:80",
        path="/a?b=c",
        headers={":path": ("/a?b=c",), "x-a": ("1",)},
        source_ip="10.0.0.1",
        remote_ip="10.0.0.1",
        destination_ip="10.0.0.2",
        destination_port=8080,
        principal="spiffe://cluster.local/ns/web/sa/front",
        sni="outbound_.80_._.shop",
    )


def test_repeated_header_lines_stay_apart_and_names_are_lower_case() -> None:
    request = decoded(check_request([("X-Role", b"a,b"), ("x-role", b"c")]))
    assert request.headers == {"x-role": ("a,b", "c")}


def test_bytes_that_are_no_utf8_stay_distinguishable() -> None:
    request = decoded(check_request([("x-a", b"\xff"), ("x-b", "é".encode())]))
    assert request.headers == {"x-a": ("\udcff",), "x-b": ("é",)}


def test_the_plain_map_serves_where_header_map_is_absent() -> None:
    request = decoded(check_request(headers={"x-role": "a,b"}))
    assert request.headers == {"x-role": ("a,b",)}


def test_an_empty_header_map_is_no_headers() -> None:
    assert decoded(check_request([])).headers == {}


@pytest.mark.parametrize(
    ("forwarded", "hops", "remote"),
    [
        (b"203.0.113.9", 0, "203.0.113.9"),
        (b"198.51.100.7, 203.0.113.9", 0, "203.0.113.9"),
        (b"198.51.100.7, 203.0.113.9", 1, "198.51.100.7"),
        (b"198.51.100.7,203.0.113.9", 2, "10.0.0.1"),
        (b"2001:db8::1", 0, "2001:db8::1"),
        (b"unknown", 0, "10.0.0.1"),
        (b"198.51.100.7,", 0, "10.0.0.1"),
    ],
)
def test_remote_ip_is_the_entry_behind_the_trusted_hops(
    forwarded: bytes, hops: int, remote: str
) -> None:
    request = check_request([("x-forwarded-for", forwarded)])
    assert decoded(request, Wire(xff_trusted_hops=hops)).remote_ip == remote


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("", "/"),
        ("GET", ""),
        ("GET", "admin"),
        ("GET", "*"),
        ("OPTIONS", "x"),
        ("POST", "http://a"),
    ],
)
def test_what_no_path_rule_could_judge_is_refused(method: str, path: str) -> None:
    body = check_request(method=method, path=path).SerializeToString()
    assert decode(body, DIRECT) == Deny(400, Reason.BAD_REQUEST)


@pytest.mark.parametrize(("method", "path"), [("OPTIONS", "*"), ("CONNECT", ""), ("PUT", "/")])
def test_the_forms_of_a_request_target_that_exist_are_judged(method: str, path: str) -> None:
    assert decoded(check_request(method=method, path=path)).path == path


@pytest.mark.parametrize("body", [b"", b"\xff\xff", b"\x0a\x00"])
def test_no_http_request_is_refused(body: bytes) -> None:
    assert decode(body, DIRECT) == Deny(400, Reason.BAD_REQUEST)


def test_allow_overwrites_headers_in_both_ways_of_saying_so() -> None:
    allow = Allow((("x-tenant", "blue"),), ("authorization",), ("access_token",), "shop/callers")
    response = CheckResponse.FromString(encode(allow))
    assert response.HasField("status")
    assert response.status.code == 0
    [option] = response.ok_response.headers
    assert (option.header.key, option.header.value) == ("x-tenant", "blue")
    assert option.HasField("append")
    assert not option.append.value
    assert option.append_action == OVERWRITE
    assert list(response.ok_response.headers_to_remove) == ["authorization"]
    assert list(response.ok_response.query_parameters_to_remove) == ["access_token"]
    assert "shop/callers" not in str(response)


@pytest.mark.parametrize(
    ("status", "code"), [(400, 3), (401, 16), (403, 7), (500, 13), (503, 14), (418, 7)]
)
def test_deny_carries_status_reason_and_json_body(status: int, code: int) -> None:
    deny = Deny(status, Reason.DENIED_BY_POLICY, "shop/secret-name", "")
    response = CheckResponse.FromString(encode(deny))
    assert response.status.code == code
    denied = response.denied_response
    assert denied.status.code == status
    assert json.loads(denied.body) == {
        "status": status,
        "reason": "denied_by_policy",
        "message": "a policy denies this",
    }
    assert [(o.header.key, o.header.value) for o in denied.headers] == [
        ("content-type", "application/json")
    ]
    assert "secret-name" not in str(response)


def test_the_challenge_is_a_header() -> None:
    deny = Deny(401, Reason.INVALID_TOKEN, challenge='Bearer realm="a"')
    headers = CheckResponse.FromString(encode(deny)).denied_response.headers
    assert ("www-authenticate", 'Bearer realm="a"') in [
        (o.header.key, o.header.value) for o in headers
    ]


def test_every_reason_has_its_text() -> None:
    assert MESSAGES.keys() == set(Reason)
