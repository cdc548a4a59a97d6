"""The one narrow interface behind which the journal, the choices and the permissions live.

Every method that writes is durable when it returns (group commit, one fsync a batch) and raises `AuditUnavailable`
where it can't be: then nothing was written. Patients are named by keyed tag, never by NHS number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.audit.row import Kind, Row
from gateway.choice.model import Permission, SharingChoice


class StoreUnusable(Exception):
    """The store can't be opened, so the gateway doesn't start. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A row as the journal keeps it: dense sequence number from 1, and the row."""

    seq: int
    row: Row


class Store(Protocol):
    """What the gateway may ask of a store."""

    async def hold_to_key(self, fingerprint: str, opens: Callable[[str], bool]) -> None:
        """Keep the master key's fingerprint at the first start, and compare it at every later one.

        Patients are found by keyed tag, so with another key every opt-out would silently be forgotten. A store that
        was written before fingerprints were kept is taken over only where `opens` says that this key sealed what it
        holds. Raises StoreUnusable where the key is another one, or where that can't be found out.
        """
        ...

    async def append(self, row: Row) -> int:
        """Durably append one row; returns its sequence number."""
        ...

    async def release(self, row: Row) -> int:
        """Append a release row, if the patient has not opted out and the permission `row.permission` still holds.

        The answer to a search for a person needs no permission: it says who somebody is, and shows no record.

        Choice and permission are re-read inside the same transaction. Where either says no, a refusal row (rule
        `choice.opted-out` or `permission.ended`) is committed instead and `OptedOut` / `NoPermission` is raised.
        """
        ...

    async def current_choice(self, patient: str) -> SharingChoice | None:
        """The newest sharing choice of the patient, or None where none was ever recorded."""
        ...

    async def choices(self, patient: str) -> list[SharingChoice]:
        """The whole history, oldest first."""
        ...

    async def record_choice(self, choice: SharingChoice, row: Row) -> int:
        """The choice and its row, in one transaction."""
        ...

    async def permission_for(self, caller: str, patient: str, moment: datetime) -> Permission | None:
        """The newest unexpired permission of this caller for this patient, if it holds at the moment.

        An older one never stands in for one that was withdrawn or replaced.
        """
        ...

    async def permission(self, permission_id: str) -> Permission | None:
        """By id, ended ones too."""
        ...

    async def permissions_of(self, caller: str) -> list[Permission]:
        """All of a caller's permissions, newest first."""
        ...

    async def permissions_about(self, patient: str) -> list[Permission]:
        """All permissions about a patient, newest first."""
        ...

    async def grant(self, permission: Permission, row: Row) -> int:
        """The permission and its row, in one transaction. Raises `OptedOut` (and commits a refusal row) where the
        patient has opted out."""
        ...

    async def withdraw(self, permission_id: str, moment: datetime, row: Row) -> bool:
        """End a permission, with its row, in one transaction; False (and no row) where it had ended already."""
        ...

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
        """At most `limit` rows that meet every condition, in order of sequence number.

        `since` is inclusive, `until` exclusive; `after` and `before` are sequence numbers and exclusive.
        """
        ...

    async def ready(self) -> bool:
        """True where a row could be written now."""
        ...

    async def aclose(self) -> None:
        """Commit what is queued and close."""
        ...
