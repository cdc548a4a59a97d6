"""Group commit: one thread owns the connection that writes, and commits what is waiting in one transaction.

An answer is given only after COMMIT has put the batch on the disk. Each job runs in a savepoint of its own, so one
that raises takes nobody with it; where the transaction itself fails, every job of it gets `AuditUnavailable`, and
nothing of the batch is in the store (but where the database was lost in the middle of COMMIT: then nobody can tell, and
the answer is no all the same). No batch waits for company: the disk's own slowness makes batches grow.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from gateway.errors import AuditUnavailable
from gateway.log import failed
from gateway.observe.meters import JOURNAL_BATCH, JOURNAL_COMMIT_SECONDS, JOURNAL_FAILURES, JOURNAL_WAITING
from gateway.store.connection import Writing, said
from gateway.store.transaction import Transaction

MOST_IN_A_BATCH: Final = 64

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[Transaction], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


_Outcome = tuple[_Job, Any, Exception | None]
"""A job with its result, or with what it raised."""


class Writer:
    """The one thread that writes.

    `max_waiting` jobs may wait; `answer_seconds` is how long anybody waits for an answer, whatever hangs: a disk, a
    network, or the database itself.
    """

    def __init__(self, connection: Writing, *, max_waiting: int, answer_seconds: float = 15.0) -> None:
        self._connection = connection
        self._answer_seconds = answer_seconds
        self._max_waiting = max_waiting
        self._waiting: deque[_Job] = deque()
        self._wakes = threading.Condition()
        self._refusing = ""
        self._closed = False
        self.commits = 0
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[Transaction], _T]) -> _T:
        """Run the work inside the next transaction; returns its result once that is committed.

        A caller that is cancelled stops waiting, the work is done all the same: what was asked for is journalled.
        Raises what the work raised, or AuditUnavailable where nothing could be committed, too many wait already, or no
        answer came in time.
        """
        loop = asyncio.get_running_loop()
        job = _Job(work, loop.create_future(), loop)
        with self._wakes:
            if self._refusing:
                raise AuditUnavailable(self._refusing)
            if len(self._waiting) >= self._max_waiting:
                raise AuditUnavailable(f"{self._max_waiting} rows wait for the journal already")
            self._waiting.append(job)
            JOURNAL_WAITING.inc()
            self._wakes.notify()
        try:
            async with asyncio.timeout(self._answer_seconds):
                result: _T = await job.future
        except TimeoutError as error:
            raise AuditUnavailable(f"the journal gave no answer within {self._answer_seconds:g} s") from error
        return result

    def stop(self) -> bool:
        """Commit what waits, refuse what comes after, close the connection. False where that was done before."""
        self._refuse("the store is closed")
        self._thread.join()
        if self._closed:
            return False
        self._closed = True
        self._connection.close()
        return True

    def _refuse(self, why: str) -> list[_Job]:
        with self._wakes:
            self._refusing = self._refusing or why
            self._wakes.notify()
            return list(self._waiting)

    def _run(self) -> None:
        batch: list[_Job] = []
        try:
            while batch := self._take():
                self._deliver(self._commit(batch))
                self._connection.batch_ended()
        except BaseException as error:
            # Nobody would ever be answered again: say so to all who wait, and to everyone who comes.
            why = f"the journal's writer stopped: {type(error).__name__}"
            self._deliver(_failed(batch + self._refuse(why), why, error))
            self._connection.roll_back()
            failed("store.writer.stopped", error, level=logging.CRITICAL)

    def _take(self) -> list[_Job]:
        """What waits now, up to a batch; empty once the writer was stopped and nothing waits."""
        with self._wakes:
            while not self._waiting and not self._refusing:
                self._wakes.wait()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_IN_A_BATCH))]
        JOURNAL_WAITING.dec(len(batch))
        return batch

    def _commit(self, batch: list[_Job]) -> list[_Outcome]:
        JOURNAL_BATCH.observe(len(batch))
        try:
            with JOURNAL_COMMIT_SECONDS.time():
                self._connection.begin()
                transaction = Transaction(self._connection)
                outcomes = [self._one(job, transaction) for job in batch]
                transaction.end()
                self._connection.commit()
        except (self._connection.errors, OSError) as error:
            JOURNAL_FAILURES.inc()
            self._connection.roll_back()
            return _failed(batch, f"the journal could not commit: {said(error)}", error)
        self.commits += 1
        return outcomes

    def _one(self, job: _Job, transaction: Transaction) -> _Outcome:
        """Raises the database's error where the whole transaction is lost."""
        mark = transaction.mark()
        try:
            outcome: _Outcome = (job, job.work(transaction), None)
        except Exception as error:
            transaction.undo(mark)
            outcome = (job, None, self._told(error))
        transaction.done()
        return outcome

    def _told(self, error: Exception) -> Exception:
        if isinstance(error, self._connection.errors):
            return _unavailable(f"the journal could not write: {said(error)}", error)
        return error

    @staticmethod
    def _deliver(outcomes: list[_Outcome]) -> None:
        """One wake-up per event loop. A loop that is closed has nobody left to tell."""
        by_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
        for outcome in outcomes:
            by_loop.setdefault(outcome[0].loop, []).append(outcome)
        for loop, its_own in by_loop.items():
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve, its_own)


def _resolve(outcomes: list[_Outcome]) -> None:
    for job, result, error in outcomes:
        if job.future.done():  # its waiter was cancelled
            continue
        if error is None:
            job.future.set_result(result)
        else:
            job.future.set_exception(error)


def _failed(jobs: list[_Job], why: str, error: BaseException) -> list[_Outcome]:
    return [(job, None, _unavailable(why, error)) for job in jobs]


def _unavailable(why: str, error: BaseException) -> AuditUnavailable:
    unavailable = AuditUnavailable(why)
    unavailable.__cause__ = error
    return unavailable
