"""What was committed moves into the database file beside the thread that writes; nothing hangs on it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.store import backfill as module
from gateway.store.backfill import AHEAD, CHANGES, LOG_PAGES, Backfill
from gateway.store.folder import LEAST_ROOM, Folder
from gateway.store.sql.base import MOST_ROWS
from gateway.store.sqlite import SqliteStore
from tests.store_rows import a_row
from tests.stores import SqlitePlace

PAGE = 4096 + 24
"""Bytes of a page in the log."""


class Watched(sqlite3.Connection):
    """Says before each statement what comes, and in which thread; may wait or fail there."""

    before: Callable[[str], None] = staticmethod(lambda sql: None)

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        self.before(sql)
        return super().execute(sql, *args)


class World:
    """A store's folder with the connections that a backfill has, and one that writes rows of a page each."""

    def __init__(self, data: Path) -> None:
        self.folder = Folder(data)
        self.writer = self.folder.writer(1.0, Watched)
        self.writer.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, x TEXT)")
        self.writer.execute(module._MOVE).fetchall()
        self.moving = sqlite3.connect(
            self.folder.database, isolation_level=None, check_same_thread=False, factory=Watched
        )
        self.guard = sqlite3.connect(
            self.folder.database, isolation_level=None, check_same_thread=False, factory=Watched
        )
        self.rows = self.flushes = 0
        self.backfill = Backfill(self.moving, self.guard, self.flush)

    def flush(self) -> None:
        self.flushes += 1
        self.folder.flush()

    def write(self, rows: int) -> None:
        """In one transaction."""
        self.writer.execute("BEGIN IMMEDIATE")
        for _ in range(rows):
            self.rows += 1
            self.writer.execute("INSERT INTO t VALUES (?, ?)", (self.rows, "x" * 4000))
        self.writer.execute("COMMIT")

    def batch(self, rows: int = CHANGES) -> None:
        """As the writing thread does it."""
        self.write(rows)
        self.backfill.batch_ended(self.writer)

    def rest(self) -> None:
        """Until the turn that was asked for is over."""
        with self.backfill._turn:
            assert self.backfill._turn.wait_for(lambda: not self.backfill._asked, 20)

    def log(self) -> Path:
        return self.folder.database.with_name(f"{self.folder.database.name}-wal")

    def generation(self) -> bytes:
        """Of the log: another one each time it begins anew (https://sqlite.org/fileformat2.html#walformat)."""
        return self.log().read_bytes()[12:24]

    def in_the_file(self) -> list[int]:
        """What somebody finds who has only the database file."""
        with closing(sqlite3.connect(f"{self.folder.database.as_uri()}?immutable=1", uri=True)) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return [n for (n,) in copy.execute("SELECT n FROM t ORDER BY n")]

    def close(self) -> None:
        self.backfill.close()
        self.writer.close()
        self.folder.unlock()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()
    assert made.in_the_file() == list(range(1, made.rows + 1))


def fails(error: BaseException) -> Callable[[str], None]:
    def before(sql: str) -> None:
        if "wal_checkpoint" in sql:
            raise error

    return before


class Pause:
    """Holds a thread at the statement that moves, until it's let go."""

    def __init__(self) -> None:
        self.began, self.goes_on = threading.Event(), threading.Event()

    def __call__(self, sql: str) -> None:
        if "wal_checkpoint" in sql:
            self.began.set()
            assert self.goes_on.wait(20)


def test_what_was_committed_is_moved_by_the_thread_and_the_log_begins_anew(world: World) -> None:
    moved_by: list[str] = []
    world.moving.before = lambda sql: moved_by.append(threading.current_thread().name)  # type: ignore[method-assign]
    world.batch(CHANGES - 1)
    assert moved_by == [], "too little to be worth a turn"
    generation = world.generation()
    world.batch(1)
    world.rest()
    assert set(moved_by) == {"store-backfill"}
    assert world.in_the_file() == list(range(1, CHANGES + 1))
    world.write(1)
    assert world.generation() != generation


def test_the_writer_moves_only_what_came_meanwhile_and_then_the_log_begins_anew(world: World) -> None:
    """A commit during each pass: without the writer's part no pass would ever find the log's end."""
    passes: list[tuple[str, int]] = []

    def meanwhile(sql: str) -> None:
        if "wal_checkpoint" in sql:
            world.write(1)

    def watched(sql: str) -> None:
        if "wal_checkpoint" in sql:
            passes.append((threading.current_thread().name, world.rows))

    world.moving.before = meanwhile  # type: ignore[method-assign]
    world.batch()
    world.rest()
    generation = world.generation()
    world.write(1)
    assert world.generation() == generation, "something is left in the log"
    assert world.flushes == module.PASSES, "so that the writer has little to flush"
    world.writer.before = watched  # type: ignore[method-assign]
    world.backfill.batch_ended(world.writer)
    assert passes == [(threading.current_thread().name, world.rows)]
    assert world.in_the_file() == list(range(1, world.rows + 1))
    world.write(1)
    assert world.generation() != generation


@pytest.mark.parametrize("is_moved_already", [False, True])
def test_the_log_never_begins_anew_under_a_pass(world: World, *, is_moved_already: bool) -> None:
    """That lost commits before SQLite 3.51.3. Here everything is moved by somebody else, and a commit comes, just after
    the pass has looked: either the log goes on, or the pass moves nothing."""
    generations: list[bytes] = []

    def race(sql: str) -> None:
        if "wal_checkpoint" not in sql:
            return
        world.moving.before = lambda sql: None  # type: ignore[method-assign]
        generations.append(world.generation())
        world.writer.execute(module._MOVE).fetchall()
        world.write(2)
        generations.append(world.generation())

    world.write(CHANGES)
    if is_moved_already:
        world.writer.execute(module._MOVE).fetchall()
    world.moving.before = race  # type: ignore[method-assign]
    world.backfill.batch_ended(world.writer)
    world.rest()
    before, after = generations
    assert (before != after) is is_moved_already
    world.write(CHANGES)
    assert [n for (n,) in world.guard.execute("SELECT n FROM t")] == list(range(1, world.rows + 1))


def test_many_turns_and_readers_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHANGES", 1)

    async def scenario() -> list[int]:
        store = SqliteStore(tmp_path)
        answers: list[int] = []
        for _ in range(20):
            some = (store.append(a_row(detail="x" * 3000)) for _ in range(20))
            reading = (store.log_size() for _ in range(5))
            answers += (await asyncio.gather(*some, *reading))[:20]
        kept = [one.seq for one in await store.rows(limit=MOST_ROWS)]
        await store.aclose()
        assert kept == sorted(answers) == list(range(1, 401))
        return kept

    kept = asyncio.run(scenario())
    with closing(sqlite3.connect(SqlitePlace(tmp_path).database)) as found:
        assert found.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert [seq for (seq,) in found.execute("SELECT seq FROM journal ORDER BY seq")] == kept


def test_the_log_is_bounded_however_much_is_written(world: World) -> None:
    for _ in range(40):
        world.batch()
        assert world.log().stat().st_size <= LEAST_ROOM


def test_whoever_writes_is_only_so_far_ahead_of_a_turn(world: World) -> None:
    """Where the disk is slower at scattered pages than at the log's end, the log would grow and grow."""
    world.moving.before = pause = Pause()  # type: ignore[method-assign]
    world.batch()
    assert pause.began.wait(20)
    world.batch(AHEAD - 1)
    order: list[str] = []

    def ahead() -> None:
        world.backfill.batch_ended(world.writer)
        order.append("writer goes on")

    world.write(1)
    writing = threading.Thread(target=ahead)
    writing.start()
    writing.join(0.05)
    order.append("turn goes on")
    pause.goes_on.set()
    writing.join()
    assert order == ["turn goes on", "writer goes on"]


def test_a_turn_that_fails_is_said_and_the_next_one_may_succeed(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for error in (sqlite3.OperationalError("database or disk is full"), OSError("no space left on device")):
        world.moving.before = fails(error)  # type: ignore[method-assign]
        with caplog.at_level(logging.WARNING, "connect-care"):
            world.batch()
            world.rest()
    assert [record.getMessage() for record in caplog.records] == ["store.backfill.failed"] * 2
    assert world.in_the_file() == []
    world.moving.before = lambda sql: None  # type: ignore[method-assign]
    world.batch()
    world.rest()
    assert len(world.in_the_file()) == 3 * CHANGES


@pytest.mark.parametrize("error", [MemoryError(), sqlite3.OperationalError("disk I/O error")])
def test_without_the_thread_the_log_is_bounded_all_the_same(
    world: World, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    world.moving.before = fails(error)  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING, "connect-care"):
        for _ in range(40):
            world.batch()
            world.rest()
            assert world.log().stat().st_size <= LEAST_ROOM
    said = "store.backfill.stopped" if isinstance(error, MemoryError) else "store.backfill.failed"
    assert {record.getMessage() for record in caplog.records} == {said}
    assert world.in_the_file(), "SQLite moves it after a commit"


def test_a_writers_part_that_fails_is_left_to_the_next_turn(world: World) -> None:
    world.moving.before = lambda sql: world.write(1) if "wal_checkpoint" in sql else None  # type: ignore[method-assign]
    world.batch()
    world.rest()
    world.writer.before = fails(sqlite3.OperationalError("disk I/O error"))  # type: ignore[method-assign]
    world.backfill.batch_ended(world.writer)
    world.moving.before = world.writer.before = lambda sql: None  # type: ignore[method-assign]
    world.batch()
    world.rest()
    assert world.in_the_file() == list(range(1, world.rows + 1))


def test_a_log_that_a_reader_holds_is_said_once_and_cut_when_it_lets_go(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "HELD_PAGES", LOG_PAGES)
    for times in (1, 2):
        seen = world.rows
        reader = sqlite3.connect(world.folder.database, isolation_level=None)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (seen,)
        with caplog.at_level(logging.WARNING, "connect-care"):
            while world.log().stat().st_size < LEAST_ROOM + PAGE:
                world.batch()
            world.rest()
        assert [record.getMessage() for record in caplog.records] == ["store.log.held"] * times
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (seen,), "it goes on seeing what it saw"
        reader.execute("COMMIT")
        reader.close()
        for _ in range(4):
            world.batch()
            world.rest()
        assert world.log().stat().st_size <= LEAST_ROOM
        assert len(world.in_the_file()) > seen


def test_a_turn_that_met_the_writer_moving_knows_nothing_of_the_log_and_says_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite answers (1, -1, -1) then (https://sqlite.org/pragma.html#pragma_wal_checkpoint)."""
    monkeypatch.setattr(module, "HELD_PAGES", 1)
    reader = sqlite3.connect(world.folder.database, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchone()
    moves = world.moving.execute
    with caplog.at_level(logging.WARNING, "connect-care"):
        for execute in (moves, lambda sql: sqlite3.connect(":memory:").execute("SELECT 1, -1, -1"), moves):
            world.moving.execute = execute  # type: ignore[method-assign, assignment]
            for _ in range(2):  # what a turn leaves is the writer's, and asks for none
                world.batch()
                world.rest()
    assert [record.getMessage() for record in caplog.records] == ["store.log.held"]
    reader.close()


def test_closing_waits_for_the_turn_that_runs(world: World) -> None:
    world.moving.before = pause = Pause()  # type: ignore[method-assign]
    world.batch()
    assert pause.began.wait(20)
    closing_it = threading.Thread(target=world.backfill.close)
    closing_it.start()
    pause.goes_on.set()
    closing_it.join()
    assert world.in_the_file() == list(range(1, world.rows + 1))
    world.batch()  # nobody has a turn any more, and nobody waits for one
    world.batch()


def test_a_count_of_changes_that_begins_again_below_zero_is_no_end_of_turns(world: World) -> None:
    """SQLite counts in 32 bits: a month at 800 rows a second."""

    class Counting:
        total_changes = 2**31 - 10

        def execute(self, sql: str) -> sqlite3.Cursor:
            return world.writer.execute(sql)

    counting: Any = Counting()
    world.backfill.batch_ended(counting)
    world.rest()
    world.write(CHANGES)
    counting.total_changes = -(2**31) + CHANGES - 10
    world.backfill.batch_ended(counting)
    world.rest()
    assert world.in_the_file() == list(range(1, world.rows + 1))
