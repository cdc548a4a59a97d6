"""The schema on PostgreSQL, in the schema that `search_path` names first. `connect_care_schema` holds its number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from gateway.store.connection import Connection, Writing
from gateway.store.interface import StoreUnusable
from gateway.store.schema import migrations
from gateway.store.schema.rule import Rule

_LOCK: Final = 0x434F4E43
"""Of the advisory lock that one process holds while it migrates."""

_MAKE_VERSION: Final = (
    "CREATE TABLE IF NOT EXISTS connect_care_schema (one BIGINT PRIMARY KEY CHECK (one = 1), version BIGINT NOT NULL)"
)
_SET_VERSION: Final = (
    "INSERT INTO connect_care_schema (one, version) VALUES (1, ?) "
    "ON CONFLICT (one) DO UPDATE SET version = excluded.version"
)
_IS_OURS: Final = "SELECT to_regclass(quote_ident(current_schema()) || '.connect_care_schema') IS NOT NULL"
_OTHERS: Final = "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() LIMIT 1"


class PostgresDialect:
    """How PostgreSQL spells it."""

    def table(self, template: str) -> str:
        return template.format(integer="BIGINT", bytes="BYTEA", strict="", empty_log=f"'\\x{'00' * 8}'")

    def rule(self, rule: Rule) -> Sequence[str]:
        refuse = f"RAISE EXCEPTION USING MESSAGE = '{rule.refusal}', ERRCODE = 'restrict_violation';"
        body = f"IF {rule.when.format(differs='IS DISTINCT FROM')} THEN {refuse} END IF;" if rule.when else refuse
        return [
            f"CREATE FUNCTION {rule.name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$",
            f"CREATE TRIGGER {rule.name} BEFORE {rule.event} ON {rule.table} FOR EACH ROW "
            f"EXECUTE FUNCTION {rule.name}()",
        ]

    def untruncatable(self, table: str) -> Sequence[str]:
        name = f"{table}_truncate"
        refuse = f"RAISE EXCEPTION USING MESSAGE = '{table} is append-only', ERRCODE = 'restrict_violation';"
        return [
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {refuse} END $$",
            f"CREATE TRIGGER {name} BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {name}()",
        ]


class Migrating(Writing, Protocol):
    """A connection on which a transaction may take its time."""

    def begin_migration(self) -> None: ...


def migrate(connection: Migrating) -> None:
    """Bring the store up to this gateway's schema, whole or not at all. Raises StoreUnusable for another program's
    tables, or a store that a newer gateway wrote.

    Workers that start together wait for the one that came first, and find its work done.
    """
    try:
        connection.begin_migration()
        connection.execute("SELECT pg_advisory_xact_lock(?)", (_LOCK,))
        for migration in migrations.outstanding(version_of(connection)):
            for statement in migration.spelt(PostgresDialect()):
                connection.execute(statement)
            connection.execute(_MAKE_VERSION)
            connection.execute(_SET_VERSION, (migration.number,))
        connection.commit()
    except BaseException:
        connection.roll_back()
        raise


def version_of(connection: Connection) -> int:
    """0 for an empty schema. Raises StoreUnusable where the tables are another program's."""
    ((ours,),) = connection.execute(_IS_OURS).fetchall()
    if ours:
        return int(connection.execute("SELECT version FROM connect_care_schema").fetchone()[0])
    if connection.execute(_OTHERS).fetchall():
        raise StoreUnusable(
            "The database holds another program's tables. Give the gateway a database, or a schema, of its own."
        )
    return 0
