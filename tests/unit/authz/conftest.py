"""An issuer that serves its keys on loopback, and does as a test tells it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from tests.token_mint import key, key_set

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"


@dataclass
class Answer:
    """What the issuer says to a path."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Issuer:
    """A real HTTP server; `answers` by path, `asked` is every path in the order of the requests."""

    url: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is clear, requests wait."""

    @property
    def keys_url(self) -> str:
        return self.url + KEYS

    def serve_keys(self, *names: str) -> None:
        self.answers[KEYS] = Answer(key_set(*names).encode())

    def serve_discovery(self, **members: Any) -> None:
        document = {"issuer": self.url, "jwks_uri": self.keys_url, **members}
        self.answers[DISCOVERY] = Answer(json.dumps(document).encode())

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        await self.open.wait()
        answer = self.answers.get(request.path, Answer(status=404))
        return web.Response(body=answer.body, status=answer.status, headers=answer.headers)


@asynccontextmanager
async def served(tls: ssl.SSLContext | None = None) -> AsyncIterator[Issuer]:
    """An issuer on a free port of loopback while the context is open."""
    found = Issuer()
    found.open.set()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    scheme = "https" if tls else "http"
    found.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    found.serve_keys("rsa")
    try:
        yield found
    finally:
        found.open.set()
        await runner.cleanup()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with served() as found:
        yield found


@pytest.fixture
async def tls_issuer(tmp_path: Path) -> AsyncIterator[tuple[Issuer, ssl.SSLContext]]:
    """An issuer behind https, and a context that believes it."""
    file = tmp_path / "issuer.pem"
    file.write_bytes(certificate())
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(file)
    async with served(own) as found:
        yield found, ssl.create_default_context(cafile=str(file))


def certificate() -> bytes:
    """A certificate of 127.0.0.1 by itself, and its key."""
    signer = key("p256-tls").private
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(signer.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM) + signer.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def raw_server() -> AsyncIterator[Callable[[Talk], Awaitable[str]]]:
    """Serve bytes that no web server would; gives the address."""
    async with AsyncExitStack() as stack:

        async def start(talk: Talk) -> str:
            async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                try:
                    await reader.readuntil(b"\r\n\r\n")
                    await talk(reader, writer)
                except ConnectionError:
                    pass  # the client has had enough
                finally:
                    writer.close()

            server = await asyncio.start_server(once, "127.0.0.1", 0)
            await stack.enter_async_context(server)
            return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

        yield start
