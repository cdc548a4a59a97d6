"""What a privacy officer's desk holds: cases, and what was said and decided about each. Never clinical content."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec


class CaseKind(StrEnum):
    """Why somebody must look into it."""

    BEST_INTERESTS = "best-interests"
    OWN_RECORD = "own-record"
    SAME_SURNAME = "same-surname"
    SAME_ADDRESS = "same-address"
    COLLEAGUE = "colleague"
    UNUSUAL_VOLUME = "unusual-volume"
    NO_RELATIONSHIP = "no-relationship"


class CaseStatus(StrEnum):
    """open -> questioned -> justified | not justified; an open one may be judged without a question."""

    OPEN = "open"
    QUESTIONED = "questioned"
    JUSTIFIED = "justified"
    NOT_JUSTIFIED = "not-justified"


JUDGED: Final = frozenset({CaseStatus.JUSTIFIED, CaseStatus.NOT_JUSTIFIED})
"""How a case ends. A judged one stays as it was judged."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One case, as it was opened. `patient` and `sealed_patient` are None where it is about a caller's volume.

    `caller` is their binding key, `user_id`, `name`, `role` and `organisation` as at the event. `due_at` is the end of
    the next working day in London."""

    id: str
    kind: CaseKind
    patient: str | None
    sealed_patient: str | None
    caller: str
    user_id: str
    name: str
    role: str
    organisation: str
    request_id: str
    permission: str | None
    opened_at: datetime
    due_at: datetime


class CaseEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a case's history; the newest one's status is the case's. `number` is dense from 1 within the case.

    `note` is sealed and bound to `case:number` (`Sealer.seal_text`), since people write what they shouldn't.
    """

    case: str
    number: int
    at: datetime
    by: str
    by_name: str
    status: CaseStatus
    note: str


class CaseFile(msgspec.Struct, frozen=True, kw_only=True):
    """A case with its history, oldest first."""

    case: Case
    entries: tuple[CaseEntry, ...]

    @property
    def status(self) -> CaseStatus:
        """As the newest entry says; open where there is none."""
        return self.entries[-1].status if self.entries else CaseStatus.OPEN

    @property
    def judged_at(self) -> datetime | None:
        """When it was judged; None where it isn't yet. Notes may follow a judgement."""
        return next((entry.at for entry in self.entries if entry.status in JUDGED), None)

    def is_overdue(self, now: datetime) -> bool:
        """True where it should have been judged by now."""
        return self.status not in JUDGED and now > self.case.due_at
