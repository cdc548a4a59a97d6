"""What only PostgreSQL has: a server that can be gone, other workers, and a COMMIT that nobody knows the end of."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.audit.log.leaf import NO_HEAD, chain
from gateway.audit.log.tree import root_of
from gateway.audit.row import Kind
from gateway.choice.model import Choice
from gateway.errors import AuditUnavailable, OptedOut
from gateway.store import postgres_address, postgres_connection
from gateway.store.connection import Connection
from gateway.store.interface import StoreUnusable
from gateway.store.postgres import PostgresStore
from gateway.store.postgres_address import Address
from gateway.store.postgres_connection import WritingConnection
from gateway.store.sql.store import SqlStore
from gateway.store.tables import journal
from gateway.store.transaction import Transaction
from tests.store_rows import NOON, A, B, a_permission, a_release, a_row, choose
from tests.stores import PostgresPlace, Server

GRANTED = a_row(Kind.PERMISSION_GRANTED)


@pytest.fixture
def place(postgres_place: PostgresPlace) -> PostgresPlace:
    return postgres_place


@pytest.fixture
def store(place: PostgresPlace) -> SqlStore:
    return place.open(clock=lambda: NOON)


def cut_off(place: PostgresPlace) -> None:
    """End every session of the database but this one, as a restart does."""
    place.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()"
    )


class Wire:
    """Between a store and its server: it can be cut just when the server was told to commit, and it can hang."""

    def __init__(self, place: PostgresPlace) -> None:
        self.server = str(psycopg.conninfo.conninfo_to_dict(place.url)["host"]) + "/.s.PGSQL.5432"
        self.database = str(psycopg.conninfo.conninfo_to_dict(place.url)["dbname"])
        self.cut_at = b""
        self.hangs = threading.Event()
        self.cuts = 0
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{self.database}?sslmode=disable&gssencmode=disable"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.server)
                self._ends += [client, server]
                for pair in ((client, server), (server, client)):
                    self._threads.append(threading.Thread(target=self._carry, args=pair, daemon=True))
                    self._threads[-1].start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                while self.hangs.is_set():
                    time.sleep(0.01)
                if self.cut_at and self.cut_at in data:
                    self.cuts += 1
                    source.shutdown(socket.SHUT_RDWR)  # the answer finds nobody
                    target.sendall(data)
                    time.sleep(0.2)
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.hangs.clear()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for end in self._ends:
            end.close()


@pytest.fixture
def wire(place: PostgresPlace) -> Iterator[Wire]:
    made = Wire(place)
    yield made
    place.close()
    made.close()


class TestOpening:
    @pytest.mark.parametrize("read_only", [False, True])
    def test_a_database_that_cannot_be_reached_is_said_in_a_sentence_without_the_password(
        self, read_only: bool
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        url = f"postgresql://gateway:hunter2@127.0.0.1:{port}/records"
        with pytest.raises(StoreUnusable, match=r"The database records on 127\.0\.0\.1 can't be used") as refused:
            PostgresStore(url, read_only=read_only)
        assert "Check that it runs" in str(refused.value)
        assert "hunter2" not in str(refused.value)

    @pytest.mark.parametrize(
        "url", ["mysql://gateway:hunter2@db/records", "hunter2", "postgresql://gateway:hunter2@[::"]
    )
    def test_what_is_no_url_is_not_repeated(self, url: str) -> None:
        with pytest.raises(StoreUnusable, match="postgresql://role@host/database") as refused:
            PostgresStore(url)
        assert "hunter2" not in str(refused.value)

    def test_one_that_is_not_there_is_too(self, postgres: Server) -> None:
        with pytest.raises(StoreUnusable, match=r"nowhere.*does not exist"):
            PostgresStore(postgres.url("nowhere"))

    def test_the_password_is_read_from_its_file_each_time(
        self, place: PostgresPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file, used = tmp_path / "password", []
        with pytest.raises(StoreUnusable, match=r"can't be read.*Check database_password_file"):
            place.open(password_file=file)
        real = postgres_address.Bounded.connect
        monkeypatch.setattr(
            postgres_address.Bounded,
            "connect",
            lambda url, **more: used.append(more.get("password")) or real(url, **more),
        )
        for password in ("first", "second"):
            file.write_text(f"{password}\n")
            place.open(password_file=file)
        assert used == ["first", "second"]

    def test_a_server_that_does_not_flush_is_refused(self, place: PostgresPlace, postgres: Server) -> None:
        try:
            postgres.command("ALTER SYSTEM SET fsync = off")
            postgres.command("SELECT pg_reload_conf()")
            until = time.monotonic() + 10
            while place.run("SHOW fsync") == [("on",)] and time.monotonic() < until:
                time.sleep(0.01)
            with pytest.raises(StoreUnusable, match="fsync off"):
                place.open()
            place.open(read_only=True)
        finally:
            postgres.command("ALTER SYSTEM RESET fsync")
            postgres.command("SELECT pg_reload_conf()")
            while place.run("SHOW fsync") == [("off",)]:
                time.sleep(0.01)

    async def test_a_database_that_answers_before_the_disk_is_told_not_to(self, place: PostgresPlace) -> None:
        [(name,)] = place.run("SELECT current_database()")
        place.run(f"ALTER DATABASE {name} SET synchronous_commit = off")
        place.run(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
        store = place.open()

        def shown(transaction: Transaction) -> list[Any]:
            names = ("synchronous_commit", "transaction_isolation", "lock_timeout", "statement_timeout")
            return [transaction.execute(f"SHOW {name}").fetchone()[0] for name in names]

        assert await store._write(shown) == ["on", "read committed", "2s", "5s"]

    async def test_workers_that_start_together_make_one_schema(self, postgres: Server) -> None:
        name = postgres.new()
        place = PostgresPlace(postgres.url(name), postgres.data)
        with ThreadPoolExecutor(4) as pool:
            stores = list(pool.map(lambda _: place.open(), range(4)))
        assert sorted(await asyncio.gather(*(store.append(a_row()) for store in stores))) == [1, 2, 3, 4]
        place.close()
        postgres.drop(name)

    async def test_a_schema_of_its_own_in_a_database_with_others(self, place: PostgresPlace) -> None:
        [(name,)] = place.run("SELECT current_database()")
        place.run("CREATE SCHEMA mine")
        place.run(f"ALTER DATABASE {name} SET search_path = mine")
        assert await place.open().append(a_row()) == 1
        assert place.run("SELECT count(*) FROM mine.journal") == [(1,)]
        assert place.run("SELECT count(*) FROM public.journal") == [(0,)]

    async def test_a_reader_cannot_write_whatever_it_is_told(self, place: PostgresPlace) -> None:
        reading = place.open(read_only=True)

        def writes(connection: Connection) -> None:
            connection.execute("INSERT INTO pulse (one, at) VALUES (1, 1)")

        with pytest.raises(AuditUnavailable, match="read-only transaction"):
            await reading._read(writes)


class TestLosingTheServer:
    async def test_sessions_that_were_ended_meanwhile_are_made_anew_unnoticed(
        self, place: PostgresPlace, store: SqlStore
    ) -> None:
        for number in range(1, 4):
            assert await store.append(a_row()) == number
            assert await store.current_choice(A) is None
            cut_off(place)

    async def test_a_batch_in_the_middle_of_which_it_goes_is_not_there(
        self, place: PostgresPlace, store: SqlStore
    ) -> None:
        def cut(transaction: Transaction) -> None:
            journal.append(transaction, a_row())
            cut_off(place)
            journal.append(transaction, a_row())

        answers = await asyncio.gather(store.append(a_row()), store._write(cut), return_exceptions=True)
        assert isinstance(answers[1], AuditUnavailable)
        acknowledged = [answer for answer in answers if isinstance(answer, int)]
        assert await store.log_size() == len(acknowledged)
        assert await store.append(a_row()) == len(acknowledged) + 1

    @pytest.mark.parametrize("committed", [True, False])
    async def test_a_commit_whose_end_nobody_knows_is_answered_with_no(self, wire: Wire, committed: bool) -> None:
        store = PostgresStore(wire.url, clock=lambda: NOON)
        await store.grant(a_permission(), GRANTED)
        wire.cut_at = b"COMMIT\0" if committed else b"INSERT INTO journal"
        with pytest.raises(AuditUnavailable, match="could not commit"):
            await store.release(a_release())
        assert wire.cuts
        wire.cut_at = b""
        for _ in range(1000):  # the server has its own time for it
            if await store.log_size() == (2 if committed else 1):
                break
            await asyncio.sleep(0.01)
        assert await store.release(a_release()) == (3 if committed else 2), "the next batch goes on from what is there"
        await store.aclose()

    async def test_a_server_that_hangs_is_given_up_on(self, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(postgres_connection, "_GRACE_SECONDS", -9.7)
        monkeypatch.setattr(postgres_connection, "CONNECT_SECONDS", 1)
        store = PostgresStore(wire.url)
        await store.append(a_row())
        await store.current_choice(A)
        wire.hangs.set()
        for one in await asyncio.wait_for(
            asyncio.gather(store.append(a_row()), store.current_choice(A), return_exceptions=True), 10
        ):
            assert isinstance(one, AuditUnavailable)
        wire.hangs.clear()
        assert await store.current_choice(A) is None
        assert await store.append(a_row()) in (2, 3)
        await store.aclose()

    async def test_without_a_server_nothing_is_ready_and_nothing_waits(
        self, wire: Wire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = PostgresStore(wire.url)
        assert await store.ready() is True
        wire.close()
        for work in (store.append(a_row()), store.current_choice(A), store.release(a_release())):
            async with asyncio.timeout(60):
                with pytest.raises(AuditUnavailable):
                    await work
        store._probed = None
        assert await store.ready() is False
        async with store.follow("outbox") as first:
            assert first is False
        await store.aclose()

    async def test_a_lock_that_somebody_holds_is_waited_for_and_no_longer(
        self, place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres_connection, "_LOCK_SECONDS", 0.2)
        store = place.open()
        with psycopg.connect(place.url) as other:
            other.execute("SELECT 1 FROM log_state FOR UPDATE")
            with pytest.raises(AuditUnavailable, match="lock timeout"):
                await store.append(a_row())
            assert await store.ready() is False
            assert await store.current_choice(A) is None, "reading goes on"
        assert await store.append(a_row()) == 1

    async def test_a_worker_that_stops_in_the_middle_of_its_batch_holds_up_the_others_no_longer_than_that(
        self, place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres_connection, "_IDLE_SECONDS", 0.3)
        stopped, other = place.open(), place.open()
        began, goes_on = threading.Event(), threading.Event()

        def stops(transaction: Transaction) -> int:
            seq = journal.append(transaction, a_row(request_id="stopped"))
            began.set()
            assert goes_on.wait(10)
            return seq

        stopping = asyncio.ensure_future(stopped._write(stops))
        assert await asyncio.to_thread(began.wait, 10)
        assert await other.append(a_row(request_id="other")) == 1
        goes_on.set()
        with pytest.raises(AuditUnavailable):
            await stopping
        assert [kept.row.request_id for kept in await other.rows()] == ["other"]
        assert await stopped.append(a_row()) == 2


class TestTransactions:
    """What the writer relies on, and what the library or the server would let pass."""

    @pytest.fixture
    def connection(self, place: PostgresPlace) -> Iterator[WritingConnection]:
        made = WritingConnection(Address(place.url))
        yield made
        made.close()

    def test_a_commit_of_a_failed_transaction_is_no_commit(self, connection: WritingConnection) -> None:
        connection.begin()
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT 1 / 0")
        with pytest.raises(psycopg.OperationalError, match="answered COMMIT with ROLLBACK"):
            connection.commit()

    def test_what_is_not_committed_is_rolled_back_and_the_next_batch_begins_anew(
        self, connection: WritingConnection, place: PostgresPlace
    ) -> None:
        for statement in ("SELECT 1", "SELECT 1 / 0"):
            connection.begin()
            connection.execute("INSERT INTO staff VALUES ('RJ2', 'p', 'u')")
            with suppress(psycopg.Error):
                connection.execute(statement)
            connection.roll_back()
        connection.roll_back()
        connection.begin()
        connection.commit()
        assert place.run("SELECT count(*) FROM staff") == [(0,)]

    async def test_a_job_that_ends_the_transaction_takes_the_batch_with_it(self, store: SqlStore) -> None:
        def swallows(transaction: Transaction) -> None:
            transaction.execute("ROLLBACK")

        def commits(transaction: Transaction) -> None:
            transaction.execute("COMMIT")

        for work in (swallows, commits):
            with pytest.raises(AuditUnavailable):
                await store._write(work)
            assert await store.append(a_row())

    async def test_an_error_says_nothing_of_what_was_to_be_written(self, store: SqlStore) -> None:
        await store.grant(a_permission(), GRANTED)
        with pytest.raises(AuditUnavailable) as refused:
            await store.grant(a_permission(), GRANTED)
        assert "takes the next number" in refused.value.detail

        def twice(transaction: Transaction) -> None:
            transaction.execute("INSERT INTO staff VALUES ('RJ2', 'somebody', 'u'), ('RJ2', 'somebody', 'u')")

        with pytest.raises(AuditUnavailable) as refused:
            await store._write(twice)
        assert "duplicate key" in refused.value.detail
        assert "somebody" not in refused.value.detail


class TestManyWorkers:
    async def test_their_rows_are_one_log(self, place: PostgresPlace) -> None:
        stores = [place.open() for _ in range(4)]
        rows = [(stores[n % 4], a_row(request_id=f"r-{n}", patient=(A, B)[n % 2])) for n in range(400)]
        numbers = await asyncio.gather(*(store.append(row) for store, row in rows))
        assert sorted(numbers) == list(range(1, 401))
        entries = [entry async for batch in stores[0].entries() for entry in batch]
        assert await stores[3].range_hash(0, 400) == root_of(entry.leaf.hash() for entry in entries)
        for tag in (A, B):
            head, mine = NO_HEAD, [entry for entry in entries if entry.leaf.patient == bytes.fromhex(tag)]
            assert [entry.leaf.patient_seq for entry in mine] == list(range(1, 201))
            for entry in mine:
                head = chain(head, entry.leaf.hash())
                assert entry.head == head

    async def test_an_opt_out_on_one_bars_every_release_on_the_others(self, place: PostgresPlace) -> None:
        """Whoever asked for a release after an opt-out was acknowledged, on whichever worker, doesn't get it; and in
        the log no release stands behind the choice."""
        stores = [place.open(clock=lambda: NOON) for _ in range(3)]
        dice = random.Random(20260302)
        patients = [f"{n:064x}" for n in range(40)]
        for patient in patients:
            await stores[0].grant(a_permission(id=f"p-{patient}", patient=patient), GRANTED)
        too_late: list[str] = []

        async def look(patient: str, out: asyncio.Event, begun: list[None], turn: asyncio.Event) -> None:
            for _ in range(6):
                await asyncio.sleep(dice.random() / 50)
                begun.append(None)
                if len(begun) == 6:
                    turn.set()
                was_out = out.is_set()
                with suppress(OptedOut):
                    await dice.choice(stores).release(a_release(permission=f"p-{patient}", patient=patient))
                    if was_out:
                        too_late.append(patient)

        async def story(patient: str) -> None:
            out, turn, begun = asyncio.Event(), asyncio.Event(), list[None]()
            looks = [asyncio.ensure_future(look(patient, out, begun, turn)) for _ in range(2)]
            await turn.wait()
            await choose(dice.choice(stores), Choice.OPTED_OUT, patient=patient)
            out.set()
            await asyncio.gather(*looks)

        await asyncio.gather(*map(story, patients))
        assert too_late == []
        kinds = {Kind.RELEASE: 0, Kind.REFUSAL: 0}
        for patient in patients:
            rows = await stores[0].rows(patient=patient, limit=1000)
            [out] = [kept.seq for kept in rows if kept.row.kind is Kind.SHARING_CHOICE]
            for kept in rows:
                kinds[kept.row.kind] = kinds.get(kept.row.kind, 0) + 1
                assert kept.row.kind is not Kind.RELEASE or kept.seq < out
        assert kinds[Kind.RELEASE] > 40
        assert kinds[Kind.REFUSAL] > 40

    async def test_one_worker_follows_at_a_time_and_another_takes_over(self, place: PostgresPlace) -> None:
        one, two = place.open(), place.open()
        async with one.follow("outbox") as first:
            async with two.follow("outbox") as second, two.follow("sink") as other:
                assert (first, second, other) == (True, False, True)
            cut_off(place)  # the worker's machine is gone
            async with two.follow("outbox") as again:
                assert again is True
