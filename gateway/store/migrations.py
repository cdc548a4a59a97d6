"""The schema, as numbered migrations: each runs once, whole or not at all, and is never edited after a release.

SQLite keeps the number of the last migration in `user_version`. A store that a newer gateway wrote is refused: an
older gateway could misread whose permission had ended.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from gateway.store.interface import StoreUnusable

APPLICATION_ID: Final = 0x434F4E43
"""Marks the file as a Connect Care store (`CONC`), so that another program's database is never migrated."""

OLDEST_SQLITE: Final = (3, 37, 0)
"""STRICT tables came with SQLite 3.37."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema; its number is the schema version that it leaves behind."""

    number: int
    statements: tuple[str, ...]


_JOURNAL = """
CREATE TABLE journal (
    seq          INTEGER PRIMARY KEY,
    kind         TEXT NOT NULL,
    patient      TEXT,
    request_id   TEXT NOT NULL,
    at           INTEGER NOT NULL,
    organisation TEXT,
    user_id      TEXT,
    row          BLOB NOT NULL
) STRICT
"""

_SHARING_CHOICE = """
CREATE TABLE sharing_choice (
    number           INTEGER PRIMARY KEY,
    id               TEXT NOT NULL UNIQUE,
    patient          TEXT NOT NULL,
    sealed_patient   TEXT NOT NULL,
    choice           TEXT NOT NULL,
    stated_by        TEXT NOT NULL,
    channel          TEXT NOT NULL,
    recorded_by      TEXT NOT NULL,
    recorded_by_name TEXT NOT NULL,
    organisation     TEXT NOT NULL,
    recorded_at      INTEGER NOT NULL
) STRICT
"""

_PERMISSION = """
CREATE TABLE permission (
    number         INTEGER PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,
    patient        TEXT NOT NULL,
    sealed_patient TEXT NOT NULL,
    caller         TEXT NOT NULL,
    organisation   TEXT NOT NULL,
    basis          TEXT NOT NULL,
    scope          TEXT NOT NULL,
    reason         TEXT NOT NULL,
    granted_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    withdrawn_at   INTEGER
) STRICT
"""

_PULSE = "CREATE TABLE pulse (only INTEGER PRIMARY KEY CHECK (only = 1), at INTEGER NOT NULL) STRICT"


_KEPT = "CREATE TABLE kept (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT"

# An INSERT OR REPLACE deletes without the DELETE trigger.
_KEPT_ONCE = """
CREATE TRIGGER kept_once BEFORE INSERT ON kept
WHEN EXISTS (SELECT 1 FROM kept WHERE name = NEW.name)
BEGIN SELECT RAISE(ABORT, 'kept is append-only: a value is kept once'); END
"""


def _never(event: str, table: str, said: str) -> str:
    return (
        f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: {said}'); END"
    )


# An INSERT OR REPLACE deletes without the DELETE trigger, so an insert must itself take the next number, and no other.
_DENSE = """
CREATE TRIGGER journal_dense BEFORE INSERT ON journal
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM journal)
BEGIN SELECT RAISE(ABORT, 'journal is append-only: a row takes the next number'); END
"""

_BOUND_FOR_EVER = """
CREATE TRIGGER permission_bound BEFORE UPDATE ON permission
WHEN OLD.withdrawn_at IS NOT NULL OR NEW.withdrawn_at IS NULL
  OR (NEW.number, NEW.id, NEW.patient, NEW.sealed_patient, NEW.caller, NEW.organisation, NEW.basis, NEW.scope,
      NEW.reason, NEW.granted_at, NEW.expires_at)
  IS NOT
     (OLD.number, OLD.id, OLD.patient, OLD.sealed_patient, OLD.caller, OLD.organisation, OLD.basis, OLD.scope,
      OLD.reason, OLD.granted_at, OLD.expires_at)
BEGIN SELECT RAISE(ABORT, 'permission can only be withdrawn, and only once'); END
"""

MIGRATIONS: Final = (
    Migration(
        1,
        (
            _JOURNAL,
            "CREATE INDEX journal_patient ON journal (patient) WHERE patient IS NOT NULL",
            "CREATE INDEX journal_request ON journal (request_id)",
            "CREATE INDEX journal_user ON journal (user_id) WHERE user_id IS NOT NULL",
            "CREATE INDEX journal_organisation ON journal (organisation) WHERE organisation IS NOT NULL",
            "CREATE INDEX journal_kind ON journal (kind)",
            "CREATE INDEX journal_at ON journal (at)",
            _DENSE,
            _never("UPDATE", "journal", "a row is never changed"),
            _never("DELETE", "journal", "a row is never removed"),
            _SHARING_CHOICE,
            "CREATE INDEX sharing_choice_patient ON sharing_choice (patient)",
            _never("UPDATE", "sharing_choice", "a new choice is a new row"),
            _never("DELETE", "sharing_choice", "the history is kept"),
            _PERMISSION,
            "CREATE INDEX permission_caller ON permission (caller, patient)",
            "CREATE INDEX permission_patient ON permission (patient)",
            _BOUND_FOR_EVER,
            _never("DELETE", "permission", "an ended permission is kept"),
            _PULSE,
        ),
    ),
    Migration(
        2,
        (
            _KEPT,
            _KEPT_ONCE,
            _never("UPDATE", "kept", "a value is never changed"),
            _never("DELETE", "kept", "a value is never removed"),
        ),
    ),
)

SCHEMA_VERSION: Final = MIGRATIONS[-1].number


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the store up to this gateway's schema. Raises StoreUnusable for a store that isn't ours or is newer."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreUnusable(f"SQLite {sqlite3.sqlite_version} is too old: the store needs 3.37 or newer.")
    version = _version(connection)
    for migration in MIGRATIONS[version:]:
        _apply(connection, migration)


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (application or version or tables):
        raise StoreUnusable("The database file belongs to another program. Point the gateway at another data folder.")
    if version > SCHEMA_VERSION:
        raise StoreUnusable(
            f"The store has schema version {version}, and this gateway knows versions up to {SCHEMA_VERSION}. "
            "Start the gateway that wrote it, or a newer one."
        )
    return int(version)


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in migration.statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {migration.number}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
