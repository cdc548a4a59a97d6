"""The schema as numbered migrations, for both databases: each runs once, whole or not at all, and is never edited after
a release.

Tables and rules are written once, and a dialect turns them into statements of its database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.store.interface import StoreUnusable
from gateway.store.schema import baseline, identified, marks, sessions
from gateway.store.schema.rule import Rule


class Dialect(Protocol):
    """How a database spells what both have."""

    def table(self, template: str) -> str:
        """A statement with the database's own names of types in it."""
        ...

    def rule(self, rule: Rule) -> Sequence[str]:
        """The statements that make a trigger."""
        ...

    def untruncatable(self, table: str) -> Sequence[str]:
        """The statements that keep a table from being emptied at once, where the database can do that."""
        ...


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema; its number is the schema version that it leaves behind."""

    number: int
    statements: tuple[str, ...]
    rules: tuple[Rule, ...] = ()

    def spelt(self, dialect: Dialect) -> Iterable[str]:
        """The statements, in order."""
        yield from map(dialect.table, self.statements)
        for rule in self.rules:
            yield from dialect.rule(rule)
        for table in dict.fromkeys(rule.table for rule in self.rules):
            yield from dialect.untruncatable(table)


MIGRATIONS: Final = (
    # 1 and 2 were those of previews without the log.
    Migration(3, baseline.TABLES, baseline.RULES),
    Migration(4, marks.TABLES),
    Migration(5, sessions.TABLES),
    Migration(6, identified.COLUMNS),
)

SCHEMA_VERSION: Final = MIGRATIONS[-1].number


def outstanding(version: int) -> Sequence[Migration]:
    """The migrations that a store of this version (0: a new one) lacks. Raises StoreUnusable for a newer one.

    An older gateway could misread whose permission had ended.
    """
    if version > SCHEMA_VERSION:
        raise StoreUnusable(
            f"The store has schema version {version}, and this gateway knows versions up to {SCHEMA_VERSION}. "
            "Start the gateway that wrote it, or a newer one."
        )
    return [migration for migration in MIGRATIONS if migration.number > version]


def demand_current(version: int) -> None:
    """Raises StoreUnusable unless the store, which is only to be read, has this gateway's schema."""
    if outstanding(version):
        raise StoreUnusable(
            f"The store has schema version {version}, and this gateway reads version {SCHEMA_VERSION}. Start this "
            "gateway on it once, or read it with the gateway that wrote it."
        )
