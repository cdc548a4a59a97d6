"""The embedded store: SQLite, one writing process, group commit.

Writes go through the one writer thread (`writer.py`); what must be decided together is decided inside its transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

from gateway.store.backfill import Backfill
from gateway.store.connection import Cursor
from gateway.store.folder import Folder, connect, folder_to_read
from gateway.store.moments import Clock, utc_now
from gateway.store.readers import Readers
from gateway.store.sql.store import SqlStore
from gateway.store.writer import Writer


class SqliteConnection:
    """`Writing` and `Reading` on a sqlite3 connection in autocommit mode.

    `still_there` is called before every COMMIT and raises OSError where the database file was removed or replaced:
    SQLite would go on writing to a file that nobody can open any more. Without a `backfill` SQLite moves what was
    committed into the database file by itself, now and then in `commit`.
    """

    errors: type[Exception] = sqlite3.Error
    lost = False

    def __init__(
        self,
        connection: sqlite3.Connection,
        still_there: Callable[[], None] = lambda: None,
        backfill: Backfill | None = None,
    ) -> None:
        self._connection = connection
        self._still_there = still_there
        self._backfill = backfill

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Cursor:
        return self._connection.execute(sql, values)

    def executemany(self, sql: str, values: Iterable[Sequence[Any]], /) -> Cursor:
        return self._connection.executemany(sql, values)

    def begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._still_there()
        self._connection.execute("COMMIT")

    def roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def batch_ended(self) -> None:
        if self._backfill is not None:
            self._backfill.batch_ended(self._connection)

    def close(self) -> None:
        if self._backfill is not None:
            self._backfill.close()
        self._connection.close()


class SqliteStore(SqlStore):
    """`Store` on one SQLite file in `data/store`.

    Opening it raises StoreUnusable with a sentence for the operator: the folder can't be used, another process writes
    to it, the file isn't ours or was written by a newer gateway. `max_waiting` bounds the queue of rows; beyond it
    every write answers AuditUnavailable at once. `busy_seconds` bounds the wait for a lock that somebody else holds.
    `read_only` opens it beside whoever writes, without their lock. `read_seconds` is how long one question may take.
    """

    def __init__(
        self,
        data: Path,
        *,
        clock: Clock = utc_now,
        max_waiting: int = 1024,
        busy_seconds: float = 2.0,
        connection_type: type[sqlite3.Connection] = sqlite3.Connection,
        read_only: bool = False,
        read_seconds: float = 15.0,
    ) -> None:
        self._followed: set[str] = set()
        self._folder = None if read_only else Folder(data)
        if self._folder is None:
            (database, mode), writer = folder_to_read(data, busy_seconds), None
        else:
            database, mode = self._folder.database, "ro"
            writer = _writer(self._folder, max_waiting, busy_seconds, connection_type)

        def reader() -> SqliteConnection:
            return SqliteConnection(connect(database, mode, busy_seconds))

        super().__init__(writer, Readers(reader, sqlite3.Error, answer_seconds=read_seconds), clock)

    @asynccontextmanager
    async def follow(self, follower: str) -> AsyncIterator[bool]:
        """No other process writes, so it's enough to look round in this one."""
        is_first = follower not in self._followed
        self._followed |= {follower}
        try:
            yield is_first
        finally:
            if is_first:
                self._followed -= {follower}

    def _has_room(self) -> bool:
        return self._folder is not None and self._folder.has_room()

    def _closed(self) -> None:
        if self._folder is not None:
            self._folder.unlock()


def _writer(folder: Folder, max_waiting: int, busy_seconds: float, connection_type: type[sqlite3.Connection]) -> Writer:
    with ExitStack() as undone:
        undone.callback(folder.unlock)
        connection = undone.enter_context(closing(folder.writer(busy_seconds, connection_type)))
        moving = undone.enter_context(closing(folder.mover(busy_seconds)))
        guard = undone.enter_context(closing(folder.reader(busy_seconds)))
        files = folder.identity()
        undone.pop_all()

    def still_there() -> None:
        if folder.identity() != files:
            raise OSError("the database file was replaced")

    backfill = Backfill(moving, guard, folder.flush)
    return Writer(SqliteConnection(connection, still_there, backfill), max_waiting=max_waiting)
