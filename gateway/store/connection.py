"""What the store needs of a database, so that the same statements run on SQLite and on PostgreSQL.

Statements are written with `?`. An adapter (`sqlite.py`, `postgres_connection.py`) says how its database begins and
commits, and which errors its library raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol


class Cursor(Protocol):
    """What a statement found, or how many rows it changed."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class Connection(Protocol):
    """Something that runs statements."""

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Cursor: ...

    def executemany(self, sql: str, values: Iterable[Sequence[Any]], /) -> Cursor: ...


class Writing(Connection, Protocol):
    """The one connection through which a process writes. `errors` are what its library raises where the database says
    no or is gone; nothing else is mistaken for that."""

    errors: type[Exception]

    def begin(self) -> None:
        """Begin the transaction of a batch, as its only writer until it ends."""
        ...

    def commit(self) -> None:
        """Put the batch on the disk. Raises one of `errors`, or OSError, where that isn't certain."""
        ...

    def roll_back(self) -> None:
        """End the transaction, if there is one, without a trace. Raises nothing."""
        ...

    def batch_ended(self) -> None:
        """What is best done when those who waited for the batch have their answers. Raises nothing."""
        ...

    def close(self) -> None: ...


class Reading(Connection, Protocol):
    """A connection that can't write."""

    errors: type[Exception]

    @property
    def lost(self) -> bool:
        """True where it will never answer again, so that another one has to take its place."""
        ...

    def close(self) -> None: ...


def said(error: BaseException) -> str:
    """What a database's library says went wrong, for the operator: its first line, since the further ones may quote
    what was to be written."""
    return str(error).split("\n", 1)[0] or type(error).__name__


def placeholders(count: int) -> str:
    """`?, ?, ?`"""
    return ", ".join("?" * count)
