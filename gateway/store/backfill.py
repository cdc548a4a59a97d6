"""What was committed moves from SQLite's write-ahead log into the database file in a thread of its own.

A commit puts its pages at the log's end, and is on the disk with that. Later they are written to their places all over
the database file (SQLite calls it a checkpoint), so that the log can begin anew. On a long journal that's hundreds of
scattered pages and a flush: too much for the thread that writes the rows. So this thread does the bulk, and leaves that
one the few pages which were committed meanwhile: the log begins anew only when all of it is in the file.

Nothing here decides whether a row is kept. Where this thread fails or ends, SQLite does the same after a commit, once
the log holds `LOG_PAGES`.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from gateway.log import event, failed

LOG_PAGES: Final = 2_000
"""From here on each commit moves what it can by itself."""

CHANGES: Final = 128
"""Changed rows after which there is a turn: about 900 pages of the log for rows of whole records."""

AHEAD: Final = 3 * CHANGES
"""Changed rows that may be written while a turn lasts. With them the log has 3,600 pages, 14 MiB."""

PASSES: Final = 3
"""In one turn at most. At 200 records a second the third mostly finds nothing new."""

HELD_PAGES: Final = 16_000
"""A log of this many pages (62 MiB) isn't growing under load: somebody reads an old state of the store and holds it."""

_MOVE: Final = "PRAGMA wal_checkpoint(PASSIVE)"
_COUNTED: Final = 1 << 32
"""SQLite counts changes modulo this."""


class Backfill:
    """Owns both connections, one that may write to the database file and one that reads; `close` closes them.

    `flush` puts on the disk what was written to the database file. One thread writes: it calls `batch_ended` after each
    batch, when those who waited for the batch have their answers.
    """

    def __init__(self, moving: sqlite3.Connection, guard: sqlite3.Connection, flush: Callable[[], None]) -> None:
        self._moving = moving
        self._guard = guard
        self._flush = flush
        self._turn = threading.Condition()
        self._asked = False
        self._left = False
        self._ends = False
        self._is_held = False
        self._counted = 0
        self._thread = threading.Thread(target=self._run, name="store-backfill", daemon=True)
        self._thread.start()

    def batch_ended(self, writer: sqlite3.Connection) -> None:
        """Ask for a turn when enough was written, and end the log when little is left of it. Raises nothing.

        It waits for a turn that takes long, so that the log can't grow without bound where the disk is slower at
        scattered pages than at the log's end.
        """
        changes = writer.total_changes
        with self._turn:
            written = (changes - self._counted) % _COUNTED
            if written >= AHEAD:
                self._turn.wait_for(lambda: not self._asked)
            if written >= CHANGES and not self._asked:
                self._counted = changes
                self._asked = not (self._left or self._ends)
                self._turn.notify_all()
            left, self._left = self._left, False
        if left:
            with suppress(sqlite3.Error):  # there's another turn, and SQLite's own after a commit
                writer.execute(_MOVE).fetchall()

    def close(self) -> None:
        """After the turn that runs."""
        with self._turn:
            self._ends = True
            self._turn.notify_all()
        self._thread.join()
        self._guard.close()
        self._moving.close()

    def _run(self) -> None:
        try:
            while self._awaits_turn():
                self._have_turn()
        except BaseException as error:
            failed("store.backfill.stopped", error, level=logging.ERROR)
        finally:
            with self._turn:
                self._ends, self._asked = True, False
                self._turn.notify_all()

    def _awaits_turn(self) -> bool:
        with self._turn:
            self._turn.wait_for(lambda: self._asked or self._ends)
            return not self._ends

    def _have_turn(self) -> None:
        left = False
        try:
            left = self._move()
        except (sqlite3.Error, OSError) as error:
            failed("store.backfill.failed", error)
        with self._turn:
            self._left, self._asked = left, False
            self._turn.notify_all()

    def _move(self) -> bool:
        """Move all there is, then what came meanwhile, which is less each time; returns whether there may be more.

        SQLite flushes the file only with the pass that ends the log: unless it's flushed here, the writing thread pays
        for all of it.
        """
        moved = -1
        for _ in range(PASSES):
            before = moved
            is_busy, pages, moved = self._pass()
            if is_busy:  # the writing thread moves just now: how far the log is, and whether it's held, nobody says
                return True
            if pages == before:
                self._is_held = False
                return False
            self._flush()
        self._tell_if_held(pages)
        return True

    def _pass(self) -> tuple[int, int, int]:
        """Whether somebody else moves, pages in the log, and how many of them are in the database file.

        The reader keeps the log from beginning anew, or the file from being written to, for as long as the pass lasts.
        Before SQLite 3.51.3 a pass that began just when a commit made the log begin anew took its new pages for moved,
        and they were lost (https://sqlite.org/wal.html#walresetbug).
        """
        self._guard.execute("BEGIN")
        try:
            self._guard.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()  # BEGIN alone reads nothing yet
            is_busy, pages, moved = self._moving.execute(_MOVE).fetchone()
        finally:
            self._guard.execute("ROLLBACK")
        return is_busy, pages, moved

    def _tell_if_held(self, pages: int) -> None:
        """Once, until it's over: the disk fills, and the store can't tell who is to blame."""
        was_held, self._is_held = self._is_held, pages >= HELD_PAGES
        if self._is_held and not was_held:
            event("store.log.held", level=logging.WARNING, alarm="store-log-held", count=pages)
