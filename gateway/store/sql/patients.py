"""The journal's rows, and the patient's say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from gateway.audit.row import Kind, Row
from gateway.choice.model import Permission, SharingChoice
from gateway.desk.model import Case
from gateway.store import decided
from gateway.store.kept import Kept
from gateway.store.last_check import RELEASES
from gateway.store.moments import to_micros
from gateway.store.sql.base import MOST_ROWS, SqlBase
from gateway.store.tables import choices, erasure, journal, log, permissions

ERASED_AT_ONCE: Final = 500
"""Rows in one transaction: erasing years of them mustn't keep everybody else waiting."""


class SqlJournal(SqlBase):
    """`JournalStore`"""

    async def append(self, row: Row) -> int:
        return await self._write(journal.append, row)

    async def release(self, row: Row, cases: Sequence[Case] = ()) -> int:
        if row.kind not in RELEASES:
            raise ValueError("only a release row can be released")
        return await self._unless_refused(decided.release, row, cases, self._clock)

    async def rows(
        self,
        *,
        patient: str | None = None,
        kinds: frozenset[Kind] | None = None,
        user_id: str | None = None,
        organisation: str | None = None,
        request_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: int = 0,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Kept]:
        """As the interface says; at most `MOST_ROWS` at once."""
        wanted = {
            "after": after,
            "before": before,
            "patient": patient,
            "user_id": user_id,
            "organisation": organisation,
            "request_id": request_id,
            "since": to_micros(since) if since else None,
            "until": to_micros(until) if until else None,
        }
        return await self._read(journal.select_rows, wanted, kinds, max(0, min(limit, MOST_ROWS)))

    async def patients_seen(self, caller: str, since: datetime) -> int:
        return await self._read(journal.patients_seen, caller, since)

    async def erase(self, *, before: datetime | None = None, patient: str | None = None, row: Row) -> int:
        """As the interface says, in transactions of `ERASED_AT_ONCE` rows.

        Each of them appends its own `row`, with how many it erased in `total`: so a kill in the middle leaves no row
        erased of which the log doesn't say so.
        """
        if (before is None and patient is None) or row.kind is not Kind.ERASED:
            raise ValueError("erasing needs a moment or a patient, and a row that says so")
        until, erased, seqs = (await self._read(log.head)).size, 0, list[int]()
        while True:
            after = seqs[-1] if seqs else 0
            seqs = await self._read(erasure.erasable, before, patient, after, until, ERASED_AT_ONCE)
            if seqs or not after:
                erased += await self._write(decided.erase, seqs, row)
            if len(seqs) < ERASED_AT_ONCE:
                return erased


class SqlChoices(SqlBase):
    """`ChoiceStore`"""

    async def current_choice(self, patient: str) -> SharingChoice | None:
        return await self._read(choices.current_choice, patient)

    async def choices(self, patient: str) -> list[SharingChoice]:
        return await self._read(choices.select_choices, patient)

    async def record_choice(self, choice: SharingChoice, row: Row) -> int:
        return await self._write(decided.record_choice, choice, row)


class SqlPermissions(SqlBase):
    """`PermissionStore`"""

    async def permission_for(self, caller: str, patient: str, moment: datetime) -> Permission | None:
        return await self._read(permissions.permission_for, caller, patient, moment)

    async def permission(self, permission_id: str) -> Permission | None:
        return await self._read(permissions.permission_by_id, permission_id)

    async def permissions_of(self, caller: str) -> list[Permission]:
        return await self._read(permissions.permissions_of, caller)

    async def permissions_about(self, patient: str) -> list[Permission]:
        return await self._read(permissions.permissions_about, patient)

    async def grant(self, permission: Permission, row: Row, case: Case | None = None) -> int:
        return await self._unless_refused(decided.grant, permission, row, case, self._clock)

    async def withdraw(self, permission_id: str, moment: datetime, row: Row) -> bool:
        return await self._write(decided.withdraw, permission_id, moment, row)

    async def withdraw_all(self, patient: str, moment: datetime, row: Row) -> list[str]:
        return await self._write(decided.withdraw_all, patient, moment, row)
