"""What may be asked of the journal: its rows, and whose key they were written with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from gateway.audit.row import Kind, Row
from gateway.desk.model import Case
from gateway.store.kept import Kept


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
