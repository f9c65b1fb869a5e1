"""CheckRequest and CheckResponse ↔ the nouns of `request`; no other room sees protobuf."""

import ipaddress
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from google.protobuf.message import DecodeError

from authz.request import Allow, Deny, Reason, Request, Verdict
from protos.config_core_v3_pb2 import HeaderValue, HeaderValueOption
from protos.service_auth_v3_pb2 import AttributeContext, CheckRequest, CheckResponse
from protos.type_v3_pb2 import HttpStatus

STATUS_CODES = {400: 3, 401: 16, 403: 7, 500: 13, 503: 14}
"""HTTP status of a refusal → google.rpc code. Envoy reads only whether it is 0."""

MESSAGES = {
    Reason.MISSING_TOKEN: "this needs a token",
    Reason.INVALID_TOKEN: "the token is not valid",
    Reason.EXPIRED_TOKEN: "the token has expired",
    Reason.UNKNOWN_ISSUER: "the token's issuer is not known here",
    Reason.WRONG_AUDIENCE: "the token is for another audience",
    Reason.KEYS_UNAVAILABLE: "the keys of the token's issuer cannot be had now",
    Reason.DENIED_BY_POLICY: "a policy denies this",
    Reason.NO_POLICY_ALLOWS: "no policy allows this",
    Reason.BAD_REQUEST: "the request cannot be judged",
    Reason.NOT_READY: "the authorization service is starting",
    Reason.INTERNAL: "the authorization service failed",
}
"""Constant texts: nothing of the request, the token or the policy reaches the client."""


class Wire(NamedTuple):
    """How the proxy in front fills a CheckRequest."""

    xff_trusted_hops: int
    """Proxies before this one whose X-Forwarded-For entries are believed."""


def decode(body: bytes, wire: Wire) -> Request | Deny:
    """A CheckRequest that cannot be judged is refused: to pass it on would be failing open."""
    try:
        attributes = CheckRequest.FromString(body).attributes
    except DecodeError:
        return Deny(400, Reason.BAD_REQUEST)
    http = attributes.request.http
    if not _is_judgeable(http):
        return Deny(400, Reason.BAD_REQUEST)
    headers = _headers(http)
    destination = attributes.destination.address.socket_address
    source_ip = attributes.source.address.socket_address.address
    return Request(
        method=http.method,
        host=http.host,
        path=http.path,
        headers=headers,
        source_ip=source_ip,
        remote_ip=_remote_ip(headers.get("x-forwarded-for", ()), wire, source_ip),
        destination_ip=destination.address,
        destination_port=destination.port_value,
        principal=attributes.source.principal,
        sni=attributes.tls_session.sni,
    )


def _is_judgeable(http: AttributeContext.HttpRequest) -> bool:
    """Only CONNECT has no path, and only OPTIONS may ask for `*`: a path rule must not miss one."""
    if not http.method:
        return False
    if not http.path.startswith("/"):
        return http.path == "*" if http.method == "OPTIONS" else http.method == "CONNECT"
    return True


def _headers(http: AttributeContext.HttpRequest) -> Mapping[str, tuple[str, ...]]:
    """
    Each value by itself when the filter has `encode_raw_headers`.

    The plain map joins repeated headers with a comma, so that a DENY on an exact value could be
    evaded by sending the header twice: the wirings in deploy/ never use it.
    """
    if not http.HasField("header_map"):
        return {name.lower(): (value,) for name, value in http.headers.items()}
    headers: dict[str, tuple[str, ...]] = {}
    for header in http.header_map.headers:
        name = header.key.lower()
        # Bytes that are no UTF-8 stay distinguishable and match no policy text.
        value = header.raw_value.decode("utf-8", "surrogateescape") or header.value
        headers[name] = (*headers.get(name, ()), value)
    return headers


def _remote_ip(forwarded: Iterable[str], wire: Wire, source_ip: str) -> str:
    """The client's address as Envoy finds it: the (hops + 1)-th entry from the right."""
    entries = ",".join(forwarded).split(",")
    if len(entries) <= wire.xff_trusted_hops:
        return source_ip
    entry = entries[-1 - wire.xff_trusted_hops].strip()
    return entry if _is_address(entry) else source_ip


@lru_cache(maxsize=4096)
def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1024)
def encode(verdict: Verdict) -> bytes:
    """The CheckResponse; most verdicts recur, so their bytes are remembered."""
    if isinstance(verdict, Allow):
        response = CheckResponse()
        response.status.code = 0
        response.ok_response.headers.extend(_options(verdict.set_headers))
        response.ok_response.headers_to_remove.extend(verdict.remove_headers)
        response.ok_response.query_parameters_to_remove.extend(verdict.remove_params)
        return response.SerializeToString()
    return _denied(verdict).SerializeToString()


def _denied(deny: Deny) -> CheckResponse:
    reason, message = deny.reason.value, MESSAGES[deny.reason]
    headers = [("content-type", "application/json")]
    if deny.challenge:
        headers.append(("www-authenticate", deny.challenge))
    response = CheckResponse()
    response.status.code = STATUS_CODES.get(deny.status, STATUS_CODES[403])
    response.status.message = reason
    response.denied_response.status.CopyFrom(HttpStatus(code=deny.status))  # type: ignore[arg-type] # an open enum
    response.denied_response.headers.extend(_options(headers))
    response.denied_response.body = json.dumps(
        {"status": deny.status, "reason": reason, "message": message}
    )
    return response


def _options(headers: Iterable[tuple[str, str]]) -> list[HeaderValueOption]:
    """Overwrite, said in both ways: Envoy releases disagree on which of the two counts."""
    options = []
    for name, value in headers:
        option = HeaderValueOption(
            header=HeaderValue(key=name, value=value),
            append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
        )
        option.append.value = False
        options.append(option)
    return options
