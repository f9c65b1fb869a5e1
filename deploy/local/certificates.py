"""Certificates as a mesh's authority signs them: one CA, a SPIFFE identity in each leaf."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

TRUST_DOMAIN = "cluster.local"
LIFETIME = timedelta(days=1)
BACKDATED = timedelta(minutes=5)  # a clock that is a little late still takes them

SIGNS_CERTIFICATES = {"key_cert_sign": True, "crl_sign": True}
SIGNS_HANDSHAKES = {"digital_signature": True}


class Identity(NamedTuple):
    """A workload as the mesh knows it."""

    namespace: str
    service_account: str

    @property
    def spiffe_id(self) -> str:
        return f"spiffe://{TRUST_DOMAIN}/ns/{self.namespace}/sa/{self.service_account}"


class Files(NamedTuple):
    """Where a workload's proxy finds its certificate, its key and the authority it trusts."""

    certificate: Path
    key: Path
    authority: Path


class Authority:
    """
    A certificate authority of one day.

    Args:
        folder: gets the PEM files; keys are readable by their owner only.
        now: start of validity of everything it signs.
    """

    def __init__(self, folder: Path, now: datetime | None = None) -> None:
        self._folder = folder
        self._now = now or datetime.now(UTC)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, TRUST_DOMAIN)])
        self.path = folder / "authority.pem"
        self.path.write_bytes(_pem(self._own_certificate()))

    def issue(self, identity: Identity) -> Files:
        """Sign a certificate for `identity`, good for both ends of a connection."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity.spiffe_id)])
        certificate = (
            self._builder(key.public_key())
            # X.509 wants the extension critical when, as here, the subject is empty (RFC 5280
            # section 4.1.2.6); SPIFFE puts the identity nowhere else.
            .subject_name(x509.Name([]))
            .add_extension(names, critical=True)
            .add_extension(self._issuer_key(), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(**SIGNS_HANDSHAKES), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        stem = f"{identity.namespace}.{identity.service_account}"
        files = Files(self._folder / f"{stem}.pem", self._folder / f"{stem}.key", self.path)
        files.certificate.write_bytes(_pem(certificate))
        files.key.touch(mode=0o600)
        files.key.write_bytes(_private_pem(key))
        return files

    def _own_certificate(self) -> x509.Certificate:
        return (
            self._builder(self._key.public_key())
            .subject_name(self._name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(**SIGNS_CERTIFICATES), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )

    def _issuer_key(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())

    def _builder(self, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - BACKDATED)
            .not_valid_after(self._now + LIFETIME)
        )


def _key_usage(**granted: bool) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: granted.get(name, False) for name in every})


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
