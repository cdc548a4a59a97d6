"""The secrets of a demonstration: made once, for their owner alone, and what they are made for."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from deploy import make_secrets
from gateway.sealed import load_master_key


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    assert make_secrets.main(["--folder", str(root / "secrets"), "--environment", str(root / ".env")]) == 0
    return root / "secrets"


def certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_their_owner_alone_can_read_them(folder: Path) -> None:
    for file in (folder, *folder.rglob("*"), folder.parent / ".env"):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file
    owner = folder.stat()
    assert (folder.parent / ".env").read_text() == f"RUN_AS={owner.st_uid}:{owner.st_gid}\n"
    assert owner.st_uid != 0


def test_what_is_there_stays(folder: Path) -> None:
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert make_secrets.make(folder, folder.parent / ".env") == []
    assert before == {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_gateway_takes_the_master_key(folder: Path) -> None:
    assert len(load_master_key(folder / "master_key", closed=True)) == 32
    assert (folder / "checkpoint_key.pub").read_text().startswith(make_secrets.LOG_NAME)


def test_passwords_are_long_and_all_different(folder: Path) -> None:
    passwords = [(folder / name).read_text() for name in make_secrets.PASSWORDS]
    assert len(set(passwords)) == len(passwords)
    assert all(len(one) == 32 for one in passwords)


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("tls_certificate", ExtendedKeyUsageOID.SERVER_AUTH),
        ("client/ehr.crt", ExtendedKeyUsageOID.CLIENT_AUTH),
    ],
)
def test_the_authority_signed_each_for_its_one_use(folder: Path, name: str, use: x509.ObjectIdentifier) -> None:
    leaf, authority = certificate(folder / name), certificate(folder / "client_authority")
    leaf.verify_directly_issued_by(authority)
    assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [use]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_ehr_is_who_the_realm_knows(folder: Path) -> None:
    assert certificate(folder / "client" / "ehr.crt").subject.rfc4514_string() == f"CN={make_secrets.EHR}"


def test_no_key_of_the_authority_is_kept(folder: Path) -> None:
    files = [file for file in folder.rglob("*") if file.is_file()]
    with_keys = {file.name for file in files if b"PRIVATE KEY" in file.read_bytes()[:40]}
    assert with_keys == {"tls_key", "ehr.key"}


def test_half_of_the_certificates_is_told_and_nothing_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--folder", str(tmp_path / "secrets"), "--environment", str(tmp_path / ".env")]
    assert make_secrets.main(given) == 0
    (tmp_path / "secrets" / "tls_key").unlink()
    kept = (tmp_path / "secrets" / "tls_certificate").read_bytes()
    assert make_secrets.main(given) == 1
    assert "tls_certificate" in capsys.readouterr().err
    assert (tmp_path / "secrets" / "tls_certificate").read_bytes() == kept
