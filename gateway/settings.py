"""The one module that reads the environment. Everything else is given what it needs.

Settings come from a YAML file, then from `CONNECTCARE_…` variables for what the file doesn't say. An unknown setting,
in either place, stops start-up: a misspelt one would otherwise be a rule that silently isn't there.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from ruamel.yaml import YAML

import gateway
from connectors.sdk.file_faults import NOT_YAML, line_of, read_yaml
from connectors.sdk.kernel import Choice
from gateway.audit.followers.settings import AuditRepository
from gateway.caller.certificate import Proxies
from gateway.caller.floors import IN_PRODUCTION, Floor, Floors, Purpose
from gateway.caller.settings import IssuerSettings
from gateway.fair_use.settings import FairUseSettings
from gateway.launch.settings import (
    ContextSettings,
    EhrSettings,
    HookSettings,
    PatientSignInSettings,
    SessionTimes,
    Signing,
    SignInSettings,
    fault_of,
)
from gateway.origin import is_origin
from gateway.production import NotForProduction, lacks_of

_PREFIX: Final = "CONNECTCARE_"
_CONTACT: Final = re.compile(r"(mailto:[!-~]+@[!-~]+|https://[!-~]+|tel:\+?[0-9().-]+)", re.ASCII)
_HERE: Final = Path(gateway.__file__).resolve().parent.parent


class SettingsError(Exception):
    """A setting is wrong. The text says which, and what to do."""


class Settings(BaseSettings):
    """All settings of a gateway. Files are paths; durations are seconds unless the name says otherwise.

    `profile` is `production` unless it says `demo`. Production refuses what `gateway.production` lists (demo parts,
    plain HTTP, tokens that are bound to nobody, an audit without a second copy), and of the organisations what
    `gateway.taking_part` does.
    `sender_constraint` is `required` in production and `optional` in the demo: whether an access token must be bound to
    its sender (DPoP or a client certificate). `certificate_proxies` are the TLS proxies whose `Client-Cert` header is
    believed: addresses, or `unix:` and the path of the socket that the gateway serves.
    `addresses` replaces organisations' addresses by ODS code. `allowed_hosts` are further names, each as a Host header
    says it (`name` or `name:port`), that the gateway answers to besides that of `public_url`. `database` is a
    postgresql:// URL without its password; without it the store is SQLite, in `data_dir`.
    `cors_origins` are the origins of browser applications that are let in, each exactly as the browser sends it.
    `launches`, `contexts` and `hooks` are the systems that may open the viewer and ask for cards; a card is answered
    within `card_deadline`. `sign_ins` and `patient_sign_ins` are where staff and patients sign in to the pages.
    `sign_in_floors` are how strongly and lately people must have signed in, by purpose of use; for a purpose that isn't
    there a production gateway has its own, and the demo none.
    Checkpoints of the journal are signed with `checkpoint_key` (a file), or by the signer behind the Unix socket
    `checkpoint_signer`, whose key is in `checkpoint_public`.
    Metrics are served on `metrics_port` of the address `metrics_host`, a port of their own; without one they aren't.
    Spans go to the OpenTelemetry collector at `otlp_endpoint`, of `traces_ratio` of all requests; without one there are
    none.
    `backup_stamp` is a file that the back-up writes whenever it succeeded: `connectcare doctor` reads its date.
    `kernel` is what reads FHIR: `native` code, which must be built, `python`, or `auto`: native where it is built.
    `security_contact` is whom to tell of a security hole, as a mailto:, https: or tel: address (RFC 9116).
    A gateway that is told to end goes on answering for `drain_seconds`, and what is under way then has
    `finish_seconds`.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="forbid", frozen=True)

    profile: Literal["production", "demo"] = "production"
    public_url: str = Field(min_length=8)
    allowed_hosts: tuple[str, ...] = ()
    data_dir: Path
    key_file: Path
    issuers: tuple[IssuerSettings, ...] = Field(min_length=1)
    sender_constraint: Literal["required", "optional"] | None = None
    certificate_proxies: tuple[str, ...] = ()
    database: str | None = None
    database_password_file: Path | None = None
    checkpoint_seconds: float = Field(default=10.0, gt=0, le=3600)
    checkpoint_key: Path | None = None
    checkpoint_signer: Path | None = None
    checkpoint_public: Path | None = None
    organisations_file: Path = _HERE / "connectors" / "organisations.yaml"
    addresses: dict[str, str] = Field(default_factory=dict)
    policies_dir: Path = _HERE / "policies"
    label_files: tuple[Path, ...] = ()
    deadline: float = Field(default=3.0, gt=0, le=30)
    permission_hours: float = Field(default=8, gt=0, le=24)
    best_interests_hours: float = Field(default=1, gt=0, le=8)
    permission_longest_hours: float = Field(default=24, gt=0, le=72)
    best_interests_longest_hours: float = Field(default=4, gt=0, le=24)
    unusual_patients_a_day: int = Field(default=60, ge=1)
    fair_use: FairUseSettings = FairUseSettings()
    launches: tuple[EhrSettings, ...] = ()
    contexts: tuple[ContextSettings, ...] = ()
    hooks: tuple[HookSettings, ...] = ()
    sign_ins: tuple[SignInSettings, ...] = ()
    patient_sign_ins: tuple[PatientSignInSettings, ...] = ()
    sessions: SessionTimes = SessionTimes()
    card_deadline: float = Field(default=0.5, gt=0.2, le=5)
    looks_at_once: int = Field(default=48, ge=1, le=4096)
    look_waits: float = Field(default=20.0, gt=0, le=60)
    asks_per_source: int = Field(default=32, ge=1, le=512)
    breaker_failures: int = Field(default=5, ge=1)
    breaker_rest: float = Field(default=10.0, gt=0)
    cors_origins: tuple[str, ...] = ()
    max_body_bytes: int = Field(default=64 * 1024, ge=1024)
    sign_in_floors: dict[Purpose, Floor] = Field(default_factory=dict)
    audit_sink: Path | None = None
    audit_repository: AuditRepository | None = None
    kernel: Choice = "auto"
    security_contact: str | None = None
    drain_seconds: float | None = Field(default=None, ge=0, le=300)
    finish_seconds: int = Field(default=30, ge=1, le=600)
    backup_stamp: Path | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    otlp_endpoint: str | None = None
    traces_ratio: float = Field(default=0.1, gt=0, le=1)

    @field_validator("metrics_host")
    @classmethod
    def _is_one_address_of_a_private_network(cls, host: str) -> str:
        """Metrics name nobody, but say how a gateway is doing; they are never for the world."""
        try:
            address = ip_address(host)
        except ValueError:
            address = None
        plain = getattr(address, "ipv4_mapped", None) or address
        if plain is None or plain.is_unspecified or plain.is_multicast or plain.is_global:
            raise ValueError(
                "give one address: 127.0.0.1, or that of this machine in a private network which only your collector "
                "of metrics reaches"
            )
        return host

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_a_collector(cls, endpoint: str | None) -> str | None:
        parts = urlsplit(endpoint or "")
        is_plain = parts.scheme in ("http", "https") and parts.hostname and not (parts.username or parts.query)
        if endpoint is not None and not is_plain:
            raise ValueError("give the address of a collector's traces, as in https://collector.example/v1/traces")
        return endpoint

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        """Exactly as browsers send them: a pattern would let in whoever can register a name that fits."""
        for origin in origins:
            if not is_origin(origin):
                raise ValueError(
                    "each origin is https://host, with :port where it isn't the usual one: no path, no slash at the "
                    "end, no star"
                )
        return origins

    @field_validator("certificate_proxies")
    @classmethod
    def _are_proxies(cls, written: tuple[str, ...]) -> tuple[str, ...]:
        Proxies(written)
        return written

    @field_validator("database")
    @classmethod
    def _is_postgresql(cls, url: str | None) -> str | None:
        """Settings are shown in errors and kept in version control, so no password is among them."""
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("postgresql", "postgres"):
            raise ValueError("give a postgresql:// URL, or leave it out for SQLite in data_dir")
        if parts.password or "password" in parse_qs(parts.query):
            raise ValueError("the password doesn't belong here. Give database_password_file, or a PGPASSFILE")
        return url

    @field_validator("security_contact")
    @classmethod
    def _is_contact(cls, address: str | None) -> str | None:
        """It becomes a line of a file: without the check, text behind a line break would be further fields of it."""
        if address is not None and not _CONTACT.fullmatch(address):
            raise ValueError("give one address: mailto:security@organisation.example, https://… or tel:+44…")
        return address

    @property
    def is_demo(self) -> bool:
        """True where demo parts are allowed."""
        return self.profile == "demo"

    @property
    def drains_for(self) -> float:
        """How long a gateway that was told to end goes on answering: as long as a balancer takes to notice."""
        return (0.0 if self.is_demo else 5.0) if self.drain_seconds is None else self.drain_seconds

    @property
    def floors(self) -> Floors:
        """What sign-ins must reach, by purpose of use."""
        return {**({} if self.is_demo else IN_PRODUCTION), **self.sign_in_floors}

    @property
    def sender_must_prove(self) -> bool:
        """True where an access token that is bound to nothing is refused."""
        return (self.sender_constraint or ("optional" if self.is_demo else "required")) == "required"

    @property
    def registered(self) -> tuple[Signing, ...]:
        """Every system whose statements about people are believed."""
        return (*self.launches, *self.contexts, *self.hooks, *self.sign_ins, *self.patient_sign_ins)

    @property
    def fhir_base(self) -> str:
        """The base URL of the FHIR API, as clients see it."""
        return self.public_url.rstrip("/") + "/fhir/R4"

    @property
    def log_origin(self) -> str:
        """The name of the journal among all journals: the gateway's own host, as clients know it."""
        return f"{urlsplit(self.public_url).netloc.lower()}/journal"

    @property
    def permission_lasts(self) -> timedelta:
        """How long a patient's agreement lasts."""
        return timedelta(hours=self.permission_hours)

    @property
    def best_interests_lasts(self) -> timedelta:
        """How long best-interests access lasts."""
        return timedelta(hours=self.best_interests_hours)

    @property
    def permission_longest(self) -> timedelta:
        """How long a patient's agreement lasts in all, however often it is prolonged."""
        return timedelta(hours=self.permission_longest_hours)

    @property
    def best_interests_longest(self) -> timedelta:
        """How long best-interests access lasts in all."""
        return timedelta(hours=self.best_interests_longest_hours)

    @model_validator(mode="after")
    def _nothing_outlasts_its_ceiling(self) -> Settings:
        if self.permission_hours > self.permission_longest_hours:
            raise ValueError("permission_hours is longer than permission_longest_hours. Raise that, or lower this")
        if self.best_interests_hours > self.best_interests_longest_hours:
            raise ValueError(
                "best_interests_hours is longer than best_interests_longest_hours. Raise that, or lower this"
            )
        return self

    @model_validator(mode="after")
    def _one_key_signs(self) -> Settings:
        if self.checkpoint_key is not None and self.checkpoint_signer is not None:
            raise ValueError("checkpoint_key and checkpoint_signer both say who signs checkpoints. Give one of them")
        if (self.checkpoint_signer is None) != (self.checkpoint_public is None):
            raise ValueError("checkpoint_signer (a socket) and checkpoint_public (its public key) go together")
        return self

    @model_validator(mode="after")
    def _registered_systems_fit(self) -> Settings:
        fault = fault_of(self.registered, frozenset(one.issuer for one in self.issuers), is_demo=self.is_demo)
        if fault:
            raise ValueError(fault)
        return self

    @model_validator(mode="after")
    def _production_is_closed(self) -> Settings:
        lacks = [] if self.is_demo else lacks_of(self)
        if lacks:
            raise NotForProduction(lacks)
        return self


def load_settings(file: Path | None, **given: Any) -> Settings:
    """Read the settings. `given` wins over the file, the file over the environment. Raises SettingsError."""
    values = {**(_read(file) if file else {}), **given}
    unknown = sorted(
        name
        for name in os.environ
        if name.startswith(_PREFIX) and name.removeprefix(_PREFIX).lower() not in Settings.model_fields
    )
    if unknown:
        raise SettingsError(f"Unknown setting in the environment: {', '.join(unknown)}. Remove it, or correct it.")
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(_explain(error, file)) from error


def _read(file: Path) -> dict[str, Any]:
    try:
        values = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file} can't be read ({error.strerror}). Name another settings file.") from error
    except NOT_YAML as error:
        raise SettingsError(f"{file} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{file} must hold settings, one a line: name: value.")
    return values


def _explain(error: ValidationError, file: Path | None) -> str:
    sentences = []
    for first in error.errors(include_url=False, include_input=False):
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, NotForProduction):
            sentences += [f"{_place(file, lack.where)}: {lack}" for lack in cause.lacks]
            continue
        name = ".".join(str(step) for step in first["loc"])
        where = _place(file, str(first["loc"][0]) if first["loc"] else "")
        if first["type"] == "extra_forbidden":
            sentences.append(f"{where}: unknown setting {name}. Remove it, or correct its spelling.")
        elif first["type"] == "missing":
            sentences.append(f"{where}: {name} is missing. Add it, or set {_PREFIX}{name.upper()}.")
        else:
            sentences.append(f"{where}: {name + ': ' if name else ''}{first['msg']}.")
    return "\n".join(sentences)


def _place(file: Path | None, setting: str) -> str:
    """The file, with the line where it speaks of the setting; `settings` where there is no file."""
    if file is None:
        return "settings"
    document = read_yaml(file)
    return f"{file}:{line_of(document, setting)}" if setting in document else str(file)
