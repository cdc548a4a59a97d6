"""Reading, in a few threads: neither a slow disk nor a long report holds the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, local
from typing import Final, TypeVar

from gateway.errors import AuditUnavailable
from gateway.store.connection import Connection, Reading, said

READERS: Final = 2

_T = TypeVar("_T")


class Readers:
    """A few threads, each with a connection of its own that can't write. `connect` makes one, and raises one of
    `errors`, or OSError, where it can't. `answer_seconds` is how long anybody waits for an answer."""

    def __init__(
        self, connect: Callable[[], Reading], errors: type[Exception], *, answer_seconds: float = 15.0
    ) -> None:
        self._connect = connect
        self._errors = errors
        self._answer_seconds = answer_seconds
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._per_thread = local()
        self._lock = Lock()
        self._open: set[Reading] = set()

    async def run(self, statement: Callable[[Connection], _T]) -> _T:
        """What the statement finds. It sees everything that was acknowledged before it began.

        Raises AuditUnavailable where the store can't be read: a choice that can't be read is not a yes.
        """
        try:
            async with asyncio.timeout(self._answer_seconds):
                return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, statement)
        except (self._errors, OSError, RuntimeError) as error:
            raise AuditUnavailable(f"the store can't be read: {said(error)}") from error

    def _read(self, statement: Callable[[Connection], _T]) -> _T:
        connection = self._connection()
        try:
            return statement(connection)
        except self._errors:
            if not connection.lost:
                raise
            # Lost since it was last used, as when the database was started again: reading once more harms nobody.
            self._forget(connection)
            return statement(self._connection())

    def _connection(self) -> Reading:
        """This thread's own."""
        connection: Reading | None = getattr(self._per_thread, "connection", None)
        if connection is None:
            connection = self._per_thread.connection = self._connect()
            with self._lock:
                self._open.add(connection)
        return connection

    def _forget(self, connection: Reading) -> None:
        self._per_thread.connection = None
        with self._lock:
            self._open.discard(connection)
        connection.close()

    def close(self) -> None:
        """After what is being read. What comes later gets AuditUnavailable."""
        self._pool.shutdown()
        for connection in self._open:
            connection.close()
        self._open.clear()
