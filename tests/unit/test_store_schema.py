"""What the databases themselves never let anybody do to a store, and how a schema comes about."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.row import Kind
from gateway.choice.model import Choice
from gateway.sealed import Sealer
from gateway.store.interface import KeptCheckpoint, StoreUnusable
from gateway.store.schema import migrations
from gateway.store.schema.baseline import RULES
from gateway.store.schema.migrations import Migration
from gateway.store.schema.rule import Rule
from gateway.store.sql.store import SqlStore
from tests.store_rows import NOON, A, a_case, a_choice, a_permission, a_row, an_entry, choose
from tests.stores import Place, PostgresPlace, SqlitePlace

PATIENT = "9990000018"
NEXT = migrations.SCHEMA_VERSION + 1
MINE, ANOTHER = Sealer(b"1" * 32), Sealer(b"2" * 32)
COLUMNS = "kind, patient, patient_seq, request_id, at, organisation, user_id, caller, salt, commitment, head, row"
FORBIDDEN = [
    "UPDATE journal SET kind = 'release' WHERE seq = 1",
    "UPDATE journal SET row = salt",
    "UPDATE journal SET at = at + 1",
    "UPDATE journal SET seq = seq + 10",
    "UPDATE journal SET patient = NULL",
    "UPDATE journal SET commitment = salt",
    "UPDATE journal SET head = salt",
    "UPDATE journal SET row = NULL",
    "UPDATE journal SET row = NULL, salt = NULL, request_id = '', organisation = NULL, user_id = NULL",
    "UPDATE journal SET row = NULL, salt = NULL, request_id = '', organisation = NULL, caller = NULL",
    "UPDATE journal SET row = NULL, salt = NULL, organisation = NULL, user_id = NULL, caller = NULL",
    "UPDATE journal SET row = NULL, request_id = '', organisation = NULL, user_id = NULL, caller = NULL",
    "UPDATE journal SET row = NULL, salt = NULL, request_id = '', organisation = NULL, user_id = NULL, caller = NULL, "
    "at = 0",
    "DELETE FROM journal WHERE seq = 2",
    "DELETE FROM journal",
    f"INSERT INTO journal (seq, {COLUMNS}) SELECT 99, {COLUMNS} FROM journal WHERE seq = 1",
    f"INSERT INTO journal (seq, {COLUMNS}) SELECT 0, {COLUMNS} FROM journal WHERE seq = 1",
    "INSERT INTO journal (seq, kind, patient_seq, request_id, at, commitment) "
    "SELECT 1 + (SELECT max(seq) FROM journal), 'x', 0, '', 0, commitment FROM journal WHERE seq = 1",
    "UPDATE sharing_choice SET choice = 'opted-in'",
    "UPDATE sharing_choice SET number = number + 1",
    "DELETE FROM sharing_choice",
    "DELETE FROM permission",
    "UPDATE permission SET expires_at = expires_at + 1",
    "UPDATE permission SET caller = 'somebody else'",
    "UPDATE permission SET scope = 'including-sensitive', withdrawn_at = 1",
    "UPDATE permission SET extends = 'p-9', withdrawn_at = 1",
    "UPDATE permission SET withdrawn_at = NULL",
    "UPDATE privacy_case SET due_at = due_at + 1",
    "DELETE FROM privacy_case",
    "UPDATE case_entry SET status = 'justified'",
    "DELETE FROM case_entry",
    "INSERT INTO case_entry SELECT case_id, 9, at, by_user, by_name, status, note FROM case_entry",
    "UPDATE staff SET user_id = 'somebody else'",
    "DELETE FROM staff",
    "INSERT INTO log_state (one, size, frontier) SELECT 2, size, frontier FROM log_state",
    "UPDATE log_state SET size = size - 1",
    "DELETE FROM log_state",
    "UPDATE subtree SET number = 7",
    "DELETE FROM subtree",
    "UPDATE checkpoint SET note = 'another'",
    "DELETE FROM checkpoint",
    "INSERT INTO checkpoint (size, note) VALUES (1, 'of an earlier size')",
    "UPDATE kept SET value = 'x'",
    "DELETE FROM kept",
    "UPDATE policy SET content = content",
    "DELETE FROM policy",
]
REPLACED = [
    f"INSERT OR REPLACE INTO journal (seq, {COLUMNS}) SELECT seq, {COLUMNS} FROM journal WHERE seq = 1",
    "INSERT OR REPLACE INTO kept VALUES ('key-check', 'x')",
    "INSERT OR REPLACE INTO policy SELECT hash, x'00' FROM policy",
    "INSERT OR REPLACE INTO subtree SELECT level, number, x'00' FROM subtree",
    "INSERT OR REPLACE INTO checkpoint SELECT size, 'another' FROM checkpoint",
    "INSERT OR REPLACE INTO case_entry SELECT case_id, 1, at, by_user, by_name, 'justified', note FROM case_entry",
    "INSERT OR REPLACE INTO log_state SELECT 1, 0, frontier FROM log_state",
    "INSERT OR REPLACE INTO sharing_choice SELECT number + 1, id, patient, sealed_patient, 'opted-in', stated_by, "
    "channel, recorded_by, recorded_by_name, organisation, recorded_at, reason, proxy, identified_by "
    "FROM sharing_choice",
    "UPDATE OR IGNORE journal SET row = x'00'",
]


async def fill(store: SqlStore) -> None:
    """Something in every table."""
    for _ in range(256):
        await store.append(a_row())
    await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
    await store.grant(a_permission(id="p-2"), a_row(Kind.PERMISSION_GRANTED))
    await store.withdraw("p-2", NOON, a_row(Kind.PERMISSION_WITHDRAWN))
    await store.open_case(a_case(), a_row(Kind.CASE_OPENED))
    await store.move_case(an_entry(1), a_row(Kind.CASE_MOVED))
    await choose(store, Choice.OPTED_OUT)
    await store.note_staff("RJ2", "u-1", A)
    await store.add_checkpoint(KeptCheckpoint(4, "note"), {}, 0)
    await store.keep_policy("hash", b"policies")
    await store.hold_to_key("fingerprint", lambda _: True)


class TestRules:
    @pytest.fixture
    async def full(self, place: Place) -> Place:
        await fill(place.open())
        return place

    def contents(self, place: Place) -> list[Any]:
        tables = sorted({rule.table for rule in RULES})
        return [sorted(place.run(f"SELECT * FROM {table}"), key=repr) for table in tables]

    async def test_nothing_kept_can_be_changed_or_removed(self, full: Place) -> None:
        before = self.contents(full)
        assert all(before), "every table that has rules has rows"
        for statement in [*FORBIDDEN, *(REPLACED if full.kind == "sqlite" else [])]:
            with pytest.raises(full.refused, match="is append-only"):
                full.run(statement)
        assert self.contents(full) == before

    async def test_nothing_is_emptied_at_once(self, postgres_place: PostgresPlace) -> None:
        await fill(postgres_place.open())
        before = self.contents(postgres_place)
        for table in sorted({rule.table for rule in RULES}):
            with pytest.raises(postgres_place.refused, match="is append-only"):
                postgres_place.run(f"TRUNCATE {table} CASCADE")
        assert self.contents(postgres_place) == before

    async def test_a_row_is_erased_once_and_never_again_something_else(self, place: Place) -> None:
        store = place.open()
        await store.append(a_row())
        await store.erase(patient=A, row=a_row(Kind.ERASED, patient=None))
        for change in ("row = commitment", "request_id = 'r'", "row = NULL", "salt = commitment", "user_id = 'u'"):
            with pytest.raises(place.refused, match="a row can only be erased"):
                place.run(f"UPDATE journal SET {change} WHERE seq = 1")
        everything = "row = NULL, salt = NULL, request_id = '', organisation = NULL, user_id = NULL, caller = NULL"
        with pytest.raises(place.refused, match="a row can only be erased"):
            place.run(f"UPDATE journal SET {everything} WHERE seq = 2")  # what says that the other one was

    def test_every_table_with_a_rule_can_neither_be_changed_at_will_nor_shortened(self) -> None:
        ruled = {(rule.table, rule.event) for rule in RULES}
        for table in {rule.table for rule in RULES}:
            assert {(table, "UPDATE"), (table, "DELETE")} <= ruled


class TestMigrating:
    def test_migrations_are_numbered_without_a_gap(self) -> None:
        numbers = [migration.number for migration in migrations.MIGRATIONS]
        assert numbers == list(range(3, 3 + len(numbers)))

    async def test_a_new_one_is_applied_to_a_store_that_is_there(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await place.open().append(a_row())
        place.close()
        table = "CREATE TABLE later (n {integer} PRIMARY KEY, b {bytes}){strict}"
        add = Migration(NEXT, (table,), (Rule("later", "DELETE", "never"),))
        self.use(monkeypatch, add)
        store = place.open()
        assert await store.append(a_row()) == 2
        place.run("INSERT INTO later (n) VALUES (1)")
        with pytest.raises(place.refused, match="later is append-only: never"):
            place.run("DELETE FROM later")
        place.close()
        assert await place.open().log_size() == 2
        place.close()
        monkeypatch.undo()
        for read_only in (False, True):
            with pytest.raises(
                StoreUnusable, match=f"schema version {NEXT}, and this gateway knows versions up to {NEXT - 1}"
            ):
                place.open(read_only=read_only)

    async def test_one_that_fails_leaves_the_store_as_it_was(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.open()
        place.close()
        self.use(
            monkeypatch, Migration(NEXT, ("CREATE TABLE half (n {integer})", "CREATE TABLE journal (n {integer})"))
        )
        for _ in range(2):
            with pytest.raises(StoreUnusable, match="already exists"):
                place.open()
        monkeypatch.undo()
        assert await place.open().append(a_row()) == 1

    async def test_to_read_a_store_the_schema_must_be_this_gateways(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.open()
        place.close()
        self.use(monkeypatch, Migration(NEXT, ("CREATE TABLE later (n {integer})",)))
        with pytest.raises(StoreUnusable, match=f"schema version {NEXT - 1}, and this gateway reads version {NEXT}"):
            place.open(read_only=True)

    async def test_another_programs_database_is_refused(self, place: Place) -> None:
        place.open()
        place.close()
        if isinstance(place, SqlitePlace):
            place.run("PRAGMA application_id = 7")
        else:
            place.run("DROP TABLE connect_care_schema")
        for read_only in (False, True):
            with pytest.raises(StoreUnusable, match="another program"):
                place.open(read_only=read_only)

    @staticmethod
    def use(monkeypatch: pytest.MonkeyPatch, migration: Migration) -> None:
        monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, migration))
        monkeypatch.setattr(migrations, "SCHEMA_VERSION", migration.number)


class TestPreviews:
    """Stores of schema versions 1 and 2 had no log."""

    TABLES = ("journal", "sharing_choice", "permission", "pulse", "kept")

    def preview(self, folder: Path, version: int) -> sqlite3.Connection:
        (folder / "store").mkdir()
        connection = sqlite3.connect(SqlitePlace(folder).database, isolation_level=None)
        for table in self.TABLES[: 3 + version]:
            connection.execute(f"CREATE TABLE {table} (n)")
        connection.execute("PRAGMA application_id = 1129270851")
        connection.execute(f"PRAGMA user_version = {version}")
        return connection

    @pytest.mark.parametrize("version", [1, 2])
    async def test_an_empty_one_makes_room(self, sqlite_place: SqlitePlace, version: int) -> None:
        self.preview(sqlite_place.folder, version).close()
        with pytest.raises(StoreUnusable, match=f"schema version {version}, and this gateway reads"):
            sqlite_place.open(read_only=True)
        assert await sqlite_place.open().append(a_row()) == 1

    @pytest.mark.parametrize("table", ["journal", "sharing_choice", "permission"])
    async def test_one_that_holds_something_is_left_alone(self, sqlite_place: SqlitePlace, table: str) -> None:
        connection = self.preview(sqlite_place.folder, 2)
        connection.execute(f"INSERT INTO {table} VALUES (1)")
        for _ in range(2):
            with pytest.raises(StoreUnusable, match=r"a preview's, and holds rows that no log proves.*new data folder"):
                sqlite_place.open()
        assert connection.execute(f"SELECT n FROM {table}").fetchall() == [(1,)]
        connection.close()


async def held(place: Place, sealer: Sealer, **options: Any) -> None:
    place.close()
    store = place.open(**options)
    try:
        await store.hold_to_key(sealer.fingerprint(), sealer.opens)
    finally:
        place.close()


class TestTheKey:
    """With another key no patient's tag matches, and every opt-out would silently be forgotten."""

    async def test_the_key_of_the_first_start_is_the_key_for_ever(self, place: Place) -> None:
        await held(place, MINE)
        await held(place, MINE)
        for read_only in (False, True):
            with pytest.raises(StoreUnusable, match=r"written with another key.* Give the key file it was written"):
                await held(place, ANOTHER, read_only=read_only)
            await held(place, MINE, read_only=read_only)

    async def test_what_is_kept_reveals_no_key(self, place: Place) -> None:
        await held(place, MINE)
        assert place.run("SELECT name, value FROM kept") == [("key-check", MINE.fingerprint())]
        assert MINE.fingerprint() != ANOTHER.fingerprint() == Sealer(b"2" * 32).fingerprint()
        assert bytes.fromhex(MINE.fingerprint()) not in b"1" * 32

    async def test_a_store_without_one_is_taken_over_by_the_key_that_sealed_it(self, place: Place) -> None:
        store, sealed = place.open(), MINE.seal_patient(PATIENT)
        await store.append(a_row(patient=None))
        await store.record_choice(a_choice(Choice.OPTED_OUT, sealed=sealed), a_row(sealed_patient=sealed))
        with pytest.raises(StoreUnusable, match="another key"):
            await held(place, ANOTHER, read_only=True)
        with pytest.raises(StoreUnusable, match="another key"):
            await held(place, ANOTHER)
        await held(place, MINE)
        with pytest.raises(StoreUnusable, match="another key"):
            await held(place, ANOTHER)

    async def test_a_newer_row_of_another_key_does_not_hide_an_older_opt_out(self, place: Place) -> None:
        store = place.open()
        await store.record_choice(a_choice(Choice.OPTED_OUT, sealed=MINE.seal_patient(PATIENT)), a_row())
        await store.append(a_row(sealed_patient=ANOTHER.seal_patient(PATIENT)))
        with pytest.raises(StoreUnusable, match="another key"):
            await held(place, ANOTHER)

    async def test_a_store_that_cannot_say_whom_it_names_is_refused(self, place: Place) -> None:
        await place.open().append(a_row(sealed_patient=None))
        with pytest.raises(StoreUnusable, match="another key"):
            await held(place, MINE)

    async def test_a_store_that_names_nobody_is_anyones(self, place: Place) -> None:
        await place.open().append(a_row(patient=None))
        await held(place, ANOTHER)

    async def test_a_store_that_cannot_keep_it_is_unusable(self, place: Place) -> None:
        store = place.open()
        await store.aclose()
        with pytest.raises(StoreUnusable, match="can't be written"):
            await store.hold_to_key(MINE.fingerprint(), MINE.opens)
