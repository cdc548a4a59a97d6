"""Group commit: one transaction for all who wait, and nobody is told yes before it is on the disk."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import AuditUnavailable
from gateway.observe.meters import REGISTRY
from gateway.store.connection import Connection
from gateway.store.schema.sqlite import migrate
from gateway.store.sqlite import SqliteConnection
from gateway.store.writer import MOST_IN_A_BATCH, Writer


class Faulty(sqlite3.Connection):
    """A connection that fails at the statement it is told to fail at, like a disk that fails under it."""

    fails_at: frozenset[str] = frozenset()
    error: BaseException = sqlite3.OperationalError("disk I/O error")

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        if sql in self.fails_at:
            raise self.error
        return super().execute(sql, *args)


@pytest.fixture
def connection(tmp_path: Path) -> Faulty:
    faulty = sqlite3.connect(tmp_path / "t.db", isolation_level=None, check_same_thread=False, factory=Faulty)
    faulty.execute("PRAGMA journal_mode = WAL")
    migrate(faulty)
    faulty.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    return faulty


@pytest.fixture
def writer(connection: Faulty) -> Iterator[Writer]:
    made = Writer(SqliteConnection(connection), max_waiting=500)
    yield made
    made.stop()


def insert(n: int) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        connection.execute("INSERT INTO t VALUES (?)", (n,))
        return n

    return work


def kept(tmp_path: Path) -> list[int]:
    """What another process would find."""
    other = sqlite3.connect(tmp_path / "t.db")
    try:
        return [n for (n,) in other.execute("SELECT n FROM t ORDER BY n")]
    finally:
        other.close()


@asynccontextmanager
async def held(writer: Writer) -> AsyncIterator[None]:
    """The thread is busy with a job for as long as the block lasts: what is asked for meanwhile makes one batch."""
    began, goes_on = threading.Event(), threading.Event()

    def wait(_: Connection) -> None:
        began.set()
        assert goes_on.wait(10)

    task = asyncio.ensure_future(writer.run(wait))
    assert await asyncio.to_thread(began.wait, 10)
    try:
        yield
    finally:
        goes_on.set()
        await asyncio.gather(task, return_exceptions=True)


async def asked(writer: Writer, *works: Callable[[Connection], Any]) -> list[asyncio.Task[Any]]:
    """The works, waiting in the queue."""
    tasks = [asyncio.ensure_future(writer.run(work)) for work in works]
    await asyncio.sleep(0)
    return tasks


async def test_two_hundred_rows_take_far_fewer_commits_and_each_is_there(writer: Writer, tmp_path: Path) -> None:
    async with held(writer):
        tasks = await asked(writer, *(insert(n) for n in range(200)))
    assert await asyncio.gather(*tasks) == list(range(200))
    assert kept(tmp_path) == list(range(200))
    assert writer.commits == 1 + -(-200 // MOST_IN_A_BATCH)


async def test_what_is_acknowledged_can_be_read_by_another_connection_at_once(writer: Writer, tmp_path: Path) -> None:
    for n in range(20):
        await writer.run(insert(n))
        assert n in kept(tmp_path)


async def test_a_job_that_raises_is_rolled_back_alone(writer: Writer, tmp_path: Path) -> None:
    def half(connection: Connection) -> None:
        connection.execute("INSERT INTO t VALUES (50)")
        raise LookupError("on second thoughts")

    async with held(writer):
        tasks = await asked(writer, insert(1), half, insert(2))
    before, failed, after = await asyncio.gather(*tasks, return_exceptions=True)
    assert (before, after) == (1, 2)
    assert isinstance(failed, LookupError)
    assert kept(tmp_path) == [1, 2]


async def test_a_job_that_breaks_a_constraint_fails_alone_as_unavailable(writer: Writer, tmp_path: Path) -> None:
    async with held(writer):
        tasks = await asked(writer, insert(1), insert(1), insert(2))
    _, failed, last = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(failed, AuditUnavailable)
    assert isinstance(failed.__cause__, sqlite3.IntegrityError)
    assert last == 2
    assert kept(tmp_path) == [1, 2]


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "COMMIT"])
async def test_a_failed_transaction_leaves_nothing_and_tells_everybody(
    writer: Writer, connection: Faulty, tmp_path: Path, statement: str
) -> None:
    async with held(writer):
        tasks = await asked(writer, *(insert(n) for n in range(MOST_IN_A_BATCH)))
        if statement == "BEGIN IMMEDIATE":
            connection.fails_at = frozenset({statement})
    if statement == "COMMIT":
        assert all(not isinstance(answer, Exception) for answer in await asyncio.gather(*tasks))
        connection.fails_at = frozenset({statement})
        tasks = await asked(writer, *(insert(n) for n in range(100, 140)))
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(answer) for answer in answers} == {AuditUnavailable}
    assert len({id(answer) for answer in answers}) == len(answers)
    assert [n for n in kept(tmp_path) if n >= 100 or statement != "COMMIT"] == []
    connection.fails_at = frozenset()
    assert await writer.run(insert(1000)) == 1000, "the next transaction may succeed"


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(f"connect_care_journal_{name}") or 0.0


async def test_batches_are_counted_and_so_is_what_waits(writer: Writer, connection: Faulty) -> None:
    counted = {name: metric(name) for name in ("batch_jobs_count", "batch_jobs_sum", "failures_total", "waiting")}
    async with held(writer):
        tasks = await asked(writer, *(insert(n) for n in range(9)))
        assert metric("waiting") == counted["waiting"] + 9
    await asyncio.gather(*tasks)
    connection.fails_at = frozenset({"COMMIT"})
    with pytest.raises(AuditUnavailable):
        await writer.run(insert(100))
    assert metric("waiting") == counted["waiting"]
    assert metric("failures_total") == counted["failures_total"] + 1
    assert metric("batch_jobs_sum") >= counted["batch_jobs_sum"] + 10
    assert metric("commit_seconds_count") == metric("batch_jobs_count") >= counted["batch_jobs_count"] + 2


async def test_a_rollback_that_fails_too_is_survived(writer: Writer, connection: Faulty, tmp_path: Path) -> None:
    connection.fails_at = frozenset({"COMMIT", "ROLLBACK"})
    with pytest.raises(AuditUnavailable):
        await writer.run(insert(1))
    connection.fails_at = frozenset()
    with pytest.raises(AuditUnavailable):
        await writer.run(insert(2))  # finds itself inside the old transaction, and ends it
    assert await writer.run(insert(3)) == 3
    assert kept(tmp_path) == [3]


async def test_a_transaction_that_sqlite_rolls_back_itself_fails_whole(writer: Writer, tmp_path: Path) -> None:
    """As SQLite does by itself where the disk is full: what came before in the batch is lost too, and must say so."""

    def full(connection: Connection) -> None:
        connection.execute("INSERT OR ROLLBACK INTO t VALUES (1)")

    async with held(writer):
        tasks = await asked(writer, insert(1), full, insert(2))
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(answer) for answer in answers} == {AuditUnavailable}
    assert kept(tmp_path) == []


async def test_a_job_that_ends_the_transaction_can_not_let_the_next_commit_alone(
    writer: Writer, tmp_path: Path
) -> None:
    def swallows(connection: Connection) -> None:
        connection.execute("ROLLBACK")

    async with held(writer):
        tasks = await asked(writer, insert(1), swallows, insert(2))
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(answer) for answer in answers} == {AuditUnavailable}
    assert kept(tmp_path) == []


async def test_a_full_queue_refuses_at_once(connection: Faulty, tmp_path: Path) -> None:
    writer = Writer(SqliteConnection(connection), max_waiting=3)
    async with held(writer):
        waiting = await asked(writer, insert(1), insert(2), insert(3))
        with pytest.raises(AuditUnavailable, match="3 rows wait"):
            await asyncio.wait_for(writer.run(insert(4)), 0.5)
    assert await asyncio.gather(*waiting) == [1, 2, 3]
    assert await writer.run(insert(5)) == 5
    writer.stop()
    assert kept(tmp_path) == [1, 2, 3, 5]


async def test_a_waiter_that_goes_away_breaks_nothing_and_its_row_is_written(writer: Writer, tmp_path: Path) -> None:
    def refuses(_: Connection) -> None:
        raise LookupError("nobody hears this")

    async with held(writer):
        tasks = await asked(writer, insert(1), insert(2), refuses, insert(3))
        for gone in tasks[:3]:
            gone.cancel()
        await asyncio.sleep(0)
    assert await tasks[3] == 3
    assert [task.cancelled() for task in tasks] == [True, True, True, False]
    assert kept(tmp_path) == [1, 2, 3]
    assert await writer.run(insert(4)) == 4


async def test_a_thread_that_stops_says_so_to_all_who_wait_and_to_all_who_come(
    writer: Writer, connection: Faulty, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with held(writer):
        tasks = await asked(writer, *(insert(n) for n in range(100)))
        connection.fails_at, connection.error = frozenset({"COMMIT"}), MemoryError()
    with caplog.at_level(logging.CRITICAL, "connect-care"):
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        writer.stop()
    assert {type(answer) for answer in answers} == {AuditUnavailable}
    assert [record.getMessage() for record in caplog.records] == ["store.writer.stopped"]
    with pytest.raises(AuditUnavailable, match="writer stopped: MemoryError"):
        await writer.run(insert(7))
    assert kept(tmp_path) == []


async def test_nothing_is_committed_to_a_file_that_is_no_longer_there(connection: Faulty, tmp_path: Path) -> None:
    def gone() -> None:
        raise FileNotFoundError("no such file")

    writer = Writer(SqliteConnection(connection, gone), max_waiting=9)
    with pytest.raises(AuditUnavailable, match="no such file"):
        await writer.run(insert(1))
    writer.stop()
    assert kept(tmp_path) == []


def test_a_loop_that_was_closed_meanwhile_does_not_stop_the_thread(writer: Writer, tmp_path: Path) -> None:
    began, goes_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        began.set()
        assert goes_on.wait(10)
        connection.execute("INSERT INTO t VALUES (1)")

    async def leave() -> None:
        task = asyncio.ensure_future(writer.run(slow))
        await asyncio.to_thread(began.wait, 10)
        task.cancel()

    asyncio.run(leave())
    goes_on.set()
    assert asyncio.run(writer.run(insert(2))) == 2
    assert kept(tmp_path) == [1, 2]


async def test_stopping_commits_what_waits_and_refuses_what_comes(connection: Faulty, tmp_path: Path) -> None:
    writer = Writer(SqliteConnection(connection), max_waiting=200)
    async with held(writer):
        tasks = await asked(writer, *(insert(n) for n in range(150)))
        stopping = asyncio.ensure_future(asyncio.to_thread(writer.stop))
        async with asyncio.timeout(60):
            while not writer._refusing:  # noqa: ASYNC110 - a thread sets it, and tells nobody
                await asyncio.sleep(0.001)
        with pytest.raises(AuditUnavailable, match="closed"):
            await writer.run(insert(999))
    assert await stopping is True
    assert await asyncio.gather(*tasks) == list(range(150))
    assert writer.stop() is False
    assert kept(tmp_path) == list(range(150))


async def test_nobody_waits_for_ever_for_a_disk_that_hangs(connection: Faulty, tmp_path: Path) -> None:
    writer = Writer(SqliteConnection(connection), max_waiting=9, answer_seconds=0.05)
    goes_on = threading.Event()

    def hangs(connection: Connection) -> None:
        assert goes_on.wait(10)
        connection.execute("INSERT INTO t VALUES (1)")

    with pytest.raises(AuditUnavailable, match=r"no answer within 0\.05 s"):
        await writer.run(hangs)
    with pytest.raises(AuditUnavailable, match="no answer"):
        await writer.run(insert(2))
    goes_on.set()
    writer.stop()
    assert kept(tmp_path) == [1, 2], "what was asked for is journalled, though nobody was told"
