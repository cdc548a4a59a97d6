"""What production asks of the settings: each thing that is missing, with the setting, what is wrong and the remedy.

A production gateway doesn't start while anything is on this list; `connectcare doctor` reads it to whoever is on the
way there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from gateway.settings import Settings

_THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that production lacks. `where` is the setting, or a file and line; `what` has no full stop, `remedy`
    has."""

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}"


class NotForProduction(ValueError):
    """The settings say production and aren't fit for it. `lacks` are all the reasons, in one go."""

    def __init__(self, lacks: list[Lack]) -> None:
        super().__init__(" ".join(map(str, lacks)))
        self.lacks = lacks


def lacks_of(settings: Settings) -> list[Lack]:
    """What production would refuse in these settings, whatever their own profile is."""
    return [*_doors(settings), *_people(settings), *_outwards(settings), *_audit(settings)]


def _doors(settings: Settings) -> Iterator[Lack]:
    address = urlsplit(settings.public_url)
    if address.scheme != "https" or not address.hostname:
        yield Lack(
            "public_url",
            "public_url must be https in production",
            "Put a TLS proxy in front and give its address.",
        )
    if any(not origin.startswith("https://") for origin in settings.cors_origins):
        yield Lack("cors_origins", "cors_origins must be https in production", "Give each application's https origin.")


def _people(settings: Settings) -> Iterator[Lack]:
    if settings.sender_constraint == "optional" or (settings.is_demo and settings.sender_constraint is None):
        yield Lack(
            "sender_constraint",
            "sender_constraint must be required in production: a copied bearer token would open every record that its "
            "owner may see",
            "Leave the setting out, and have DPoP-bound or certificate-bound tokens issued.",
        )
    if any(issuer.allow_insecure_loopback for issuer in settings.issuers):
        yield Lack("issuers", "allow_insecure_loopback is for the demo", "Give an https issuer.")
    for kind in ("launches", "contexts", "hooks", "sign_ins", "patient_sign_ins"):
        named = [one.name for one in getattr(settings, kind) if one.allow_insecure_loopback]
        if named:
            yield Lack(
                kind, f"{kind}: allow_insecure_loopback is for the demo ({', '.join(named)})", "Give an https issuer."
            )


def _outwards(settings: Settings) -> Iterator[Lack]:
    if settings.addresses:
        yield Lack("addresses", "addresses is for the demo", "Give each organisation's address in organisations.yaml.")
    collector = urlsplit(settings.otlp_endpoint or "")
    if collector.scheme == "http" and collector.hostname not in _THIS_MACHINE:
        yield Lack(
            "otlp_endpoint",
            "otlp_endpoint must be https in production, but on this very machine",
            "Give the collector's https address.",
        )
    if settings.database is not None and not _says_how_it_is_secured(settings.database):
        yield Lack(
            "database",
            "database is on another machine, and doesn't say how the way there is secured",
            "Add ?sslmode=verify-full.",
        )


def _audit(settings: Settings) -> Iterator[Lack]:
    repository = settings.audit_repository
    if repository and repository.is_open:
        yield Lack(
            "audit_repository",
            "audit_repository needs an https address and auth (or tls and client-certificate)",
            "Give both: what goes there says who looked at whom, and anybody else's events would stand beside ours.",
        )
    if settings.audit_sink is None and repository is None:
        yield Lack(
            "audit_sink",
            "audit_sink is missing: with the one store, what is lost or altered there is lost for good",
            "Name a file on another disk, or an audit_repository.",
        )
    if settings.checkpoint_key is None and settings.checkpoint_signer is None:
        yield Lack(
            "checkpoint_key",
            "checkpoint_key is missing: without it nobody can prove that the journal wasn't changed",
            "Make one with connectcare audit key new FILE, or run connectcare audit signer and give checkpoint_signer.",
        )


def _says_how_it_is_secured(url: str) -> bool:
    """Over a network, PostgreSQL's own default is to go without TLS where the server offers none: to say just that says
    nothing. Who says disable answers for the network."""
    modes = parse_qs(urlsplit(url).query).get("sslmode", ["prefer"])
    return not leaves_this_machine(url) or not {"prefer", "allow"} & set(modes)


def leaves_this_machine(url: str) -> bool:
    """Whether a database's URL may lead to another machine, as libpq reads it: it may name several hosts, addresses
    beside them, or a file that says both. What can't be read leads nowhere: the store refuses it."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:
        return False
    hosts = [host for name in ("host", "hostaddr") for host in str(given.get(name) or "").split(",")]
    return "service" in given or not all(host in ("", *_THIS_MACHINE) or host.startswith("/") for host in hosts)
