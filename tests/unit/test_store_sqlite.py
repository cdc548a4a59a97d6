"""What only SQLite has: a folder, a lock, files that can be removed, and a disk that can be full."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import AuditUnavailable
from gateway.store.interface import StoreUnusable
from gateway.store.schema import sqlite as schema
from gateway.store.sql.store import SqlStore
from gateway.store.sqlite import SqliteStore
from tests.store_rows import A, a_row
from tests.stores import SqlitePlace

OPENS = "import sys, pathlib; from gateway.store.sqlite import SqliteStore; SqliteStore(pathlib.Path(sys.argv[1]))"


@pytest.fixture
def store(sqlite_place: SqlitePlace) -> SqlStore:
    return sqlite_place.open()


def database(tmp_path: Path) -> Path:
    return tmp_path / "store" / "connect-care.sqlite3"


def run(*command: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def started(*command: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestOpening:
    async def test_only_the_owner_can_read_it(self, store: SqlStore, tmp_path: Path) -> None:
        await store.append(a_row())
        assert mode(tmp_path / "store") == 0o700
        assert {path.name: mode(path) for path in (tmp_path / "store").iterdir()} == {
            "connect-care.sqlite3": 0o600,
            "connect-care.sqlite3-wal": 0o600,
            "connect-care.sqlite3-shm": 0o600,
            "writer.lock": 0o600,
        }

    async def test_a_folder_that_others_could_read_is_closed(self, tmp_path: Path) -> None:
        (tmp_path / "store").mkdir(mode=0o755)
        database(tmp_path).touch(mode=0o644)
        await SqliteStore(tmp_path).aclose()
        assert (mode(tmp_path / "store"), mode(database(tmp_path))) == (0o700, 0o600)

    async def test_a_second_writer_is_refused_with_a_sentence(self, store: SqlStore, tmp_path: Path) -> None:
        del store
        with pytest.raises(StoreUnusable, match="Another process writes to the store"):
            SqliteStore(tmp_path)
        done = run(sys.executable, "-c", OPENS, tmp_path)
        assert done.returncode == 1
        assert "Another process writes to the store" in done.stderr

    async def test_once_closed_another_may_write(self, tmp_path: Path) -> None:
        first = SqliteStore(tmp_path)
        await first.aclose()
        await first.aclose()
        await SqliteStore(tmp_path).aclose()

    async def test_another_programs_database_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "store").mkdir()
        with sqlite3.connect(database(tmp_path)) as connection:
            connection.execute("CREATE TABLE theirs (n)")
        connection.close()
        with pytest.raises(StoreUnusable, match="belongs to another program"):
            SqliteStore(tmp_path)

    async def test_a_file_that_is_no_database_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "store").mkdir()
        database(tmp_path).write_text("not a database" * 100)
        with pytest.raises(StoreUnusable, match="can't be opened"):
            SqliteStore(tmp_path)

    async def test_a_data_folder_that_is_a_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "data").touch()
        with pytest.raises(StoreUnusable, match="can't be used"):
            SqliteStore(tmp_path / "data")

    async def test_a_database_that_cannot_be_made_lets_go_of_the_lock(self, tmp_path: Path) -> None:
        database(tmp_path).mkdir(parents=True)
        for _ in range(2):
            with pytest.raises(StoreUnusable, match="can't be used"):
                SqliteStore(tmp_path)

    async def test_a_disk_without_a_write_ahead_log_is_refused(self, tmp_path: Path) -> None:
        class NoLog(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                return super().execute("SELECT 'delete'" if sql == "PRAGMA journal_mode = WAL" else sql, *args)

        with pytest.raises(StoreUnusable, match="can't hold a write-ahead log"):
            SqliteStore(tmp_path, connection_type=NoLog)

    async def test_an_old_sqlite_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(schema, "OLDEST_SQLITE", (99, 0, 0))
        with pytest.raises(StoreUnusable, match="too old"):
            SqliteStore(tmp_path)


class TestFailure:
    async def test_a_lock_held_by_another_process_is_waited_for_and_no_longer(
        self, store: SqlStore, tmp_path: Path
    ) -> None:
        script = textwrap.dedent("""
            import sqlite3, sys
            connection = sqlite3.connect(sys.argv[1], isolation_level=None)
            connection.execute("BEGIN IMMEDIATE")
            print("locked", flush=True)
            sys.stdin.read()
        """)
        with started(sys.executable, "-c", script, database(tmp_path)) as other:
            assert other.stdout is not None
            assert await asyncio.to_thread(other.stdout.readline) == b"locked\n"
            async with asyncio.timeout(60):
                with pytest.raises(AuditUnavailable, match="locked"):
                    await store.append(a_row())
            assert await store.ready() is False
            assert await store.current_choice(A) is None, "reading goes on"
            other.communicate()
        assert await store.append(a_row()) == 1

    async def test_a_full_database_refuses_and_recovers(self, tmp_path: Path) -> None:
        class Small(sqlite3.Connection):
            pages = 10**6

            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                if sql == "BEGIN IMMEDIATE":
                    super().execute(f"PRAGMA max_page_count = {type(self).pages}")
                return super().execute(sql, *args)

        store = SqliteStore(tmp_path, connection_type=Small)
        await store.append(a_row())
        Small.pages = 1  # no more than it has already
        big = [a_row(request_id=f"r-{n}", detail="x" * 3000) for n in range(60)]
        answers = await asyncio.gather(*map(store.append, big), return_exceptions=True)
        full = [answer for answer in answers if isinstance(answer, AuditUnavailable)]
        assert full
        assert "full" in full[0].detail
        acknowledged = sorted(answer for answer in answers if isinstance(answer, int))
        assert [kept.seq for kept in await store.rows(limit=1000)] == [1, *acknowledged]
        Small.pages = 10**6
        assert await store.append(a_row()) == 2 + len(acknowledged)
        await store.aclose()

    async def test_a_full_disk_refuses_and_recovers(self, tmp_path: Path) -> None:
        """A real one: a file system of one megabyte."""
        disk = tmp_path / "disk"
        disk.mkdir()
        if run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk).returncode:
            pytest.skip("mounting a small file system needs root; the file size limit below runs everywhere")
        store = SqliteStore(disk)
        try:
            acknowledged = await until_unavailable(store)
            assert [kept.seq for kept in await store.rows(limit=1000)] == acknowledged
            assert await store.ready() is False
            run("mount", "-o", "remount,size=32m", disk).check_returncode()
            assert await store.append(a_row()) == len(acknowledged) + 1
            await asyncio.sleep(1)
            assert await store.ready() is True
        finally:
            await store.aclose()
            run("umount", disk).check_returncode()

    def test_a_file_that_may_not_grow_refuses(self, tmp_path: Path) -> None:
        """The same without root: the kernel refuses to let any file grow over nine tenths of a megabyte."""

        async def scenario() -> tuple[list[int], list[int]]:
            store = SqliteStore(tmp_path)
            acknowledged = await until_unavailable(store)
            kept = [one.seq for one in await store.rows(limit=1000)]
            return acknowledged, kept

        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, limits[1]))
        try:
            acknowledged, kept = asyncio.run(scenario())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert acknowledged == kept
        assert len(kept) > 10

    @pytest.mark.parametrize("gone", ["connect-care.sqlite3", "connect-care.sqlite3-wal"])
    async def test_a_file_that_was_removed_under_it_takes_no_more_rows(
        self, store: SqlStore, tmp_path: Path, gone: str
    ) -> None:
        await store.append(a_row())
        assert await store.ready() is True
        (tmp_path / "store" / gone).unlink()
        with pytest.raises(AuditUnavailable):
            await store.append(a_row())

    async def test_a_file_that_was_replaced_under_it_takes_no_more_rows(self, store: SqlStore, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        copy.write_bytes(database(tmp_path).read_bytes())
        copy.rename(database(tmp_path))
        with pytest.raises(AuditUnavailable, match="replaced"):
            await store.append(a_row())


async def until_unavailable(store: SqlStore) -> list[int]:
    """Rows until the first that can't be written; the numbers of those that were."""
    acknowledged = []
    for n in range(1000):
        try:
            acknowledged.append(await store.append(a_row(request_id=f"r-{n}", detail="x" * 3000)))
        except AuditUnavailable:
            return acknowledged
    raise AssertionError("the disk never filled")
