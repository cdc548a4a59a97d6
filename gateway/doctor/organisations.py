"""Who takes part: fit for production, each system reached by TLS, no certificate about to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509

from connectors.sdk.auth import NoAuth, TlsSettings, tls_context
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.installed import package
from connectors.sdk.organisations import Organisation, Organisations, load_organisations
from gateway.doctor.files import runs_as, secret
from gateway.doctor.finding import Examined, Finding
from gateway.doctor.reach import Unreached, reach
from gateway.taking_part import is_asked, lacks_of_register, tried_first

SOON: Final = timedelta(days=30)
"""How long before its end something is told of."""
_SECRETS: Final = ("value_file", "secret_file", "key_file")


@dataclass(frozen=True, slots=True)
class Connection:
    """One system that is asked, and how we show who we are there. `about` is what it is known by."""

    about: str
    address: str
    auth: Any
    tls: TlsSettings


def register(examined: Examined) -> Iterator[Finding]:
    """What production refuses of the organisations, and what was accepted and ends soon.

    Raises ConfigurationError where their file is wrong."""
    organisations, settings = examined.organisations, examined.settings
    if organisations is None:
        load_organisations(settings.organisations_file, addresses=settings.addresses)  # raises what is wrong with it
        return
    today = examined.now().date()
    yield from map(Finding.of, lacks_of_register(settings, organisations, today))
    for who, entry in organisations.entries():
        given = entry.accepted_below_silver
        if given and is_asked(organisations, entry, who) and today <= given.until <= today + SOON:
            what = f"what {given.by} accepted below silver ends on {given.until}"
            yield Finding(who, what, f"Earn silver for {entry.connector} there, or accept it anew.")


def proofs(examined: Examined) -> Iterator[Finding]:
    """Each connection's secrets and certificates."""
    owner, today = runs_as(examined.settings), examined.now().date()
    for connection in _connections(examined.organisations):
        if isinstance(connection.auth, NoAuth) and urlsplit(connection.address).scheme == "https":
            yield Finding(connection.about, "nothing proves to its system who we are", "Add auth to its settings.")
        for name in _SECRETS:
            if isinstance(file := getattr(connection.auth, name, None), Path):
                yield from secret(f"{connection.about}: auth.{name}", file, owner)
        if connection.tls.key_file is not None:
            yield from secret(f"{connection.about}: tls.key_file", connection.tls.key_file, owner)
        for name in ("certificate_file", "ca_file"):
            if isinstance(file := getattr(connection.tls, name), Path):
                yield from _certificates(f"{connection.about}: tls.{name}", file, today)


async def sources(examined: Examined) -> AsyncIterator[Finding]:
    """Each system and the external audit repository by TLS: reached, believed, and for how long."""
    secured = [one for one in _connections(examined.organisations) if urlsplit(one.address).scheme == "https"]
    if (copy := examined.settings.audit_repository) is not None:
        secured.append(Connection("audit_repository", copy.address, copy.auth, copy.tls))
    for findings in await asyncio.gather(*(_reached(one, examined) for one in secured)):
        for finding in findings:
            yield finding


async def _reached(connection: Connection, examined: Examined) -> list[Finding]:
    about, host = connection.about, urlsplit(connection.address).netloc
    try:
        found = await reach(connection.address, tls_context(connection.tls, connection.auth) or examined.tls)
    except (Unreached, ConfigurationError) as error:
        remedy = "Make sure that this machine reaches it, and name its authority in tls.ca_file where it has its own."
        return [Finding(about, f"{host}: {error}".rstrip("."), remedy)]
    if found.until is not None and found.until <= examined.now() + SOON:
        what = f"the certificate of {host} ends on {found.until:%Y-%m-%d}"
        return [Finding(about, what, "Tell whoever runs it: nobody is asked there after that.")]
    return []


def _connections(organisations: Organisations | None) -> Iterator[Connection]:
    """Of a list of practices the one that start-up tries: they share everything but their address."""
    if organisations is None:
        return
    asked = [*organisations.sources(), *organisations.shadows()]
    asked += [found for group in organisations.groups() if (found := tried_first(group)) is not None]
    yield from map(_connection, asked)


def _connection(organisation: Organisation) -> Connection:
    """Its own model checked the settings when the file was read."""
    settings: Any = package(organisation.connector or "").Settings.model_validate(dict(organisation.settings))
    auth, tls = getattr(settings, "auth", NoAuth()), getattr(settings, "tls", TlsSettings())
    return Connection(organisation.ods, organisation.address or "", auth, tls)


def _certificates(about: str, file: Path, today: date) -> Iterator[Finding]:
    try:
        found = x509.load_pem_x509_certificates(file.read_bytes())
    except OSError as error:
        yield Finding(about, f"{file} can't be read ({error.strerror})", "Make the file, or name another.")
        return
    except ValueError:
        yield Finding(about, f"{file} holds no certificate", "Give it in PEM.")
        return
    for certificate in found:
        ends: datetime = certificate.not_valid_after_utc
        if ends.date() <= today + SOON:
            yield Finding(about, f"the certificate in {file} ends on {ends:%Y-%m-%d}", "Have it renewed.")
