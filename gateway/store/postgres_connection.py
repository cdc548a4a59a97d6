"""A store's connections to PostgreSQL: what a session is limited to, and how a batch begins and is committed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, TypeVar

import psycopg
from psycopg import pq

from gateway.store.connection import Cursor
from gateway.store.postgres_address import CONNECT_SECONDS, Address, Bounded

_LOCK_SECONDS: Final = 2.0
"""How long a batch waits for another worker's."""

_STATEMENT_SECONDS: Final = 5.0

_IDLE_SECONDS: Final = 5.0
"""A worker that is stopped, or cut off, in the middle of its batch holds the log's lock no longer than this."""

_BATCH_SECONDS: Final = 8.0
"""How long a whole batch may take, whatever hangs: a server that was stopped doesn't keep time."""

_MIGRATION_SECONDS: Final = 600.0

_GRACE_SECONDS: Final = 2.0
"""How much sooner than we the server gives up on a statement."""

READ_SECONDS: Final = 10.0
"""How long one question may take."""

_SESSION: Final = (
    "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', %s, false), "
    "set_config('idle_in_transaction_session_timeout', %s, false), "
    "set_config('default_transaction_read_only', %s, false), "
    # So that the server, too, notices soon that a worker's machine is gone, and lets go of its locks.
    "set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '2', false), "
    "set_config('tcp_keepalives_count', '3', false)"
)
_DURABLE: Final = "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_TAKE_LOG: Final = "SELECT size FROM log_state FOR UPDATE"

_T = TypeVar("_T")


class _Statements:
    """Statements with `?` on one connection."""

    errors: type[Exception] = psycopg.Error

    def __init__(self, connection: Bounded) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Cursor:
        cursor = self._connection.cursor(binary=True)
        return cursor.execute(_spelt(sql), values) if values else cursor.execute(sql.encode())

    def executemany(self, sql: str, values: Iterable[Sequence[Any]], /) -> Cursor:
        cursor = self._connection.cursor()
        cursor.executemany(_spelt(sql), values)
        return cursor


@lru_cache(maxsize=512)
def _spelt(sql: str) -> bytes:
    """As the library wants it. No statement has a `?` or a `%` that isn't a placeholder."""
    return sql.replace("?", "%s").encode()


class ReadingConnection(_Statements):
    """`Reading`. Outside a transaction, each statement sees all that was committed before it began."""

    def __init__(self, address: Address, seconds: float = READ_SECONDS) -> None:
        self._seconds = seconds
        super().__init__(_opened(address, statement_seconds=seconds, read_only=True))

    @property
    def lost(self) -> bool:
        return self._connection.closed

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Cursor:
        self._connection.deadline = time.monotonic() + self._seconds + _GRACE_SECONDS
        return super().execute(sql, values)

    def close(self) -> None:
        self._connection.close()


class WritingConnection(_Statements):
    """`Writing`, on a connection that is made anew for the next batch where it was lost.

    Why an acknowledged opt-out is never followed by a release, on however many workers: `begin` takes the lock on the
    log's one row before the batch does anything else, and COMMIT lets it go after what was written can be seen by
    everyone. So batches come one after the other, in the order of the log. READ COMMITTED gives each statement a
    snapshot of its own, made when it starts; every statement of the batch starts after the lock was had, hence sees all
    that any batch before it committed: the choice that a release reads is the newest there is, and stays the newest
    until the release is committed. (REPEATABLE READ would be wrong here: its one snapshot is as old as the statement
    that waited for the lock.) Nothing that decides is read on another connection.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        super().__init__(_opened(address, statement_seconds=_STATEMENT_SECONDS))

    def begin(self) -> None:
        try:
            self._begin()
        except psycopg.OperationalError:
            # Lost since the batch before, as when the database was started again: nothing of this one is done yet.
            if not self._connection.closed:
                raise
            self._begin()
        self.execute(_TAKE_LOG)

    def _begin(self) -> None:
        if self._connection.closed:
            self._connection = _opened(self._address, statement_seconds=_STATEMENT_SECONDS)
        self._connection.deadline = time.monotonic() + CONNECT_SECONDS
        self.execute(_BEGIN)
        self._connection.deadline = time.monotonic() + _BATCH_SECONDS

    def begin_migration(self) -> None:
        """The same for a change of the schema, which takes its time, and which others wait for."""
        self._connection.deadline = time.monotonic() + _MIGRATION_SECONDS
        self.execute(_BEGIN)
        for limit in ("statement_timeout", "lock_timeout"):
            self.execute("SELECT set_config(?, ?, true)", (limit, f"{_MIGRATION_SECONDS:.0f}s"))

    def commit(self) -> None:
        """Raises psycopg.Error where the batch isn't committed, or the connection was lost before the server said so:
        then it may be committed all the same, and nobody is told that it is."""
        cursor = self._connection.execute("COMMIT")
        if cursor.statusmessage != "COMMIT":
            # A transaction in which something failed is rolled back by COMMIT, without an error.
            raise psycopg.OperationalError(f"the database answered COMMIT with {cursor.statusmessage}")

    def roll_back(self) -> None:
        """What can't be rolled back is cut off, and the server rolls back by itself."""
        with suppress(psycopg.Error):
            if self._connection.info.transaction_status not in _OUTSIDE:
                self._connection.execute("ROLLBACK")
        if self._connection.info.transaction_status is not pq.TransactionStatus.IDLE:
            self.close()

    def batch_ended(self) -> None:
        """The server keeps house by itself."""

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._connection.close()


_OUTSIDE: Final = (pq.TransactionStatus.IDLE, pq.TransactionStatus.UNKNOWN)


def _opened(address: Address, *, statement_seconds: float, read_only: bool = False) -> Bounded:
    """A connection with the session's limits. Raises psycopg.Error; OSError where the password can't be read."""
    connection = address.connect()
    try:
        connection.deadline = time.monotonic() + CONNECT_SECONDS
        limits = [f"{seconds * 1000:.0f}ms" for seconds in (_LOCK_SECONDS, statement_seconds, _IDLE_SECONDS)]
        connection.execute(_SESSION, (*limits, "on" if read_only else "off"))
        if not read_only:
            _make_durable(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_durable(connection: Bounded) -> None:
    """What is acknowledged is on the server's disk. Raises OperationalError where the server doesn't put it there."""
    fsync, commits = connection.execute(_DURABLE).fetchall()[0]
    if fsync != "on":
        raise psycopg.OperationalError("the server runs with fsync off, so an acknowledged row could be lost")
    if commits == "off":
        connection.execute("SET synchronous_commit = on")
