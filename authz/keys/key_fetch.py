"""
Fetch a key set over the network: one answer within bounds, or one reason why not.

What is fetched decides who may mint tokens, so: https unless plain http was asked for, on every
hop; a few redirects; a bounded body, not decompressed; one deadline over all of it. The addresses
come from configuration and from the issuer's own discovery document, yet no connection is made to
link-local or cloud metadata addresses, whatever a name resolves to (Istio's resolver refuses the
same). Proxies of the environment, cookies and .netrc are not used.
"""

import asyncio
import errno
import socket
import ssl
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

import aiohttp
from yarl import URL

from authz.keys.jwk import Unusable
from authz.keys.jwks import KeySet, read_fetched_key_set
from authz.keys.web_address import is_plain_http, is_web_address, without_password
from authz.tokens.jwt_rule import KeySource
from authz.tokens.strict_json import read_object

MAX_BYTES = 512 * 1024
MAX_REDIRECTS = 3
DISCOVERY = "/.well-known/openid-configuration"
REDIRECTS = frozenset((301, 302, 303, 307, 308))
HEADERS = {
    "Accept": "application/jwk-set+json, application/json;q=0.9, */*;q=0.1",
    "Accept-Encoding": "identity",
    "User-Agent": "tollhouse-authz",
}
METADATA_NETWORKS = (ip_network("100.100.100.200/32"), ip_network("fd00:ec2::/32"))
"""Cloud metadata services that are not at a link-local address."""


class FetchError(Exception):
    """No key set could be had; the text says why, for the log and the readiness page."""


@dataclass(frozen=True, slots=True)
class KeyFetcher:
    """How key sets are fetched."""

    allow_http: bool = False
    tls: ssl.SSLContext | None = None
    """Whom https is believed; None: whom the system trusts."""

    async def fetch(self, source: KeySource, timeout_seconds: float) -> KeySet:
        """
        The issuer's keys as they are now.

        Raises:
            FetchError: they could not be had within the time, or what came is no key set.
        """
        try:
            async with asyncio.timeout(timeout_seconds), self._session() as session:
                address = source.jwks_uri or await self._discover(session, source.issuer)
                raw = await self._get(session, address)
        except TimeoutError as error:
            raise FetchError(f"no answer within {timeout_seconds:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchError(_printable(str(error) or type(error).__name__)) from error
        key_set = read_fetched_key_set(raw)
        if isinstance(key_set, Unusable):
            raise FetchError(key_set.reason)
        return key_set

    def _session(self) -> aiohttp.ClientSession:
        """A session for each fetch: they are minutes apart, so there is nothing to keep open."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=self.tls or True, force_close=True, socket_factory=_open_socket
            ),
            timeout=aiohttp.ClientTimeout(total=None),
            headers=HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def _discover(self, session: aiohttp.ClientSession, issuer: str) -> str:
        """The `jwks_uri` of OpenID Connect Discovery section 4, if the document is the issuer's."""
        document = read_object(await self._get(session, issuer.removesuffix("/") + DISCOVERY))
        if document is None:
            raise FetchError("the discovery document is not one JSON object")
        if document.get("issuer") != issuer:
            raise FetchError("the discovery document is another issuer's")
        jwks_uri = document.get("jwks_uri")
        if not isinstance(jwks_uri, str):
            raise FetchError("the discovery document has no jwks_uri")
        return jwks_uri

    async def _get(self, session: aiohttp.ClientSession, address: str) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            self._check(address)
            async with session.get(URL(address), allow_redirects=False) as response:
                if response.status not in REDIRECTS:
                    return await _body(response)
                address = str(response.url.join(URL(response.headers.get("Location", ""))))
        raise FetchError(f"more than {MAX_REDIRECTS} redirects")

    def _check(self, address: str) -> None:
        if not is_web_address(address):
            raise FetchError(f"not an https address: {_printable(without_password(address))}")
        if is_plain_http(address) and not self.allow_http:
            raise FetchError(f"plain http: {_printable(without_password(address))}")


async def _body(response: aiohttp.ClientResponse) -> bytes:
    if response.status != 200:
        raise FetchError(f"HTTP status {response.status}")
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BYTES:
            raise FetchError(f"more than {MAX_BYTES} bytes")
    return bytes(body)


def _open_socket(address: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
    """Called for each address a name resolved to, just before the connection is made."""
    family, kind, protocol, _, target = address
    ip = ip_address(target[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_link_local or any(ip in network for network in METADATA_NETWORKS):
        raise OSError(errno.EACCES, f"{ip} is a link-local or metadata address")
    return socket.socket(family, kind, protocol)


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)[:200]
