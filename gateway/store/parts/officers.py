"""What privacy officers need of a store."""

from __future__ import annotations

from typing import Protocol

from gateway.audit.row import Row
from gateway.desk.model import Case, CaseEntry, CaseFile, CaseKind, CaseStatus


class CaseStore(Protocol):
    """The privacy officers' cases."""

    async def open_case(self, case: Case, row: Row) -> bool:
        """A case and its row, in one transaction; False (and nothing written) where one of the same kind, caller and
        patient is still open."""
        ...

    async def move_case(self, entry: CaseEntry, row: Row) -> bool:
        """The next entry of a case and its row, in one transaction; False (and nothing written) where `entry.number`
        isn't the next one any more: somebody else was there first."""
        ...

    async def case(self, case_id: str) -> CaseFile | None:
        """A case with its history."""
        ...

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
        """Cases that meet every condition, oldest first, each with its number; `after` is such a number, exclusive."""
        ...


class StaffStore(Protocol):
    """Who is a colleague of whom, by keyed tag."""

    async def note_staff(self, organisation: str, user: str, patient: str) -> None:
        """Remember, by keyed tag alone, that a member of an organisation's staff is this patient. Again is harmless."""
        ...

    async def works_at(self, organisation: str, patient: str, *, other_than: str) -> bool:
        """Whether the patient is known to be on the organisation's staff, and isn't the user `other_than`."""
        ...


class PolicyStore(Protocol):
    """The policies that hashes in rows name."""

    async def keep_policy(self, policy_hash: str, content: bytes) -> None:
        """Keep the policies that a hash names, for those who later ask why. Again is harmless."""
        ...

    async def policy(self, policy_hash: str) -> bytes | None:
        """What `keep_policy` kept."""
        ...

    async def policy_hashes(self) -> list[str]:
        """All that were kept, in no order that means anything."""
        ...
