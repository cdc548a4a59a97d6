"""What privacy officers work with: cases, colleagues, and the policies of the day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.audit.row import Row
from gateway.desk.model import Case, CaseEntry, CaseFile, CaseKind, CaseStatus
from gateway.store import decided
from gateway.store.sql.base import MOST_ROWS, SqlBase
from gateway.store.tables import cases, kept, staff


class SqlCases(SqlBase):
    """`CaseStore`"""

    async def open_case(self, case: Case, row: Row) -> bool:
        return await self._write(decided.open_case, case, row)

    async def move_case(self, entry: CaseEntry, row: Row) -> bool:
        return await self._write(decided.move_case, entry, row)

    async def case(self, case_id: str) -> CaseFile | None:
        return await self._read(cases.case_by_id, case_id)

    async def cases(
        self,
        *,
        status: frozenset[CaseStatus] | None = None,
        kinds: frozenset[CaseKind] | None = None,
        patient: str | None = None,
        organisation: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> list[tuple[int, CaseFile]]:
        """As the interface says; at most `MOST_ROWS` at once."""
        wanted: dict[str, Sequence[Any]] = {}
        if kinds is not None:
            wanted["kind"] = sorted(kinds)
        if patient is not None:
            wanted["patient"] = [patient]
        if organisation is not None:
            wanted["organisation"] = [organisation]
        return await self._read(cases.select_cases, status, wanted, after, max(0, min(limit, MOST_ROWS)))


class SqlStaff(SqlBase):
    """`StaffStore`"""

    async def note_staff(self, organisation: str, user: str, patient: str) -> None:
        await self._write(staff.note_staff, organisation, user, patient)

    async def works_at(self, organisation: str, patient: str, *, other_than: str) -> bool:
        return await self._read(staff.works_at, organisation, patient, other_than)


class SqlPolicies(SqlBase):
    """`PolicyStore`"""

    async def keep_policy(self, policy_hash: str, content: bytes) -> None:
        await self._write(kept.keep_policy, policy_hash, content)

    async def policy(self, policy_hash: str) -> bytes | None:
        return await self._read(kept.policy, policy_hash)

    async def policy_hashes(self) -> list[str]:
        return await self._read(kept.policy_hashes)
