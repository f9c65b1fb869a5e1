"""Certificates: what a verifier of another make says about them."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from deploy.local.certificates import Authority, Files, Identity

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
WEB = Identity("web", "allowed-sa")


def verified(files: Files, when: datetime) -> list[x509.GeneralName]:
    """The names in a certificate that `cryptography` accepts as a client's; else it raises."""
    store = Store(x509.load_pem_x509_certificates(files.authority.read_bytes()))
    leaf = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    verifier = PolicyBuilder().store(store).time(when).build_client_verifier()
    names = verifier.verify(leaf, []).subjects
    assert names is not None
    return names


def test_a_leaf_carries_the_spiffe_identity_and_nothing_else(tmp_path):
    files = Authority(tmp_path, NOW).issue(WEB)
    identity = x509.UniformResourceIdentifier("spiffe://cluster.local/ns/web/sa/allowed-sa")
    assert verified(files, NOW) == [identity]


def test_a_leaf_serves_both_ends_and_signs_nothing(tmp_path):
    files = Authority(tmp_path, NOW).issue(WEB)
    leaf = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert {usage.dotted_string for usage in usages} == {"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"}
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not leaf.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


@pytest.mark.parametrize("offset", [timedelta(minutes=-6), timedelta(days=1, seconds=1)])
def test_a_leaf_holds_for_a_day(tmp_path, offset: timedelta):
    files = Authority(tmp_path, NOW).issue(WEB)
    with pytest.raises(VerificationError):
        verified(files, NOW + offset)


def test_a_leaf_of_another_authority_is_refused(tmp_path):
    (tmp_path / "other").mkdir()
    files = Authority(tmp_path, NOW).issue(WEB)
    other = Authority(tmp_path / "other", NOW)
    with pytest.raises(VerificationError):
        verified(files._replace(authority=other.path), NOW)


def test_the_key_belongs_to_the_certificate_and_to_its_owner_alone(tmp_path):
    files = Authority(tmp_path).issue(WEB)
    key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
    leaf = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    assert key.public_key() == leaf.public_key()
    assert files.key.stat().st_mode & 0o777 == 0o600
    assert verified(files, datetime.now(UTC))
