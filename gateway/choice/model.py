"""The patient's say: the standing sharing choice, and the permission at the point of care."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import msgspec


class Choice(StrEnum):
    """Opted in is the default where nothing was recorded."""

    OPTED_IN = "opted-in"
    OPTED_OUT = "opted-out"


class StatedBy(StrEnum):
    """Who stated the choice."""

    PATIENT = "patient"
    PROXY = "proxy"
    REPRESENTATIVE = "representative-of-deceased"


class Channel(StrEnum):
    """How the choice reached us."""

    PHONE = "phone"
    IN_PERSON = "in-person"
    LETTER = "letter"
    EMAIL = "email"
    ONLINE = "online"


class IdentifiedBy(StrEnum):
    """How whoever recorded the choice made sure who was speaking: the ways of NHS England's good practice guidance on
    identity verification (vouching, vouching with information held in the record, proof of identity documents), and
    two of a distance. `NOT_SAID` is what was recorded before this was asked."""

    NOT_SAID = ""
    DOCUMENTS = "documents"
    KNOWN = "known-in-person"
    QUESTIONS = "questions-about-the-record"
    CALLED_BACK = "called-back"
    SIGNED_IN = "signed-in"


class SharingChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One statement of a patient's sharing choice; the newest one holds.

    `patient` is the keyed patient tag, `sealed_patient` the NHS number under authenticated encryption. `reason` is what
    was said, where anything was: sealed and bound to `id` (`Sealer.seal_text`). `proxy` says who spoke for the patient,
    where somebody did: sealed and bound to `id:proxy`. `identified_by` is how it was made sure who was speaking.
    """

    id: str
    patient: str
    sealed_patient: str
    choice: Choice
    stated_by: StatedBy
    channel: Channel
    recorded_by: str
    recorded_by_name: str
    organisation: str
    recorded_at: datetime
    reason: str = ""
    proxy: str = ""
    identified_by: IdentifiedBy = IdentifiedBy.NOT_SAID

    @property
    def detail(self) -> str:
        """Choice, whose word it was, how it came and how they were identified: what the row of it says
        (`gateway.audit.report.choices`)."""
        identified = f", identified by {self.identified_by.value}" if self.identified_by else ""
        return f"{self.choice.value}, stated by {self.stated_by.value}, by {self.channel.value}{identified}"


class Basis(StrEnum):
    """Why a permission exists."""

    PATIENT_AGREED = "patient-agreed"
    BEST_INTERESTS = "best-interests"


class Scope(StrEnum):
    """What the patient agreed to. `INCLUDING_SENSITIVE` only where the patient agreed to just that."""

    STANDARD = "standard"
    INCLUDING_SENSITIVE = "including-sensitive"


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """Time-boxed, and bound to one caller (person, role profile, organisation) and one patient.

    `reason` is what the caller wrote, sealed and bound to `id` (`Sealer.seal_text`): it may tell of the patient's
    health, and the store holds nothing that does. `reason_code` is one of the national list's. `extends` is the id of
    the permission that this one prolongs."""

    id: str
    patient: str
    sealed_patient: str
    caller: str
    organisation: str
    basis: Basis
    scope: Scope
    reason: str
    granted_at: datetime
    expires_at: datetime
    withdrawn_at: datetime | None = None
    reason_code: str = ""
    extends: str | None = None

    def holds_at(self, moment: datetime) -> bool:
        """True where it was neither withdrawn nor expired at that moment (an expiry is exclusive)."""
        return self.withdrawn_at is None and self.granted_at <= moment < self.expires_at

    def ran_out(self, moment: datetime) -> bool:
        """True where its time was over by then, and nobody had ended it: then what was given before may hold yet."""
        return self.withdrawn_at is None and moment >= self.expires_at


def in_force(permissions: Iterable[Permission], moment: datetime) -> list[Permission]:
    """Those that hold at that moment, of a list that is newest first: of each caller's, only the newest can that didn't
    just run out."""
    newest: dict[str, Permission] = {}
    for permission in permissions:
        if not permission.ran_out(moment):
            newest.setdefault(permission.caller, permission)
    return [permission for permission in newest.values() if permission.holds_at(moment)]
