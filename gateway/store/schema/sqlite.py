"""The schema on SQLite. `user_version` is its number, and `application_id` says that the file is a store."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from gateway.store.interface import StoreUnusable
from gateway.store.schema import migrations
from gateway.store.schema.migrations import Migration
from gateway.store.schema.rule import Rule

APPLICATION_ID: Final = 0x434F4E43
"""`CONC`, so that another program's database is never migrated."""

OLDEST_SQLITE: Final = (3, 37, 0)
"""STRICT tables came with SQLite 3.37."""

_OF_PREVIEWS: Final = 2
"""Up to this version stores were without the log."""

_PREVIEW_TABLES: Final = ("journal", "sharing_choice", "permission", "pulse", "kept")


class SqliteDialect:
    """How SQLite spells it."""

    def table(self, template: str) -> str:
        return template.format(integer="INTEGER", bytes="BLOB", strict=" STRICT", empty_log=f"x'{'00' * 8}'")

    def rule(self, rule: Rule) -> Sequence[str]:
        when = f"WHEN {rule.when.format(differs='IS NOT')} " if rule.when else ""
        return [
            f"CREATE TRIGGER {rule.name} BEFORE {rule.event} ON {rule.table} {when}"
            f"BEGIN SELECT RAISE(ABORT, '{rule.refusal}'); END"
        ]

    def untruncatable(self, table: str) -> Sequence[str]:
        return []  # SQLite has no TRUNCATE


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the store up to this gateway's schema. Raises StoreUnusable for a store that isn't ours, that a newer
    gateway wrote, or that a preview wrote rows to."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreUnusable(f"SQLite {sqlite3.sqlite_version} is too old: the store needs 3.37 or newer.")
    version = version_of(connection)
    if 0 < version <= _OF_PREVIEWS:
        _clear_preview(connection, version)
    for migration in migrations.outstanding(version):
        _apply(connection, migration)


def version_of(connection: sqlite3.Connection) -> int:
    """0 for an empty file. Raises StoreUnusable where it is another program's."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (application or version or tables):
        raise StoreUnusable("The database file belongs to another program. Point the gateway at another data folder.")
    return int(version)


def _clear_preview(connection: sqlite3.Connection, version: int) -> None:
    """An empty store of a preview makes room. Rows without leaves can't be brought under the log: nobody committed to
    what they were."""
    holding = "SELECT 1 FROM journal UNION ALL SELECT 1 FROM sharing_choice UNION ALL SELECT 1 FROM permission LIMIT 1"
    if connection.execute(holding).fetchone():
        raise StoreUnusable(
            f"The store has schema version {version}, a preview's, and holds rows that no log proves. Keep its folder "
            "for reading with that preview, and give this gateway a new data folder."
        )
    for table in _PREVIEW_TABLES:
        connection.execute(f"DROP TABLE IF EXISTS {table}")


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in migration.spelt(SqliteDialect()):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {migration.number}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
