"""The embedded store: SQLite, one writing process, group commit.

Writes go through the one writer thread (`writer.py`); what must be decided together is decided inside its transaction.
Reads run on read-only connections in a few threads, so that neither a slow disk nor a long report holds the event loop,
and each sees everything that was acknowledged before it began.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from threading import local
from typing import Concatenate, Final, ParamSpec, TypeVar

import msgspec

from gateway.audit.row import Kind, Row
from gateway.choice.model import Permission, SharingChoice
from gateway.errors import AuditUnavailable, Refusal
from gateway.store import tables
from gateway.store.folder import Folder
from gateway.store.held_key import hold_to_key
from gateway.store.interface import Kept, StoreUnusable
from gateway.store.last_check import grant_objection, refusal_in_place_of, release_objection
from gateway.store.moments import Clock, to_micros, utc_now
from gateway.store.writer import Writer

READERS: Final = 2
MOST_ROWS: Final = 1000
_PROBE_SECONDS: Final = 2.5
_PROBE_HOLDS_SECONDS: Final = 1.0

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Statement = Callable[Concatenate[sqlite3.Connection, _P], _T]


class SqliteStore:
    """`Store` on one SQLite file in `data/store`.

    Opening it raises StoreUnusable with a sentence for the operator: the folder can't be used, another process writes
    to it, the file isn't ours or was written by a newer gateway. `max_waiting` bounds the queue of rows; beyond it
    every write answers AuditUnavailable at once. `busy_seconds` bounds the wait for a lock that somebody else holds.
    """

    def __init__(
        self,
        data: Path,
        *,
        clock: Clock = utc_now,
        max_waiting: int = 1024,
        busy_seconds: float = 2.0,
        connection_type: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> None:
        self._clock = clock
        self._busy_seconds = busy_seconds
        self._folder = Folder(data)
        try:
            connection = self._folder.writer(busy_seconds, connection_type)
        except BaseException:
            self._folder.unlock()
            raise
        self._files = self._folder.identity()
        self._writer = Writer(connection, max_waiting=max_waiting, still_there=self._still_there)
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._per_thread = local()
        self._readers: list[sqlite3.Connection] = []
        self._probed: tuple[float, bool] | None = None

    @property
    def commits(self) -> int:
        """Transactions committed since opening; rows over commits is how well group commit does."""
        return self._writer.commits

    async def hold_to_key(self, fingerprint: str, opens: Callable[[str], bool]) -> None:
        try:
            await self._write(hold_to_key, fingerprint, opens)
        except AuditUnavailable as error:
            raise StoreUnusable(f"The store can't be written ({error.detail}). Check its disk.") from error

    async def append(self, row: Row) -> int:
        return await self._write(tables.append, row)

    async def release(self, row: Row) -> int:
        if row.kind not in (Kind.RELEASE, Kind.PERSON_ANSWERED):
            raise ValueError("only a release row can be released")
        return await self._unless_refused(_release, row, self._clock)

    async def record_choice(self, choice: SharingChoice, row: Row) -> int:
        return await self._write(_record_choice, choice, row)

    async def grant(self, permission: Permission, row: Row) -> int:
        return await self._unless_refused(_grant, permission, row)

    async def withdraw(self, permission_id: str, moment: datetime, row: Row) -> bool:
        return await self._write(_withdraw, permission_id, moment, row)

    async def current_choice(self, patient: str) -> SharingChoice | None:
        return await self._read(tables.current_choice, patient)

    async def choices(self, patient: str) -> list[SharingChoice]:
        return await self._read(tables.select_choices, patient)

    async def permission_for(self, caller: str, patient: str, moment: datetime) -> Permission | None:
        return await self._read(tables.permission_for, caller, patient, moment)

    async def permission(self, permission_id: str) -> Permission | None:
        return await self._read(tables.permission_by_id, permission_id)

    async def permissions_of(self, caller: str) -> list[Permission]:
        return await self._read(tables.permissions_of, caller)

    async def permissions_about(self, patient: str) -> list[Permission]:
        return await self._read(tables.permissions_about, patient)

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
        return await self._read(tables.select_rows, wanted, kinds, max(0, min(limit, MOST_ROWS)))

    async def ready(self) -> bool:
        """Really writes something, and looks whether there is room for more.

        What it found holds for a second, so that probes can't keep the disk busy.
        """
        if self._probed is None or time.monotonic() - self._probed[0] >= _PROBE_HOLDS_SECONDS:
            self._probed = (time.monotonic(), await self._probe())
        return self._probed[1]

    async def _probe(self) -> bool:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await self._write(tables.touch, self._clock())
            return self._folder.has_room()
        except (AuditUnavailable, TimeoutError, OSError):
            return False

    async def aclose(self) -> None:
        """Commit what is queued and close. What comes later gets AuditUnavailable."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._pool.shutdown()
        for connection in self._readers:
            connection.close()
        self._readers.clear()
        if self._writer.stop():
            self._folder.unlock()

    async def _write(self, work: _Statement[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await self._writer.run(lambda connection: work(connection, *args, **kwargs))

    async def _unless_refused(
        self, work: _Statement[_P, tuple[int, Refusal | None]], *args: _P.args, **kwargs: _P.kwargs
    ) -> int:
        """The refusal is raised only now, when its row is on the disk."""
        seq, refusal = await self._write(work, *args, **kwargs)
        if refusal is not None:
            refusal.journalled = seq
            raise refusal
        return seq

    async def _read(self, statement: _Statement[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Raises AuditUnavailable where the store can't be read: a choice that can't be read is not a yes."""

        def run() -> _T:
            return statement(self._reader(), *args, **kwargs)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, run)
        except (sqlite3.Error, RuntimeError) as error:
            raise AuditUnavailable(f"the store can't be read: {error}") from error

    def _reader(self) -> sqlite3.Connection:
        """This thread's own connection."""
        connection: sqlite3.Connection | None = getattr(self._per_thread, "connection", None)
        if connection is None:
            connection = self._per_thread.connection = self._folder.reader(self._busy_seconds)
            self._readers.append(connection)
        return connection

    def _still_there(self) -> None:
        if self._folder.identity() != self._files:
            raise OSError("the database file was replaced")


def _release(connection: sqlite3.Connection, row: Row, clock: Clock) -> tuple[int, Refusal | None]:
    """The moment of release: choice and permission are what they are in this transaction, and so is the clock."""
    choice = tables.current_choice(connection, row.patient) if row.patient else None
    permission = tables.permission_by_id(connection, row.permission) if row.permission else None
    refusal = release_objection(row, choice, permission, clock())
    return tables.append(connection, refusal_in_place_of(row, refusal) if refusal else row), refusal


def _grant(connection: sqlite3.Connection, permission: Permission, row: Row) -> tuple[int, Refusal | None]:
    refusal = grant_objection(tables.current_choice(connection, permission.patient))
    if refusal is not None:
        never_granted = msgspec.structs.replace(row, permission=None)
        return tables.append(connection, refusal_in_place_of(never_granted, refusal)), refusal
    tables.insert_permission(connection, permission)
    return tables.append(connection, row), None


def _record_choice(connection: sqlite3.Connection, choice: SharingChoice, row: Row) -> int:
    tables.insert_choice(connection, choice)
    return tables.append(connection, row)


def _withdraw(connection: sqlite3.Connection, permission_id: str, moment: datetime, row: Row) -> bool:
    if not tables.end_permission(connection, permission_id, moment):
        return False
    tables.append(connection, row)
    return True
