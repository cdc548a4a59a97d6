"""One batch's transaction, as its jobs see it: statements, and the log's right edge as the batch has moved it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.audit.log.tree import Frontier
from gateway.store.connection import Connection, Cursor
from gateway.store.tables import log


class Transaction:
    """A connection inside its transaction.

    The log's right edge is read once, when the batch begins, and written once, before it is committed. In between it is
    an immutable value, so a job that is rolled back leaves the one that it found.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.head = self._kept = log.head(connection)

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Cursor:
        return self._connection.execute(sql, values)

    def executemany(self, sql: str, values: Iterable[Sequence[Any]], /) -> Cursor:
        return self._connection.executemany(sql, values)

    def grow(self, leaf_hash: bytes) -> None:
        """The log has one more leaf."""
        self.head = log.grow(self._connection, self.head, leaf_hash)

    def mark(self) -> Frontier:
        """Where the next job begins; for `undo`."""
        self._connection.execute("SAVEPOINT job")
        return self.head

    def undo(self, mark: Frontier) -> None:
        """The job never was, nor the log's growth in it. Raises what the database says where the whole transaction is
        lost: a full disk makes SQLite roll back by itself, and then the savepoint is gone too."""
        self._connection.execute("ROLLBACK TO SAVEPOINT job")
        self.head = mark

    def done(self) -> None:
        """The job's work is part of the transaction. Raises as `undo` does."""
        self._connection.execute("RELEASE SAVEPOINT job")

    def end(self) -> None:
        """Write what is written once a batch."""
        if self.head is not self._kept:
            log.move_head(self._connection, self.head)
