"""A PostgreSQL store as evidence: one snapshot, which all processes of a verification share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import psycopg

from gateway.audit.verify.evidence import Unreadable
from gateway.audit.verify.sql_evidence import SqlEvidence
from gateway.store.interface import StoreUnusable
from gateway.store.postgres_address import Address, Bounded
from gateway.store.schema.migrations import MIGRATIONS, demand_current
from gateway.store.schema.postgres import version_of

_AT_ONCE: Final = 1_000
"""Rows that are fetched in one go."""

_TRIGGERS: Final = (
    "SELECT trigger.tgname FROM pg_trigger AS trigger JOIN pg_class AS class ON class.oid = trigger.tgrelid "
    "WHERE class.relnamespace = current_schema()::regnamespace AND trigger.tgenabled IN ('O', 'A')"
)
_COLUMNS: Final = (
    "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = %s "
    "ORDER BY ordinal_position"
)


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """The database that a gateway's `database` names. `snapshot` is one that another session holds open."""

    url: str
    password_file: Path | None = None
    snapshot: str = ""

    @contextmanager
    def open(self) -> Iterator[SqlEvidence]:
        """All that is read sees one moment of the store. Raises Unreadable."""
        with _explained(), closing(Address(self.url, self.password_file).connect()) as connection:
            connection.execute("SET statement_timeout = 0")
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if self.snapshot:
                connection.execute(f"SET TRANSACTION SNAPSHOT '{self.snapshot}'".encode())
            _demand_our_schema(connection)
            ((snapshot,),) = connection.execute("SELECT pg_export_snapshot()").fetchall()
            yield _PostgresEvidence(replace(self, snapshot=self.snapshot or snapshot), connection)


class _PostgresEvidence(SqlEvidence):
    def __init__(self, place: PostgresPlace, connection: Bounded) -> None:
        super().__init__(place)
        self._connection = connection

    def flaws(self) -> list[str]:
        """Triggers that are gone or switched off."""
        there = {name for (name,) in self._each(_TRIGGERS)}
        ours = [rule.name for migration in MIGRATIONS for rule in migration.rules]
        return [f"the store's trigger {name} is missing or switched off" for name in ours if name not in there]

    def _columns(self, table: str) -> list[str]:
        with _explained():
            return [name for (name,) in self._connection.execute(_COLUMNS, (table,)).fetchall()]

    def _each(self, sql: str, values: tuple[int, ...] = ()) -> Iterator[tuple[Any, ...]]:
        with _explained(), self._connection.cursor(name="evidence", binary=True, scrollable=False) as cursor:
            cursor.itersize = _AT_ONCE
            cursor.execute(sql.replace("?", "%s").encode(), values)
            yield from cursor


def _demand_our_schema(connection: Bounded) -> None:
    try:
        demand_current(version_of(_Statements(connection)))
    except StoreUnusable as error:
        raise Unreadable(str(error)) from error


class _Statements:
    """As the store's own code runs its statements."""

    def __init__(self, connection: Bounded) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Any = (), /) -> Any:
        return self._connection.execute(sql.replace("?", "%s").encode(), values)

    def executemany(self, sql: str, values: Any, /) -> Any:
        raise NotImplementedError


@contextmanager
def _explained() -> Iterator[None]:
    """PostgreSQL's errors, and those of bytes that aren't what they should be, as a sentence."""
    try:
        yield
    except (psycopg.Error, OSError, UnicodeError, OverflowError) as error:
        raise Unreadable(f"The database can't be read: {' '.join(str(error).split())}") from error
