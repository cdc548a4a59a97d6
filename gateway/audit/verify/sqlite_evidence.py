"""A SQLite store as evidence: its file, read as it is, beside whoever writes to it.

The file may have been made to harm whoever reads it. So its tables must be, word for word, those that this gateway
makes: then no view, virtual table or expression of somebody else's ever runs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from gateway.audit.verify.evidence import Unreadable
from gateway.audit.verify.sql_evidence import SqlEvidence
from gateway.store.folder import DATABASE
from gateway.store.interface import StoreUnusable
from gateway.store.schema.migrations import demand_current
from gateway.store.schema.sqlite import migrate, version_of

_MOST_FLAWS: Final = 20
_SETTINGS: Final = ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0")
_SCHEMA: Final = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"

_Schema = dict[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class SqlitePlace:
    """The store in a gateway's data folder."""

    data: Path

    @contextmanager
    def open(self) -> Iterator[SqlEvidence]:
        """All that is read sees one moment of the store. Raises Unreadable."""
        file = self.data.absolute() / "store" / DATABASE
        if not file.is_file():
            raise Unreadable(f"There is no store in {self.data}. Name the data folder of a gateway with --data.")
        with _explained(), closing(_connected(file)) as connection:
            connection.execute("BEGIN")
            _demand_our_tables(connection)
            yield _SqliteEvidence(self, connection)


class _SqliteEvidence(SqlEvidence):
    def __init__(self, place: SqlitePlace, connection: sqlite3.Connection) -> None:
        super().__init__(place)
        self._connection = connection

    def flaws(self) -> list[str]:
        """Damaged pages, indexes that don't agree with their tables, missing triggers."""
        there, ours = _schema(self._connection), _our_schema()
        flaws = [
            f"the store's {kind} {name} is missing or isn't the gateway's own" for kind, name in _differing(ours, there)
        ]
        flaws += [f"the store has a {kind} that no gateway made" for kind, _ in there.keys() - ours.keys()]
        try:
            found = list(self._each(f"PRAGMA integrity_check({_MOST_FLAWS})"))
        except Unreadable as error:
            return [*flaws, str(error)]
        return flaws + [f"the database file is damaged: {said}" for (said,) in found if said != "ok"]

    def _columns(self, table: str) -> list[str]:
        return [name for _, name, *_ in self._each(f"PRAGMA table_info({table})")]

    def _each(self, sql: str, values: tuple[int, ...] = ()) -> Iterator[tuple[Any, ...]]:
        with _explained():
            yield from self._connection.execute(sql, values)


def _connected(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, isolation_level=None)
    for setting in _SETTINGS:
        connection.execute(f"PRAGMA {setting}")
    return connection


def _demand_our_tables(connection: sqlite3.Connection) -> None:
    try:
        demand_current(version_of(connection))
    except StoreUnusable as error:
        raise Unreadable(str(error)) from error
    wrong = [name for kind, name in _differing(_our_schema(), _schema(connection)) if kind == "table"]
    if wrong:
        raise Unreadable(f"The store's table {wrong[0]} is missing or isn't the gateway's own. Nothing is read.")


def _schema(connection: sqlite3.Connection) -> _Schema:
    return {(kind, name): sql for kind, name, sql in connection.execute(_SCHEMA)}


@cache
def _our_schema() -> _Schema:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        return _schema(connection)


def _differing(ours: _Schema, there: _Schema) -> list[tuple[str, str]]:
    return [key for key, sql in ours.items() if there.get(key) != sql]


@contextmanager
def _explained() -> Iterator[None]:
    """SQLite's errors, and those of bytes that aren't text, as a sentence."""
    try:
        yield
    except (sqlite3.Error, UnicodeError, OverflowError) as error:
        raise Unreadable(f"The database can't be read: {error}") from error
