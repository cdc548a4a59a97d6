"""The one narrow interface behind which the journal, the choices and the permissions live.

`Store` is the sum of narrower ones, so that a part can ask for no more than it needs. Every method that writes is
durable when it returns (group commit, one fsync a batch) and raises `AuditUnavailable` where it can't be: then nothing
was written, or nobody can tell. Patients are named by keyed tag (64 hexadecimal digits), never by NHS number.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from gateway.audit.row import Kind, Row
from gateway.choice.model import Permission, SharingChoice
from gateway.desk.model import Case, CaseEntry, CaseFile, CaseKind, CaseStatus
from gateway.store.kept import Entry, Filed, Holding, Kept, KeptCheckpoint, LogDamaged

__all__ = [
    "CaseStore",
    "CheckpointStore",
    "ChoiceStore",
    "Entry",
    "Filed",
    "FollowerStore",
    "Holding",
    "JournalStore",
    "Kept",
    "KeptCheckpoint",
    "KeyStore",
    "LogDamaged",
    "LogStore",
    "PermissionStore",
    "PolicyStore",
    "StaffStore",
    "Store",
    "StoreUnusable",
]


class StoreUnusable(Exception):
    """The store can't be opened, so the gateway doesn't start. The text says why, and what to do."""


class KeyStore(Protocol):
    """Which master key the store was written with."""

    async def hold_to_key(self, fingerprint: str, opens: Callable[[str], bool]) -> None:
        """Keep the master key's fingerprint at the first start, and compare it at every later one.

        Patients are found by keyed tag, so with another key every opt-out would silently be forgotten. A store that
        was written before fingerprints were kept is taken over only where `opens` says that this key sealed what it
        holds. Raises StoreUnusable where the key is another one, or where that can't be found out.
        """
        ...


class JournalStore(Protocol):
    """Rows: written once, and read."""

    async def append(self, row: Row) -> int:
        """Durably append one row; returns its sequence number."""
        ...

    async def release(self, row: Row, cases: Sequence[Case] = ()) -> int:
        """Append a release row, if the patient has not opted out and the permission `row.permission` still holds.

        The answer to a search for a person needs no permission: it says who somebody is, and shows no record. A
        disclosure that the law requires needs none either, and for it `last_check.release_objection` says what a choice
        bars. `cases` are opened in the same transaction; a case of the same kind, caller and patient that is still open
        stands for the new one.

        Choice and permission are re-read inside the same transaction. Where either says no, a refusal row (rule
        `choice.opted-out` or `permission.ended`) is committed instead and `OptedOut` / `NoPermission` is raised; no
        case is opened then."""
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

    async def patients_seen(self, caller: str, since: datetime) -> int:
        """How many different patients' records were released to this caller (binding key) since the moment."""
        ...

    async def erase(self, *, before: datetime | None = None, patient: str | None = None, row: Row) -> int:
        """Erase rows (content, salt and what names anybody besides the patient's tag; the commitment stays) that are
        older than `before`, of `patient`, or both. Returns how many. Rows that say what was erased, and sharing choices
        in force, are never erased.

        It is done in transactions of a bounded number of rows, so that nobody waits long for the journal, and each of
        them appends `row`, with how many rows it erased (`Row.total`) and which (`Row.erased`): after a kill in the
        middle, too, the log says of every erased row that it was. One row is written where there was none to erase."""
        ...


class ChoiceStore(Protocol):
    """The standing sharing choices."""

    async def current_choice(self, patient: str) -> SharingChoice | None:
        """The newest sharing choice of the patient, or None where none was ever recorded."""
        ...

    async def choices(self, patient: str) -> list[SharingChoice]:
        """The whole history, oldest first."""
        ...

    async def record_choice(self, choice: SharingChoice, row: Row) -> int:
        """The choice and its row, in one transaction. An opt-out ends, in that very transaction, every permission about
        the patient that still holds, and binds each in the row as it stands after (`Row.bound`): who opts back in is
        asked anew, and no permission from before holds again."""
        ...


class PermissionStore(Protocol):
    """Permissions at the point of care."""

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

    async def grant(self, permission: Permission, row: Row, case: Case | None = None) -> int:
        """The permission, its row, and the case that it opens, in one transaction. Raises `OptedOut` (and commits a
        refusal row) where the patient has opted out; for a permission that extends another, `NoPermission` where that
        one doesn't hold any more."""
        ...

    async def withdraw_all(self, patient: str, moment: datetime, row: Row) -> list[str]:
        """End every permission about the patient that still holds, with one row, in one transaction; their ids. The row
        is written where there was none to end, too: it is the patient's word. Each that ended is bound in the row as it
        stands after (`Row.bound`)."""
        ...

    async def withdraw(self, permission_id: str, moment: datetime, row: Row) -> bool:
        """End a permission, with its row, in one transaction; False (and no row) where it had ended already."""
        ...


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


class LogStore(Protocol):
    """The journal as a Merkle log. Reading it raises `LogDamaged` where the store doesn't hold what it is made of."""

    async def log_size(self) -> int:
        """How many rows the log holds."""
        ...

    def entries(
        self, *, after: int = 0, until: int | None = None, patient: str | None = None
    ) -> AsyncIterator[Sequence[Entry]]:
        """The log's rows with numbers over `after` and up to `until`, in order, in batches. All of a patient's alone
        where one is named."""
        ...

    async def range_hash(self, first: int, last: int) -> bytes:
        """The RFC 6962 hash of the leaves `first` (0-based, inclusive) to `last` (exclusive): a complete subtree, or
        the ragged right end. Costs no more than a few hundred hashes whatever the log's size: roots of complete
        subtrees of 256 leaves, and of 256 of those, are kept."""
        ...

    async def holdings(self, *, after: int, until: int) -> list[Holding]:
        """For each patient with a row numbered over `after` and up to `until`: what the log holds of them up to
        `until`."""
        ...


class CheckpointStore(Protocol):
    """Signed checkpoints, and the patients' map as of the newest."""

    async def map_nodes(self, paths: Sequence[bytes]) -> dict[bytes, bytes]:
        """Nodes of the patients' map by path (`patient_map`); those that aren't there are left out."""
        ...

    async def add_checkpoint(self, kept: KeptCheckpoint, nodes: Mapping[bytes, bytes | None], expected: int) -> bool:
        """The checkpoint, with the map's nodes as it says they are (None removes one), in one transaction. False (and
        nothing written) where the newest checkpoint isn't that of size `expected` (0: none) any more."""
        ...

    async def checkpoints(self, *, after: int = 0, limit: int = 1000) -> list[KeptCheckpoint]:
        """Signed checkpoints of sizes over `after`, oldest first."""
        ...

    async def newest_checkpoint(self) -> KeptCheckpoint | None:
        """The one with the greatest size."""
        ...


class FollowerStore(Protocol):
    """How far each follower of the journal (an outbox) has come."""

    async def position(self, follower: str) -> int:
        """The number of the last row that a follower of the journal (an outbox) has dealt with; 0 at first."""
        ...

    async def move_position(self, follower: str, seq: int) -> None:
        """Say so durably."""
        ...

    def follow(self, follower: str) -> AbstractAsyncContextManager[bool]:
        """Be the one who follows under this name, among all who share the store, for as long as the context lasts.

        Yields False where somebody else is, or where it can't be found out. On SQLite that is anybody else in this
        process, since no other one writes; on PostgreSQL a session's advisory lock. A lock may be lost unnoticed with
        its connection: what a follower does must bear being done twice."""
        ...


class Store(
    KeyStore,
    JournalStore,
    ChoiceStore,
    PermissionStore,
    CaseStore,
    StaffStore,
    PolicyStore,
    LogStore,
    CheckpointStore,
    FollowerStore,
    Protocol,
):
    """What the gateway may ask of a store."""

    async def ready(self) -> bool:
        """True where a row could be written now."""
        ...

    async def aclose(self) -> None:
        """Commit what is queued and close."""
        ...
