"""What somebody wants to try, checked: whom to ask, about whom, on whose behalf, and why. Nothing is asked here."""

from __future__ import annotations

import getpass
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from connectors.sdk.grades import is_local
from connectors.sdk.manifest import load_manifest
from connectors.sdk.model import Section
from connectors.sdk.nhs_number import parse_nhs_number
from connectors.sdk.organisations import SANDBOX_ADDRESS, Organisation, Organisations, load_organisations
from gateway.caller.model import STAFF, KnownCaller, Role
from gateway.caller.roles import load_job_roles
from gateway.connector_commands.refusals import CannotDo
from gateway.policy.decide import Policy
from gateway.settings import Settings

DOOR: Final = "connectcare connector try"
OPERATOR: Final = "operator"
"""The role of somebody who asks in no clinical role; no policy knows it, so it opens no record at any door."""

_USER_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{1,63}", re.ASCII)
_TICKET: Final = re.compile(r"[A-Z]{1,10}-[0-9]{1,8}", re.ASCII)


class Reason(StrEnum):
    """Why. A list, since what people write may tell of a patient, and the journal holds nothing that does."""

    CONNECTING = "connecting"
    FAULT = "fault"
    CONTRACT_RUN = "contract-run"
    DRILL = "drill"


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed."""

    name: str
    nhs_number: str
    config: Path
    reason: str
    ods: str | None = None
    organisations: Path | None = None
    acting_as: str | None = None
    user_id: str | None = None
    ticket: str = ""
    record: bool = False
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A wish that was checked: whom to ask, what for, and on whose behalf. `connector` does the work."""

    connector: str
    organisation: Organisation
    nhs_number: str
    sections: frozenset[Section]
    who: KnownCaller
    reason: str
    seconds: float

    @property
    def about(self) -> str:
        """For the journal: `gp_connect at G85005`."""
        return f"{self.connector} at {self.organisation.ods}"

    @property
    def host(self) -> str:
        """Host and port of the system that is asked."""
        return urlsplit(self.organisation.address or "").netloc.lower()


def question_of(wish: Wish, settings: Settings, policy: Policy) -> Question:
    """The question. Raises CannotDo, and ConfigurationError for a broken manifest or organisations file."""
    try:
        connector = load_manifest(wish.name).served_by
        nhs_number = parse_nhs_number(wish.nhs_number)
    except LookupError as error:
        raise CannotDo(str(error.args[0])) from error
    except ValueError as error:
        raise CannotDo(str(error)) from error
    file = wish.organisations or settings.organisations_file
    organisations = load_organisations(file, addresses=settings.addresses)
    organisation = _organisation(organisations, connector, wish.ods)
    _check_address(organisation, settings)
    who, may_see = _who(wish, organisations, settings, policy)
    sections = organisation.sections & may_see | {Section.DEMOGRAPHICS}
    reason = _reason(wish)
    if wish.record:
        _check_recordable(wish, organisation, sections)
    seconds = min(settings.deadline, organisation.budget)
    return Question(connector, organisation, nhs_number, sections, who, reason, seconds)


def _organisation(organisations: Organisations, connector: str, ods: str | None) -> Organisation:
    """The organisation to ask, at whatever stage it is: it's tried before it is live, and after it was suspended."""
    if ods is None:
        behind = [entry for entry in organisations.listed() if entry.connector == connector]
        if len(behind) == 1:
            return behind[0]
        groups = [group for group in organisations.groups() if group.entry.connector == connector]
        codes = [*(entry.ods for entry in behind[:20]), *(f"each of {group.name}" for group in groups)]
        if not codes:
            raise CannotDo(f"No entry has connector: {connector}. Add one, or name its file with --organisations.")
        raise CannotDo(f"Say which organisation, with --ods: {connector} stands in front of {', '.join(codes)}.")
    found = organisations.get(ods)
    if found is None or found.connector != connector:
        raise CannotDo(f"{ods[:20]} has no entry with connector: {connector}. Add it, or correct --ods.")
    return found


def _check_address(organisation: Organisation, settings: Settings) -> None:
    address = organisation.address or ""
    if address == SANDBOX_ADDRESS:
        raise CannotDo(
            f"{organisation.ods} is at a sandbox address. Give its own, or under addresses: in the settings."
        )
    if not settings.is_demo and urlsplit(address).scheme != "https":
        raise CannotDo(f"{organisation.ods} has a plain HTTP address. Give the https address of its system.")


def _check_recordable(wish: Wish, organisation: Organisation, sections: frozenset[Section]) -> None:
    """Raises CannotDo for what could never be recorded: nobody's record is opened for that."""
    if not wish.owner.strip():
        raise CannotDo("Nobody is asked: say who answers for the connection, with --owner.")
    parts = urlsplit(organisation.address or "")
    if parts.scheme != "https" or is_local(parts.netloc.lower()):
        raise CannotDo(
            f"Nobody is asked: {organisation.ods} has no test endpoint of its own to record. Give its https address."
        )
    if not organisation.sections <= sections:
        raise CannotDo("Nobody is asked: a contract run needs every section. Leave out --as, or choose another role.")


def _who(
    wish: Wish, organisations: Organisations, settings: Settings, policy: Policy
) -> tuple[KnownCaller, frozenset[Section]]:
    """Who asks, by name, and which sections that person's stated role may see."""
    user_id = wish.user_id or getpass.getuser()
    if not _USER_ID.fullmatch(user_id):
        raise CannotDo("--user-id must be an identifier of letters, digits and . _ @ - with no spaces.")
    if wish.acting_as is None:
        return _operator(user_id, OPERATOR), frozenset(Section)
    role_name, _, ods = wish.acting_as.partition("@")
    own = organisations.get(ods)
    if role_name not in STAFF or own is None:
        raise CannotDo(
            f"--as must be ROLE@ODS, a role you hold in an organisation that takes part: {', '.join(STAFF)}."
        )
    role = Role(role_name)
    table = load_job_roles(settings.policies_dir / "job-roles.yaml")
    held = [code for code, type_, meant in table if (type_, meant) == (own.type, role)]
    may_see = policy.sections_for(role, own.type)
    if not held or not may_see:
        raise CannotDo(f"No {role} of {own.ods} ({own.type}) may see a record. Choose another role or organisation.")
    return _operator(user_id, role, own, held[0]), may_see


def _operator(user_id: str, role: str, own: Organisation | None = None, job_role_code: str = "") -> KnownCaller:
    return KnownCaller(
        issuer=DOOR,
        token_id="",
        user_id=user_id,
        name=user_id,
        job_role_code=job_role_code,
        role=role,
        organisation=own.ods if own else "",
        organisation_name=own.name if own else "",
        organisation_type=own.type if own else "",
        purpose="HSYSADMIN",
    )


def _reason(wish: Wish) -> str:
    if wish.reason not in list(Reason):
        raise CannotDo(f"--reason must be one of: {', '.join(Reason)}.")
    if wish.ticket and not _TICKET.fullmatch(wish.ticket):
        raise CannotDo("--ticket must look like CHG-1042.")
    return f"{wish.reason} {wish.ticket}".strip()
