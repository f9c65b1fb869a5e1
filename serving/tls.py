"""
TLS of the gRPC listener: certificate, key, client CA and the client names that may connect.

The files are watched; a new pair serves new connections as soon as it is whole, and a broken one
changes nothing. In a mesh the sidecar ends TLS, so this is for everywhere else.
"""

import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from serving.problems import ConfigError, Place, Problem
from serving.reload import File, read_files


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the pair is; with `client_ca`, clients must present a certificate signed by it."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    client_names: tuple[str, ...] = ()
    """DNS names or URIs, one of which the client's certificate must carry; empty takes any."""

    def paths(self) -> Sequence[Path]:
        """What makes up the configuration."""
        return [path for path in (self.certificate, self.key, self.client_ca) if path is not None]

    def folders(self) -> Sequence[Path]:
        """What has to be watched: a mounted secret is swapped by its folder's symbolic link."""
        return sorted({path.absolute().parent for path in self.paths()})

    def read(self, files: Sequence[File]) -> "Tls":
        """
        Build what a listener serves with.

        Args:
            files: `paths()`, as they were read; OpenSSL reads them once more by itself.

        Raises:
            ConfigError: names the file that OpenSSL refuses and why, or says that the files were
                being replaced meanwhile; the next look at them will then find them new.
        """
        context = self._context()
        if read_files(self.paths()) != tuple(files):
            raise _refused(self.certificate, "replaced while it was being read")
        certificate, key, *client_ca = (file.text.encode() for file in files)
        authority = client_ca[0] if client_ca else None
        return Tls(context, certificate, key, authority, frozenset(map(_folded, self.client_names)))

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2"])  # RFC 9113 section 3.2: HTTP/2 over TLS is chosen here
        # No tickets: gRPC connections live for hours, so resumption saves nothing.
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
        context.num_tickets = 0
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (ssl.SSLError, OSError) as error:
            raise _refused(self.certificate, f"no pair with {self.key}: {error}") from error
        if self.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_verify_locations(self.client_ca)
            except (ssl.SSLError, OSError) as error:
                raise _refused(self.client_ca, f"no CA certificates: {error}") from error
        return context


@dataclass(frozen=True, slots=True)
class Tls:
    """What new connections are served with, and whom they may come from."""

    context: ssl.SSLContext
    certificate: bytes
    """The pair and the client CA as PEM, for an engine that brings its own TLS."""
    key: bytes = field(repr=False)
    client_ca: bytes | None
    client_names: frozenset[str]

    def admits(self, peer: ssl.SSLObject) -> bool:
        """After the handshake: HTTP/2 was chosen and the client carries an admitted name."""
        return peer.selected_alpn_protocol() == "h2" and self.admits_names(
            _names(peer.getpeercert())
        )

    def admits_names(self, names: Iterable[str]) -> bool:
        """Whether one of a client certificate's DNS names or URIs is on the list."""
        return not self.client_names or not self.client_names.isdisjoint(map(_folded, names))


def _names(certificate: Mapping[str, Any] | None) -> list[str]:
    alternatives = (certificate or {}).get("subjectAltName", ())
    return [value for kind, value in alternatives if kind in ("DNS", "URI")]


def _folded(name: str) -> str:
    """DNS names are compared without regard to case (RFC 4343); a URI's path is not."""
    return name if "://" in name else name.lower()


def _no_password() -> NoReturn:
    # Otherwise OpenSSL would ask for one on the terminal and wait.
    raise OSError("the key is encrypted; give one that is not")


def _refused(path: Path, reason: str) -> ConfigError:
    return ConfigError([Problem(Place(str(path), 0, 0, ""), reason)])
