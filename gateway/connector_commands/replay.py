"""`connector replay`: saved payloads through a connector, guard, merge and policy, with an account of every resource.

Nobody is asked, so nothing is journalled and no opt-out is looked up: what is read is what somebody holds already. The
ids in the output are sealed with a key that is thrown away: they lead to nobody in any gateway.
"""

from __future__ import annotations

import asyncio
import importlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from connectors.sdk.errors import SourceError
from connectors.sdk.manifest import Manifest, load_manifest
from connectors.sdk.nhs_number import is_nhs_number, parse_nhs_number
from connectors.sdk.organisations import Organisation, Organisations, load_organisations
from connectors.sdk.port import Limits, Transport
from gateway.caller.model import Caller
from gateway.connector_commands import casting
from gateway.connector_commands.playing import Overheard, played
from gateway.connector_commands.refusals import CannotDo
from gateway.errors import GatewayError
from gateway.merge import Merger, source_types
from gateway.policy.decide import Policy
from gateway.replay.account import Line, account
from gateway.replay.passage import Passage, Steps
from gateway.replay.sent import numbers_in, sent_in
from gateway.sealed import MASTER_KEY_BYTES, Sealer
from gateway.settings import Settings, load_settings
from gateway.view import View

_MOST_BYTES: Final = Limits().max_bytes
_Replaying = Callable[[Sequence[bytes], str], Transport]


@dataclass(frozen=True, slots=True)
class Order:
    """What was typed."""

    name: str
    files: Sequence[Path]
    nhs_number: str | None = field(default=None, repr=False)
    acting_as: str = "gp"
    ods: str | None = None
    organisations: Path | None = None
    config: Path | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of it.

    `numbers` are the NHS numbers that the report must not tell. `others` is True where the Patients of the payloads
    carry NHS numbers, and none of them the one that was asked about.
    """

    connector: str
    organisation: Organisation
    passage: Passage
    lines: list[Line]
    numbers: frozenset[str] = field(repr=False)
    others: bool = False

    @property
    def caller(self) -> Caller:
        """Who would see it."""
        return self.passage.steps.caller


@dataclass(frozen=True, slots=True)
class _Site:
    """What decides: who takes part, and the policies in force."""

    organisations: Organisations
    policy: Policy
    policies: Path


def run(order: Order) -> Replayed:
    """Replay. Raises CannotDo, or ConfigurationError or SettingsError where a file of the site is wrong."""
    manifest = _manifest(order.name)
    replaying = _replaying(manifest)
    payloads = [_read(file) for file in order.files]
    for file, payload in zip(order.files, payloads, strict=True):
        _check(file, payload)
    sent = sent_in(payloads)
    known = {number for number in numbers_in(sent) if is_nhs_number(number)}
    nhs_number = _number(order.nhs_number, known)
    site = _site(order)
    organisation = casting.source(manifest, site.organisations, order.ods)
    caller = casting.caller(order.acting_as, organisation, site.organisations, site.policies)
    steps = _steps(caller, organisation, site)
    overheard = Overheard(_transport(replaying, payloads, nhs_number))
    passage = asyncio.run(played(organisation, site.organisations, nhs_number, steps, overheard))
    ids = (str(one.resource.get("id")) for one in sent if one.type == "Patient")
    hidden = frozenset({nhs_number, *known, *filter(is_nhs_number, ids)})
    lines = account(sent, passage, overheard.keys())
    return Replayed(order.name, organisation, passage, lines, hidden, bool(known) and nhs_number not in known)


def _manifest(name: str) -> Manifest:
    try:
        return load_manifest(name)
    except LookupError as error:
        raise CannotDo(str(error.args[0])) from error


def _replaying(manifest: Manifest) -> _Replaying:
    """The connector's own `replaying`. Raises CannotDo where it has none."""
    module = f"connectors.{manifest.served_by}.replay"
    try:
        found: _Replaying = importlib.import_module(module).replaying
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise CannotDo(
            f"{manifest.served_by} can't be replayed yet. Write connectors/{manifest.served_by}/replay.py with "
            "replaying(payloads, nhs_number) -> Transport (connectors/README.md, Where is it?)."
        ) from error
    return found


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise CannotDo(f"{file} is larger than any answer that a source may send ({_MOST_BYTES >> 20} MiB).")
        return file.read_bytes()
    except OSError as error:
        raise CannotDo(f"{file} can't be read ({error.strerror}). Name a saved payload.") from error


def _check(file: Path, payload: bytes) -> None:
    """Raises CannotDo for what isn't FHIR JSON; the text quotes nothing of it."""
    try:
        sent_in([payload])
    except ValueError as error:
        raise CannotDo(f"{file} is not FHIR in JSON. Name a payload as the source sent it.") from error


def _number(given: str | None, known: set[str]) -> str:
    """The NHS number to ask about: the one that was given, else the only one in the payloads. Raises CannotDo."""
    if given is None:
        if len(known) == 1:
            return next(iter(known))
        why = (
            "The Patients in these files carry several NHS numbers"
            if known
            else "No Patient here has a valid NHS number"
        )
        raise CannotDo(f"{why}. Say whose record it is, with --nhs-number.")
    try:
        return parse_nhs_number(given)
    except ValueError as error:
        raise CannotDo(str(error)) from error


def _site(order: Order) -> _Site:
    settings = load_settings(order.config) if order.config else None
    shipped = {name: about.default for name, about in Settings.model_fields.items()}
    file = order.organisations or (settings.organisations_file if settings else shipped["organisations_file"])
    policies = settings.policies_dir if settings else shipped["policies_dir"]
    policy = Policy.load(policies, settings.label_files if settings else ())
    return _Site(load_organisations(file), policy, policies)


def _steps(caller: Caller, organisation: Organisation, site: _Site) -> Steps:
    """Raises CannotDo where nobody in that role opens a record."""
    organisations = Organisations({organisation.ods: organisation})
    view = View(site.policy, source_types(organisations))
    try:
        view.require_may_open(caller)
    except GatewayError as error:
        raise CannotDo(error.told) from error
    if not caller.job_role_code:
        raise CannotDo(f"Nobody is {caller.role} in a {caller.organisation_type}. Choose another role or organisation.")
    address = (organisation.address or "").rstrip("/")
    merger = Merger(Sealer(secrets.token_bytes(MASTER_KEY_BYTES)), organisations)
    return Steps(merger, view, caller, casting.permission(caller), lambda _: address)


def _transport(replaying: _Replaying, payloads: Sequence[bytes], nhs_number: str) -> Transport:
    try:
        return replaying(payloads, nhs_number)
    except (SourceError, ValueError) as error:
        # A SourceError's text holds nothing of what was sent; another's might.
        why = str(error) if isinstance(error, SourceError) else "they are of another kind"
        raise CannotDo(f"These files can't be replayed: {why}.") from error
