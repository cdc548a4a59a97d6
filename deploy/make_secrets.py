"""Makes every secret that compose.yaml mounts, as files: `.venv/bin/python deploy/make_secrets.py`.

    secrets/          files that their owner alone can read; the containers run as that owner
    secrets/client/   the EHR's side: its certificate and key
    .env              who the containers run as

What is there already stays: run again, it makes what is missing. For a demonstration on one machine: the certificate
authority is its own, and its key is thrown away as soon as it has signed.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.audit.checkpoints import new_key
from gateway.sealed import new_master_key

ROOT: Final = Path(__file__).resolve().parents[1]
HOST: Final = "connect-care.localhost"
LOG_NAME: Final = f"{HOST}:8443/journal"
EHR: Final = f"ehr.{HOST}"
PASSWORDS: Final = ("database_password", "keycloak_database_password", "keycloak_admin_password", "staff_password")
CERTIFICATES: Final = ("client_authority", "tls_certificate", "tls_key", "client/ehr.crt", "client/ehr.key")
_DAYS: Final = 90
_CONTAINER_USER: Final = 10001


def make(folder: Path, environment: Path) -> list[Path]:
    """Make what is missing; the files that were made. Raises FileExistsError where the certificates are incomplete."""
    os.umask(0o077)
    (folder / "client").mkdir(mode=0o700, parents=True, exist_ok=True)
    before = set(folder.rglob("*"))
    for name in PASSWORDS:
        once(folder / name, lambda file: write(file, secrets.token_urlsafe(24).encode()))
    once(folder / "master_key", new_master_key)
    once(folder / "checkpoint_key", lambda file: new_key(file, LOG_NAME))
    _make_certificates(folder)
    made = sorted(set(folder.rglob("*")) - before)
    _hand_over(folder)
    _write_environment(environment, folder)
    return made


def once(file: Path, make_it: Callable[[Path], object]) -> None:
    """Make a file that isn't there."""
    if not file.exists():
        make_it(file)


def write(file: Path, content: bytes) -> None:
    """A new file that its owner alone can read. Raises FileExistsError."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)


def _make_certificates(folder: Path) -> None:
    there = [name for name in CERTIFICATES if (folder / name).exists()]
    if len(there) == len(CERTIFICATES):
        return
    if there:
        raise FileExistsError(f"Some certificates are there ({', '.join(there)}) and some aren't. Remove these first.")
    authority = Authority.new()
    write(folder / "client_authority", authority.pem)
    server = authority.sign("TLS proxy", [HOST, f"*.{HOST}", "proxy"], ExtendedKeyUsageOID.SERVER_AUTH)
    client = authority.sign(EHR, [EHR], ExtendedKeyUsageOID.CLIENT_AUTH)
    for files, (certificate, key) in (
        (("tls_certificate", "tls_key"), server),
        (("client/ehr.crt", "client/ehr.key"), client),
    ):
        write(folder / files[0], certificate)
        write(folder / files[1], key)


@dataclass(frozen=True)
class Authority:
    """A certificate authority whose key is never written down."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def new(cls) -> Authority:
        """An authority that can sign leaves only."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Connect Care demonstration")
        builder = (
            _dated(name, name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        return cls(key, builder.sign(key, SHA256()))

    @property
    def pem(self) -> bytes:
        """Its own certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    def sign(self, name: str, hosts: Sequence[str], use: x509.ObjectIdentifier) -> tuple[bytes, bytes]:
        """Certificate and key of a leaf, both PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _dated(_name(name), self.certificate.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return certificate.public_bytes(Encoding.PEM), private


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _dated(subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=public,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(minutes=5),
        not_valid_after=now + timedelta(days=_DAYS),
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _hand_over(folder: Path) -> None:
    """Root would run the containers as root: the files then belong to a user that is nobody on this machine."""
    if os.geteuid() == 0:
        for file in (folder, *folder.rglob("*")):
            os.chown(file, _CONTAINER_USER, _CONTAINER_USER)


def _write_environment(file: Path, folder: Path) -> None:
    owner = folder.stat()
    once(file, lambda new: write(new, f"RUN_AS={owner.st_uid}:{owner.st_gid}\n".encode()))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Make the secrets that compose.yaml mounts.")
    parser.add_argument("--folder", type=Path, default=ROOT / "secrets")
    parser.add_argument("--environment", type=Path, default=ROOT / ".env")
    asked = parser.parse_args(arguments)
    try:
        made = make(asked.folder, asked.environment)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}" if error.strerror else error, file=sys.stderr)  # noqa: T201
        return 1
    print(f"{len(made)} files made in {asked.folder}. The staff's password is in staff_password.")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
