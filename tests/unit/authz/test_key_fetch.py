"""Fetching a key set from a real server on loopback: bounds, redirects, discovery."""

import asyncio
import json
import socket
from typing import Any

import pytest

from authz.keys.key_fetch import MAX_BYTES, MAX_REDIRECTS, FetchError, KeyFetcher
from authz.tokens.jwt_rule import KeySource
from tests.token_mint import key_set
from tests.unit.authz.conftest import DISCOVERY, KEYS, Answer, Issuer

FETCHER = KeyFetcher(allow_http=True)


def keys_of(issuer: Issuer) -> KeySource:
    return KeySource("https://id.example", issuer.keys_url)


async def failure(source: KeySource, fetcher: KeyFetcher = FETCHER, seconds: float = 5) -> str:
    with pytest.raises(FetchError) as caught:
        await fetcher.fetch(source, seconds)
    return str(caught.value)


async def test_a_key_set_is_fetched(issuer: Issuer) -> None:
    keys = await FETCHER.fetch(keys_of(issuer), 5)
    assert [key.kid for key in keys.keys] == ["rsa"]
    assert issuer.asked == [KEYS]


async def test_nothing_of_the_process_goes_along(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No proxy of the environment, no cookies; an answer that is not compressed is asked for."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    issuer.answers[KEYS].headers["Set-Cookie"] = "a=b"
    for _ in range(2):
        await FETCHER.fetch(keys_of(issuer), 5)
    assert [headers.get("accept-encoding") for headers in issuer.headers] == ["identity"] * 2
    assert not any("cookie" in headers for headers in issuer.headers)


@pytest.mark.parametrize("status", [204, 400, 401, 404, 500, 503])
async def test_any_other_status_is_a_failure(issuer: Issuer, status: int) -> None:
    issuer.answers[KEYS] = Answer(b"", status)
    assert await failure(keys_of(issuer)) == f"HTTP status {status}"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not one JSON object with 'keys'"),
        (b"<html>no</html>", "not one JSON object with 'keys'"),
        (b"[" * 100_000, "not one JSON object with 'keys'"),
        (b'{"keys": 5}', "'keys' is not a list"),
    ],
)
async def test_what_is_no_key_set_is_a_failure(issuer: Issuer, body: bytes, reason: str) -> None:
    issuer.answers[KEYS] = Answer(body)
    assert await failure(keys_of(issuer)) == reason


async def test_a_body_may_be_so_long_and_no_longer(issuer: Issuer) -> None:
    text = key_set("rsa").encode()
    issuer.answers[KEYS] = Answer(text + b" " * (MAX_BYTES - len(text)))
    assert (await FETCHER.fetch(keys_of(issuer), 5)).keys
    issuer.answers[KEYS].body += b" "
    assert await failure(keys_of(issuer)) == f"more than {MAX_BYTES} bytes"


async def test_an_endless_body_ends_at_the_bound(raw_server: Any) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" " * 65_536)
            await writer.drain()

    url = await raw_server(endless)
    assert await failure(KeySource("", f"{url}/keys")) == f"more than {MAX_BYTES} bytes"


async def test_an_answer_that_is_compressed_all_the_same_is_none(raw_server: Any) -> None:
    """A bomb of zeros is never blown up: the body is taken as it is."""

    async def compressed(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n"
        writer.write(head + b"\x1f\x8b\x08\x00")
        await writer.drain()

    url = await raw_server(compressed)
    assert await failure(KeySource("", f"{url}/keys")) == "not one JSON object with 'keys'"


async def test_what_is_no_http_is_a_failure(raw_server: Any) -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\x01\r\n\r\n" * 10)
        await writer.drain()

    url = await raw_server(babble)
    reason = await failure(KeySource("", f"{url}/keys"))
    assert reason
    assert reason.isprintable()
    assert len(reason) <= 200


async def test_a_fetch_ends_with_its_time(issuer: Issuer) -> None:
    issuer.open.clear()
    assert await failure(keys_of(issuer), seconds=0.05) == "no answer within 0.05 s"


async def test_a_refused_connection_is_a_failure_with_its_cause() -> None:
    with socket.socket() as bound:  # bound, and nobody listens
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/keys"
        assert "Connect call failed" in await failure(KeySource("", url))


async def test_a_name_that_is_none_is_a_failure() -> None:
    assert await failure(KeySource("", "https://" + "a" * 300 + ".invalid/"))


async def test_redirects_are_followed_a_few_times(issuer: Issuer) -> None:
    issuer.answers["/moved"] = Answer(status=302, headers={"Location": "keys"})
    source = KeySource("", issuer.url + "/moved")
    assert (await FETCHER.fetch(source, 5)).keys
    assert issuer.asked == ["/moved", KEYS]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_loop_of_redirects_ends(issuer: Issuer, status: int) -> None:
    issuer.answers[KEYS] = Answer(status=status, headers={"Location": issuer.keys_url})
    assert await failure(keys_of(issuer)) == f"more than {MAX_REDIRECTS} redirects"
    assert issuer.asked == [KEYS] * (MAX_REDIRECTS + 1)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("ftp://id.example/keys", "not an https address: ftp://id.example/keys"),
        ("file:///etc/passwd", "not an https address"),
        ("http://u:secret@id.example:0/", "not an https address: http://id.example:0/"),
        ("http://169.254.169.254/latest", "169.254.169.254 is a link-local or metadata address"),
    ],
)
async def test_a_redirect_leads_to_web_addresses_only(
    issuer: Issuer, location: str, reason: str
) -> None:
    issuer.answers[KEYS] = Answer(status=302, headers={"Location": location})
    found = await failure(keys_of(issuer))
    assert reason in found
    assert "secret" not in found


async def test_a_redirect_without_an_address_leads_nowhere(issuer: Issuer) -> None:
    issuer.answers[KEYS] = Answer(status=302)
    assert await failure(keys_of(issuer)) == f"more than {MAX_REDIRECTS} redirects"


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/keys",
        "http://[fe80::1]/keys",
        "http://[::ffff:169.254.169.254]/keys",
        "http://100.100.100.200/keys",
        "http://[fd00:ec2::254]/keys",
    ],
)
async def test_no_connection_is_made_to_metadata_addresses(address: str) -> None:
    assert "is a link-local or metadata address" in await failure(KeySource("", address))


async def test_plain_http_is_refused_unless_allowed(issuer: Issuer) -> None:
    strict = KeyFetcher()
    assert await failure(keys_of(issuer), strict) == f"plain http: {issuer.keys_url}"
    assert await failure(KeySource(issuer.url, ""), strict) == (
        f"plain http: {issuer.url}{DISCOVERY}"
    )
    assert issuer.asked == []


async def test_https_is_believed_only_from_whom_we_trust(tls_issuer: Any) -> None:
    served, trusting = tls_issuer
    source = KeySource("", served.keys_url)
    assert (await KeyFetcher(tls=trusting).fetch(source, 5)).keys
    assert "certificate verify failed" in await failure(source, KeyFetcher())


async def test_a_redirect_from_https_to_http_is_refused(tls_issuer: Any, issuer: Issuer) -> None:
    served, trusting = tls_issuer
    served.answers[KEYS] = Answer(status=302, headers={"Location": issuer.keys_url})
    source = KeySource("", served.keys_url)
    assert await failure(source, KeyFetcher(tls=trusting)) == f"plain http: {issuer.keys_url}"
    assert issuer.asked == []


async def test_keys_are_discovered(issuer: Issuer) -> None:
    issuer.serve_discovery()
    assert (await FETCHER.fetch(KeySource(issuer.url, ""), 5)).keys
    assert issuer.asked == [DISCOVERY, KEYS]


async def test_an_issuer_may_end_in_a_slash(issuer: Issuer) -> None:
    """The slash is left out of the address, not out of the name (Discovery section 4.1)."""
    issuer.serve_discovery(issuer=issuer.url + "/")
    assert (await FETCHER.fetch(KeySource(issuer.url + "/", ""), 5)).keys
    assert await failure(KeySource(issuer.url, "")) == "the discovery document is another issuer's"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"issuer": "https://evil.example"}, "the discovery document is another issuer's"),
        ({"issuer": None}, "the discovery document is another issuer's"),
        ({"jwks_uri": None}, "the discovery document has no jwks_uri"),
        ({"jwks_uri": ["https://id.example"]}, "the discovery document has no jwks_uri"),
        ({"jwks_uri": "file:///etc/passwd"}, "not an https address: file:///etc/passwd"),
        ({"jwks_uri": "/keys"}, "not an https address: /keys"),
        ({"jwks_uri": "http://169.254.169.254/"}, "169.254.169.254 is a link-local"),
    ],
)
async def test_a_discovery_document_must_be_the_issuers(
    issuer: Issuer, members: dict[str, Any], reason: str
) -> None:
    issuer.serve_discovery(**members)
    assert reason in await failure(KeySource(issuer.url, ""))
    assert issuer.asked == [DISCOVERY]


async def test_a_discovery_document_is_one_json_object(issuer: Issuer) -> None:
    issuer.answers[DISCOVERY] = Answer(json.dumps([]).encode())
    assert await failure(KeySource(issuer.url, "")) == (
        "the discovery document is not one JSON object"
    )


async def test_discovered_keys_come_over_https_too(tls_issuer: Any, issuer: Issuer) -> None:
    served, trusting = tls_issuer
    served.serve_discovery(jwks_uri=issuer.keys_url)
    found = await failure(KeySource(served.url, ""), KeyFetcher(tls=trusting))
    assert found == f"plain http: {issuer.keys_url}"


@pytest.mark.parametrize("issuer_name", ["example.com", "testing@id.example", "https://[x"])
async def test_an_issuer_that_is_no_address_has_no_discovery(issuer_name: str) -> None:
    assert "not an https address" in await failure(KeySource(issuer_name, ""))
