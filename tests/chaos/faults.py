"""What can go wrong under a store, really: a full disk, a database that is gone, a lock that nobody lets go of, a
commit that fails. Each is a context manager: within it, nothing can be written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import psycopg
import pytest

from gateway.store.folder import DATABASE, Folder
from tests.flow.stack import Stack

Fault = Callable[[Stack], AbstractContextManager[None]]


class FailingConnection(sqlite3.Connection):
    """Fails at COMMIT, or finds no room, as long as it's told to."""

    fails_at: str = ""
    error: str = ""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if FailingConnection.fails_at and sql.startswith(FailingConnection.fails_at):
            raise sqlite3.OperationalError(FailingConnection.error)
        return super().execute(sql, *values)


def let_commits_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite stores that are opened from now on write through `FailingConnection`."""
    writer = Folder.writer

    def failing(folder: Folder, busy_seconds: float, _: type[sqlite3.Connection]) -> sqlite3.Connection:
        return writer(folder, min(busy_seconds, 0.5), FailingConnection)

    monkeypatch.setattr(Folder, "writer", failing)


@contextmanager
def sqlite_full(stack: Stack) -> Iterator[None]:
    """The file can't grow any more: SQLite's own SQLITE_FULL."""
    store: Any = stack.parts.store
    connection = store._writer._connection._connection
    connection.execute("PRAGMA max_page_count = 1")  # as small as it already is
    try:
        yield
    finally:
        connection.execute("PRAGMA max_page_count = 4294967294")


@contextmanager
def sqlite_gone(stack: Stack) -> Iterator[None]:
    database = stack.data / "store" / DATABASE
    away = database.with_name("moved-away")
    database.rename(away)
    try:
        yield
    finally:
        away.rename(database)


@contextmanager
def sqlite_locked(stack: Stack) -> Iterator[None]:
    other = sqlite3.connect(stack.data / "store" / DATABASE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@contextmanager
def sqlite_commit_error(stack: Stack) -> Iterator[None]:
    FailingConnection.fails_at, FailingConnection.error = "COMMIT", "disk I/O error"
    try:
        yield
    finally:
        FailingConnection.fails_at = ""


_TRIGGER: Final = """
CREATE FUNCTION chaos() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '{code}'; END $$;
"""


def _psql(stack: Stack) -> psycopg.Connection[Any]:
    assert stack.parts.settings.database is not None
    return psycopg.connect(stack.parts.settings.database, autocommit=True)


@contextmanager
def _triggered(stack: Stack, code: str, trigger: str) -> Iterator[None]:
    with _psql(stack) as other:
        other.execute(_TRIGGER.format(code=code))
        other.execute(trigger)
        try:
            yield
        finally:
            other.execute("DROP FUNCTION chaos CASCADE")


def postgres_full(stack: Stack) -> AbstractContextManager[None]:
    """What PostgreSQL says of a full disk (53100), where a row would make the journal grow."""
    trigger = "CREATE TRIGGER chaos BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION chaos()"
    return _triggered(stack, "53100", trigger)


def postgres_commit_error(stack: Stack) -> AbstractContextManager[None]:
    """A constraint that is looked at when COMMIT runs, and fails there."""
    trigger = (
        "CREATE CONSTRAINT TRIGGER chaos AFTER INSERT ON journal DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION chaos()"
    )
    return _triggered(stack, "58030", trigger)


@contextmanager
def postgres_gone(stack: Stack) -> Iterator[None]:
    """Nobody may connect, and whoever is connected is cut off."""
    assert stack.parts.settings.database is not None
    name = psycopg.conninfo.conninfo_to_dict(stack.parts.settings.database)["dbname"]
    elsewhere = psycopg.conninfo.make_conninfo(stack.parts.settings.database, dbname="postgres")
    with psycopg.connect(elsewhere, autocommit=True) as other:
        other.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
        other.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            other.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')


@contextmanager
def postgres_locked(stack: Stack) -> Iterator[None]:
    """Somebody else holds the log's head, and does nothing."""
    with _psql(stack) as other, other.transaction():
        other.execute("SELECT * FROM log_state FOR UPDATE")
        yield


SQLITE: Final[dict[str, Fault]] = {
    "full": sqlite_full,
    "gone": sqlite_gone,
    "locked": sqlite_locked,
    "commit": sqlite_commit_error,
}
POSTGRES: Final[dict[str, Fault]] = {
    "full": postgres_full,
    "gone": postgres_gone,
    "locked": postgres_locked,
    "commit": postgres_commit_error,
}
