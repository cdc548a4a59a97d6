"""The store for many workers: PostgreSQL, each worker with its own group commit, one log for all of them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import psycopg

from gateway.store.moments import Clock, utc_now
from gateway.store.postgres_address import Address, explained
from gateway.store.postgres_connection import READ_SECONDS, ReadingConnection, WritingConnection
from gateway.store.readers import Readers
from gateway.store.schema.migrations import demand_current
from gateway.store.schema.postgres import migrate, version_of
from gateway.store.sql.store import SqlStore
from gateway.store.writer import Writer

_TRY_LOCK: Final = "SELECT pg_try_advisory_lock(?)"


class PostgresStore(SqlStore):
    """`Store` on a PostgreSQL database, which any number of processes may open.

    Opening it raises StoreUnusable with a sentence for the operator: the database can't be reached, holds another
    program's tables or a newer gateway's. `max_waiting` bounds the queue of rows, as on SQLite; `read_only` opens it
    for reading alone; `read_seconds` is how long one question may take.
    """

    def __init__(
        self,
        url: str,
        *,
        password_file: Path | None = None,
        clock: Clock = utc_now,
        max_waiting: int = 1024,
        read_only: bool = False,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self._address = Address(url, password_file)
        self._address.check()
        if read_only:
            explained(self._address, self._check)
            writer = None
        else:
            writer = Writer(explained(self._address, self._migrated), max_waiting=max_waiting)

        def reader() -> ReadingConnection:
            return ReadingConnection(self._address, read_seconds)

        super().__init__(writer, Readers(reader, psycopg.Error, answer_seconds=1.5 * read_seconds), clock)

    def _migrated(self) -> WritingConnection:
        connection = WritingConnection(self._address)
        try:
            migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self) -> None:
        connection = ReadingConnection(self._address)
        try:
            demand_current(version_of(connection))
        finally:
            connection.close()

    @asynccontextmanager
    async def follow(self, follower: str) -> AsyncIterator[bool]:
        """A session's advisory lock, on a connection of its own: the server lets go of it when the worker dies."""
        try:
            connection = await asyncio.to_thread(ReadingConnection, self._address)
        except (psycopg.Error, OSError):
            yield False
            return
        try:
            yield await asyncio.to_thread(_has_lock, connection, follower)
        finally:
            await asyncio.to_thread(connection.close)


def _has_lock(connection: ReadingConnection, follower: str) -> bool:
    """True where nobody else in this schema follows under the name."""
    try:
        ((schema,),) = connection.execute("SELECT current_schema()").fetchall()
        digest = hashlib.blake2b(f"{schema}/{follower}".encode(), digest_size=8).digest()
        ((had,),) = connection.execute(_TRY_LOCK, (int.from_bytes(digest, "big", signed=True),)).fetchall()
    except psycopg.Error:
        return False
    return bool(had)
