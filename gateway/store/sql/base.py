"""What both stores have in common: one thread that writes, a few that read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Concatenate, Final, ParamSpec, TypeVar

from gateway.errors import AuditUnavailable, Refusal
from gateway.store.connection import Connection
from gateway.store.held_key import hold_to_key, is_held
from gateway.store.interface import StoreUnusable
from gateway.store.moments import Clock
from gateway.store.readers import Readers
from gateway.store.tables import kept
from gateway.store.transaction import Transaction
from gateway.store.writer import Writer

MOST_ROWS: Final = 1000
"""What one question is answered with at most."""

_PROBE_SECONDS: Final = 2.5
_PROBE_HOLDS_SECONDS: Final = 1.0

_P = ParamSpec("_P")
_T = TypeVar("_T")


class SqlBase:
    """A store without a `writer` was opened for reading alone: what would write raises AuditUnavailable."""

    def __init__(self, writer: Writer | None, readers: Readers, clock: Clock) -> None:
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._probed: tuple[float, bool] | None = None

    @property
    def commits(self) -> int:
        """Transactions committed since opening; rows over commits is how well group commit does."""
        return self._writer.commits if self._writer else 0

    async def hold_to_key(self, fingerprint: str, opens: Callable[[str], bool]) -> None:
        if self._writer is None:
            await self._read(is_held, fingerprint, opens)
            return
        try:
            await self._write(hold_to_key, fingerprint, opens)
        except AuditUnavailable as error:
            raise StoreUnusable(f"The store can't be written ({error.detail}). Check its disk.") from error

    async def ready(self) -> bool:
        """Really writes something, and looks whether there is room for more.

        What it found holds for a second, so that probes can't keep the disk busy.
        """
        if self._probed is None or time.monotonic() - self._probed[0] >= _PROBE_HOLDS_SECONDS:
            self._probed = (time.monotonic(), await self._probe())
        return self._probed[1]

    async def _probe(self) -> bool:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await self._write(kept.touch, self._clock())
            return self._has_room()
        except (AuditUnavailable, TimeoutError, OSError):
            return False

    def _has_room(self) -> bool:
        """False where a burst of rows might not fit. Raises OSError where nobody can tell."""
        return True

    async def aclose(self) -> None:
        """Commit what is queued and close. What comes later gets AuditUnavailable."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._readers.close()
        if self._writer is not None and self._writer.stop():
            self._closed()

    def _closed(self) -> None:
        """The writing connection is closed: let go of what only a writer holds."""

    async def _write(self, work: Callable[Concatenate[Transaction, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        if self._writer is None:
            raise AuditUnavailable("the store was opened for reading alone")
        return await self._writer.run(lambda transaction: work(transaction, *args, **kwargs))

    async def _unless_refused(
        self,
        work: Callable[Concatenate[Transaction, _P], tuple[int, Refusal | None]],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> int:
        """The refusal is raised only now, when its row is on the disk."""
        seq, refusal = await self._write(work, *args, **kwargs)
        if refusal is not None:
            refusal.journalled = seq
            raise refusal
        return seq

    async def _read(
        self, statement: Callable[Concatenate[Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        return await self._readers.run(lambda connection: statement(connection, *args, **kwargs))
