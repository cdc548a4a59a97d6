"""What a privacy officer does with the cases of their organisation's staff: reads, questions, judges, notes.

    open ──> questioned ──> justified | not-justified        an open one may be judged at once; a judged one stays so

Whoever reads or moves a case is a row, on the disk before anything is returned. Nobody reads or judges a case that is
about themselves. A case holds no clinical content, and nothing here leads to any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import msgspec

from gateway.audit.bound import bound_to
from gateway.audit.journal import Journal
from gateway.audit.row import Kind, Row
from gateway.audit.scrub import scrub
from gateway.caller.model import Caller
from gateway.choice.may import JUDGE_CASE, READ_DESK, May, demand
from gateway.choice.model import Permission
from gateway.choice.number import nhs_number_of
from gateway.desk.looks import Looks, looks
from gateway.desk.model import JUDGED, CaseEntry, CaseFile, CaseKind, CaseStatus
from gateway.errors import BadRequest, Conflict, NotFound, Refusal
from gateway.sealed import Sealer
from gateway.store.interface import CaseStore, JournalStore, PermissionStore
from gateway.store.moments import Clock

LONGEST_NOTE: Final = 2000
MOST_ON_A_PAGE: Final = 200
_BATCH: Final = 200
_UNJUDGED: Final = frozenset(CaseStatus) - JUDGED
_NEXT: Final[Mapping[CaseStatus, frozenset[CaseStatus]]] = {
    CaseStatus.OPEN: frozenset({CaseStatus.QUESTIONED}) | JUDGED,
    CaseStatus.QUESTIONED: JUDGED,
    CaseStatus.JUSTIFIED: frozenset(),
    CaseStatus.NOT_JUSTIFIED: frozenset(),
}


def next_of(status: CaseStatus) -> frozenset[CaseStatus]:
    """What a case of this status may become."""
    return _NEXT[status]


class DeskStore(CaseStore, JournalStore, PermissionStore, Protocol):
    """What the desk asks of the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which cases; every condition given must hold. `organisation` can only be the officer's own."""

    status: frozenset[CaseStatus] | None = None
    kinds: frozenset[CaseKind] | None = None
    overdue: bool | None = None
    nhs_number: str | None = None
    organisation: str | None = None

    @property
    def said(self) -> str:
        """For the audit row. The patient is in the row's own field."""
        named = (
            ("status", ",".join(sorted(self.status or ()))),
            ("kinds", ",".join(sorted(self.kinds or ()))),
            ("overdue", "" if self.overdue is None else str(self.overdue).lower()),
        )
        return " ".join(["cases", *(f"{name}={value}" for name, value in named if value)])


@dataclass(frozen=True, slots=True)
class CasePage:
    """Cases, oldest due first, and `after` to go on from (None on the last page)."""

    files: tuple[CaseFile, ...]
    after: int | None


@dataclass(frozen=True, slots=True)
class Opened:
    """A case with what an officer needs to judge it: the permission that was used, and the rows that it is about."""

    file: CaseFile
    permission: Permission | None
    looks: Looks


class Desk:
    """Lets those read and judge whom policy lets, about their own organisation's staff; each step is a row."""

    def __init__(self, store: DeskStore, sealer: Sealer, journal: Journal, may: May, clock: Clock) -> None:
        self._store = store
        self._sealer = sealer
        self._journal = journal
        self._may = may
        self._clock = clock

    def now(self) -> datetime:
        """The moment by which a case is overdue or not."""
        return self._clock()

    async def queue(
        self, caller: Caller, wanted: Wanted, request_id: str, *, after: int = 0, limit: int = 50, door: str
    ) -> CasePage:
        """One page. For the next, hand back the page's `after`.

        Raises Refusal, for another organisation's cases too; BadRequest for a wrong NHS number or page size.
        """
        async with self._journal.refusals(caller, request_id, door, nhs_number=wanted.nhs_number):
            demand(self._may, READ_DESK, caller)
            _check(wanted, caller, limit)
            patient = nhs_number_of(wanted.nhs_number) if wanted.nhs_number is not None else None
        subject = f"{wanted.said} after={after}"
        await self._journal.append(
            self._journal.row(Kind.AUDIT_READ, caller, request_id, door, nhs_number=patient, subject=subject)
        )
        tag = self._sealer.patient_tag(patient) if patient else None
        return await self._page(wanted, caller.organisation, tag, after, limit)

    async def _page(self, wanted: Wanted, organisation: str, tag: str | None, after: int, limit: int) -> CasePage:
        """Cases come in the order in which they were opened, and what was opened first is due first."""
        now, status, found, last = self._clock(), wanted.status, list[CaseFile](), after
        if wanted.overdue:
            status = _UNJUDGED if status is None else status & _UNJUDGED
        while True:
            batch = await self._store.cases(
                status=status, kinds=wanted.kinds, patient=tag, organisation=organisation, after=after, limit=_BATCH
            )
            for after, file in batch:
                if wanted.overdue not in (None, file.is_overdue(now)):
                    continue
                if len(found) == limit:
                    return CasePage(tuple(found), last)
                found.append(file)
                last = after
            if len(batch) < _BATCH:
                return CasePage(tuple(found), None)

    async def read(self, caller: Caller, case_id: str, request_id: str, *, door: str) -> Opened:
        """One case, with its history. Raises Refusal, for a case about the officer too; NotFound for an unknown one and
        for one of another organisation's staff."""
        async with self._journal.refusals(caller, request_id, door):
            demand(self._may, READ_DESK, caller)
            file = await self._file(caller, case_id)
        await self._journal.append(self._row(Kind.AUDIT_READ, caller, file, request_id, door))
        permission = await self._store.permission(file.case.permission) if file.case.permission else None
        return Opened(file, permission, await looks(self._store, file))

    async def move(
        self,
        caller: Caller,
        case_id: str,
        to: CaseStatus,
        note: str,
        request_id: str,
        *,
        seen: int | None = None,
        door: str,
    ) -> CaseFile:
        """Question or judge a case; durable when this returns. `seen` is the number of the newest entry that the
        officer has read.

        Raises Refusal, NotFound, BadRequest for a note that is missing, and Conflict where the case is judged already,
        or somebody else was first.
        """
        async with self._journal.refusals(caller, request_id, door):
            file = await self._judged_by(caller, case_id, note, seen)
            if to not in _NEXT[file.status]:
                raise _no_way(file.status, to)
            return await self._write(caller, file, to, note, request_id, door)

    async def note(
        self, caller: Caller, case_id: str, note: str, request_id: str, *, seen: int | None = None, door: str
    ) -> CaseFile:
        """Add a note; the status stays, and a judged case may get one too. Raises as `move`."""
        async with self._journal.refusals(caller, request_id, door):
            file = await self._judged_by(caller, case_id, note, seen)
            return await self._write(caller, file, file.status, note, request_id, door)

    async def _judged_by(self, caller: Caller, case_id: str, note: str, seen: int | None) -> CaseFile:
        demand(self._may, JUDGE_CASE, caller)
        _check_note(note)
        file = await self._file(caller, case_id)
        if seen is not None and seen != len(file.entries):
            raise _somebody_was_first()
        return file

    async def _file(self, caller: Caller, case_id: str) -> CaseFile:
        file = await self._store.case(case_id)
        if file is None or file.case.organisation != caller.organisation:
            raise NotFound(
                "There is no case with this id about your organisation's staff. POST /desk/_search lists those there "
                "are.",
                rule="desk.no-case",
            )
        if self._is_about(caller, file):
            raise Refusal(
                "This case is about you, as the one who looked or as the patient. Another privacy officer of your "
                "organisation must take it.",
                rule="desk.own-case",
            )
        return file

    def _is_about(self, caller: Caller, file: CaseFile) -> bool:
        """In whichever role they looked; and where their token says who they are, about them as the patient."""
        number = caller.themselves.nhs_number
        is_patient = number is not None and file.case.patient == self._sealer.patient_tag(number)
        return file.case.user_id == caller.user_id or is_patient

    async def _write(
        self, caller: Caller, file: CaseFile, status: CaseStatus, note: str, request_id: str, door: str
    ) -> CaseFile:
        number = len(file.entries) + 1
        row = self._row(
            Kind.CASE_MOVED, caller, file, request_id, door, detail=f"{file.case.kind}: {file.status} -> {status}"
        )
        entry = CaseEntry(
            case=file.case.id,
            number=number,
            at=row.at,
            by=caller.user_id,
            by_name=caller.name,
            status=status,
            note=self._sealer.seal_text(scrub(note.strip()), f"{file.case.id}:{number}"),
        )
        written = msgspec.structs.replace(row, cases=[file.case.id], bound=bound_to(entry))
        if not await self._store.move_case(entry, written):
            raise _somebody_was_first()
        return CaseFile(case=file.case, entries=(*file.entries, entry))

    def _row(self, kind: Kind, caller: Caller, file: CaseFile, request_id: str, door: str, *, detail: str = "") -> Row:
        sealed = file.case.sealed_patient
        patient = self._sealer.open_patient(sealed) if sealed else None
        row = self._journal.row(kind, caller, request_id, door, nhs_number=patient, detail=detail)
        # Set here, since the scrub of free text could take digits of the id for an NHS number.
        return msgspec.structs.replace(row, subject=f"case {file.case.id}")


def _check(wanted: Wanted, caller: Caller, limit: int) -> None:
    if wanted.organisation not in (None, caller.organisation):
        raise Refusal(
            f"You see the cases of your own organisation's staff ({caller.organisation}). Ask the other organisation's "
            "privacy officer.",
            rule="desk.other-organisation",
        )
    if not 1 <= limit <= MOST_ON_A_PAGE:
        raise BadRequest(f"A page has 1 to {MOST_ON_A_PAGE} cases.", rule="desk.page-size", expression="limit")


def _check_note(note: str) -> None:
    if not any(map(str.isalpha, note)):
        raise BadRequest(
            "Say in a note what you asked, heard or decided, and why: whoever reads the case later must understand it.",
            rule="desk.note-missing",
            expression="note",
        )
    if len(note) > LONGEST_NOTE:
        raise BadRequest(
            f"The note is too long. Say it in {LONGEST_NOTE} characters.", rule="desk.note-too-long", expression="note"
        )


def _no_way(at: CaseStatus, to: CaseStatus) -> Conflict:
    if at in JUDGED:
        return Conflict(
            f"This case was judged {at.value} already, and stays so. Add what has come to light since with POST "
            "/desk/{id}/_note.",
            rule="desk.judged",
        )
    ways = " or ".join(sorted(way.value for way in _NEXT[at]))
    return Conflict(f"This case is {at.value}: it can become {ways}, not {to.value}.", rule="desk.no-such-move")


def _somebody_was_first() -> Conflict:
    return Conflict(
        "Somebody else wrote to this case since you read it. Read it again with GET /desk/{id}, and decide anew.",
        rule="desk.somebody-was-first",
    )
