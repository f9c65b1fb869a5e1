"""The TLS files: what is read, what is refused, and whom the result admits."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from serving.problems import ConfigError
from serving.reload import read_files
from serving.tls import Tls, TlsFiles
from tests.contract.minting import Authority


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    authority = Authority("servers")
    authority.issue("rls.example").write(tmp_path)
    (tmp_path / "ca.crt").write_bytes(Authority("clients").pem)
    return TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key", tmp_path / "ca.crt")


def read(files: TlsFiles) -> Tls:
    return files.read(read_files(files.paths()))


def refusal(files: TlsFiles) -> str:
    with pytest.raises(ConfigError) as caught:
        read(files)
    return str(caught.value)


def test_the_context_takes_tls_1_2_and_newer_and_demands_a_client_certificate(
    files: TlsFiles,
) -> None:
    tls = read(files)
    assert tls.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert tls.context.verify_mode is ssl.CERT_REQUIRED
    assert tls.client_ca == files.client_ca.read_bytes() if files.client_ca else False


def test_without_a_client_authority_no_certificate_is_asked_for(files: TlsFiles) -> None:
    tls = read(TlsFiles(files.certificate, files.key))
    assert tls.context.verify_mode is ssl.CERT_NONE
    assert tls.client_ca is None


def test_a_session_is_never_resumed(files: TlsFiles) -> None:
    """A resumed one would not be asked for its certificate under the new authority."""
    assert read(files).context.num_tickets == 0
    assert read(files).context.options & ssl.OP_NO_TICKET


def test_the_key_is_shown_nowhere(files: TlsFiles) -> None:
    tls = read(files)
    assert b"PRIVATE KEY" in tls.key
    assert "PRIVATE KEY" not in repr(tls)


def test_the_folders_of_all_files_are_watched_once(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    files = TlsFiles(one / "tls.crt", one / "tls.key", other / "ca.crt")
    assert files.folders() == [one, other]
    assert files.paths() == [one / "tls.crt", one / "tls.key", other / "ca.crt"]
    assert TlsFiles(one / "tls.crt", one / "tls.key").folders() == [one]


def test_a_key_of_another_certificate_is_refused(files: TlsFiles, tmp_path: Path) -> None:
    (tmp_path / "tls.key").write_bytes(Authority("others").issue("rls.example").key)
    assert refusal(files).startswith(f"{files.certificate}: no pair with {files.key}: ")


def test_a_client_authority_that_is_none_is_refused(files: TlsFiles, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("nobody")
    assert refusal(files).startswith(f"{files.client_ca}: no CA certificates: ")


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(
    files: TlsFiles, tmp_path: Path
) -> None:
    key = load_pem_private_key(files.key.read_bytes(), None)
    secret = BestAvailableEncryption(b"secret")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)
    (tmp_path / "tls.key").write_bytes(pem)
    assert "the key is encrypted" in refusal(files)


def test_files_that_change_while_they_are_read_are_refused(files: TlsFiles, tmp_path: Path) -> None:
    before = read_files(files.paths())
    Authority("servers").issue("rls.example").write(tmp_path)
    with pytest.raises(ConfigError, match="replaced while it was being read"):
        files.read(before)
    assert read(files).certificate == files.certificate.read_bytes()


@pytest.mark.parametrize(
    ("listed", "carried", "admitted"),
    [
        ((), [], True),
        ((), ["anybody"], True),
        (("web.example",), ["web.example"], True),
        (("Web.Example",), ["wEB.eXAMPLE"], True),
        (("web.example",), [], False),
        (("web.example",), ["other.example", "web.example"], True),
        (("spiffe://a/Web",), ["spiffe://a/Web"], True),
        (("spiffe://a/Web",), ["spiffe://a/web"], False),
        (("web.example",), ["example", "a.web.example", "web.example.org", "*.example"], False),
    ],
)
def test_a_list_of_names_admits_whoever_carries_one_of_them(
    files: TlsFiles, listed: tuple[str, ...], carried: list[str], admitted: bool
) -> None:
    tls = read(TlsFiles(files.certificate, files.key, files.client_ca, listed))
    assert tls.admits_names(carried) is admitted
