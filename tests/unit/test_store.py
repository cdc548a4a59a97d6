"""The SQLite store: append-only, durable, and the last word on who may see what."""

from __future__ import annotations

import asyncio
import random
import resource
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.audit.row import Kind, Row, Who
from gateway.choice.model import Basis, Channel, Choice, Permission, Scope, SharingChoice, StatedBy
from gateway.errors import AuditUnavailable, NoPermission, OptedOut
from gateway.sealed import Sealer
from gateway.store import migrations, tables
from gateway.store.interface import Kept, Store, StoreUnusable
from gateway.store.moments import from_micros, to_micros, utc_now
from gateway.store.sqlite import MOST_ROWS, SqliteStore

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PATIENT = "9990000018"
MINE, ANOTHER = Sealer(b"1" * 32), Sealer(b"2" * 32)
WHO = Who(
    issuer="https://issuer.example",
    user_id="555021935107",
    name="Asha Rahman",
    role_profile_id="555254242106",
    job_role_code="R0260",
    role="gp",
    organisation="G85005",
    organisation_name="South Lewisham Group Practice",
    organisation_type="gp-practice",
    client_id="viewer",
    purpose="TREAT",
    acr="AAL3",
    token_id="t-1",
)

OPENS = "import sys, pathlib; from gateway.store.sqlite import SqliteStore; SqliteStore(pathlib.Path(sys.argv[1]))"


class Hands:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def a_row(kind: Kind = Kind.INTENT, **changes: Any) -> Row:
    row = Row(kind=kind, request_id="r-1", at=NOON, door="POST /records", who=WHO, patient="tag-a")
    return msgspec.structs.replace(row, **changes)


def a_release(**changes: Any) -> Row:
    return a_row(
        Kind.RELEASE,
        **{"permission": "p-1", "basis": "patient-agreed", "scope": "standard", "status": 200, "seen": {"results": 3}}
        | changes,
    )


def a_permission(**changes: Any) -> Permission:
    permission = Permission(
        id="p-1",
        patient="tag-a",
        sealed_patient="sealed-a",
        caller=WHO.key,
        organisation="G85005",
        basis=Basis.PATIENT_AGREED,
        scope=Scope.STANDARD,
        reason="",
        granted_at=NOON,
        expires_at=NOON + timedelta(hours=8),
    )
    return msgspec.structs.replace(permission, **changes)


def a_choice(choice: Choice, number: int = 1, patient: str = "tag-a", sealed: str | None = "sealed-a") -> SharingChoice:
    return SharingChoice(
        id=f"c-{patient}-{number}",
        patient=patient,
        sealed_patient=sealed or "",
        choice=choice,
        stated_by=StatedBy.PATIENT,
        channel=Channel.PHONE,
        recorded_by="555",
        recorded_by_name="Sam Okoro",
        organisation="G85005",
        recorded_at=NOON,
    )


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
async def store(tmp_path: Path, clock: Hands) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(tmp_path, clock=clock, busy_seconds=0.2)
    yield made
    await made.aclose()


def database(tmp_path: Path) -> Path:
    return tmp_path / "store" / "connect-care.sqlite3"


async def choose(store: SqliteStore, choice: Choice, number: int = 1, patient: str = "tag-a") -> int:
    row = a_row(Kind.SHARING_CHOICE, patient=patient, subject=choice.value)
    return await store.record_choice(a_choice(choice, number, patient), row)


def run(*command: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def started(*command: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestOpening:
    async def test_only_the_owner_can_read_it(self, store: SqliteStore, tmp_path: Path) -> None:
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

    async def test_rows_choices_and_permissions_survive_a_restart(self, tmp_path: Path) -> None:
        first = SqliteStore(tmp_path)
        await choose(first, Choice.OPTED_OUT)
        await choose(first, Choice.OPTED_IN, 2)
        await first.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        await first.aclose()
        second = SqliteStore(tmp_path)
        assert await second.choices("tag-a") == [a_choice(Choice.OPTED_OUT), a_choice(Choice.OPTED_IN, 2)]
        assert await second.permission("p-1") == a_permission()
        assert await second.append(a_row()) == 4
        await second.aclose()

    async def test_a_second_writer_is_refused_with_a_sentence(self, store: SqliteStore, tmp_path: Path) -> None:
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

    async def test_a_newer_schema_is_refused(self, tmp_path: Path) -> None:
        await SqliteStore(tmp_path).aclose()
        with sqlite3.connect(database(tmp_path)) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
        for _ in range(2):  # the second time shows that the refusal let go of the lock
            with pytest.raises(StoreUnusable, match="schema version 99, and this gateway knows versions up to 2"):
                SqliteStore(tmp_path)

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
        monkeypatch.setattr(migrations, "OLDEST_SQLITE", (99, 0, 0))
        with pytest.raises(StoreUnusable, match="too old"):
            SqliteStore(tmp_path)

    async def test_a_migration_that_fails_leaves_the_store_as_it_was(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await SqliteStore(tmp_path).aclose()
        broken = migrations.Migration(3, ("CREATE TABLE half (n)", "CREATE TABLE journal (n)"))
        monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, broken))
        monkeypatch.setattr(migrations, "SCHEMA_VERSION", 3)
        with pytest.raises(StoreUnusable, match="journal already exists"):
            SqliteStore(tmp_path)
        monkeypatch.undo()
        reopened = SqliteStore(tmp_path)
        assert await reopened.append(a_row()) == 1
        await reopened.aclose()

    async def test_migrations_are_numbered_without_a_gap(self) -> None:
        assert [migration.number for migration in migrations.MIGRATIONS] == [1, 2]


def keyless(folder: Path, *rows: Row, choice: SharingChoice | None = None) -> None:
    """A store as schema 1 left it, before a key's fingerprint was kept."""
    (folder / "store").mkdir()
    connection = sqlite3.connect(database(folder), isolation_level=None)
    migrations._apply(connection, migrations.MIGRATIONS[0])
    if choice:
        tables.insert_choice(connection, choice)
    for row in rows:
        tables.append(connection, row)
    connection.close()


async def held(folder: Path, sealer: Sealer) -> None:
    store = SqliteStore(folder)
    try:
        await store.hold_to_key(sealer.fingerprint(), sealer.opens)
    finally:
        await store.aclose()


class TestTheKey:
    """With another key no patient's tag matches, and every opt-out would silently be forgotten."""

    async def test_the_key_of_the_first_start_is_the_key_for_ever(self, tmp_path: Path) -> None:
        await held(tmp_path, MINE)
        await held(tmp_path, MINE)
        for _ in range(2):
            with pytest.raises(StoreUnusable, match=r"written with another key.* Give the key file it was written"):
                await held(tmp_path, ANOTHER)
        await held(tmp_path, MINE)

    async def test_what_is_kept_reveals_no_key_and_is_never_changed(self, tmp_path: Path) -> None:
        await held(tmp_path, MINE)
        with sqlite3.connect(database(tmp_path)) as connection:
            assert connection.execute("SELECT * FROM kept").fetchall() == [("key-check", MINE.fingerprint())]
            for statement in (
                "UPDATE kept SET value = 'x'",
                "DELETE FROM kept",
                "INSERT OR REPLACE INTO kept VALUES ('key-check', 'x')",
            ):
                with pytest.raises(sqlite3.IntegrityError, match="kept is append-only"):
                    connection.execute(statement)
        connection.close()
        assert MINE.fingerprint() != ANOTHER.fingerprint() == Sealer(b"2" * 32).fingerprint()
        assert bytes.fromhex(MINE.fingerprint()) not in b"1" * 32

    async def test_an_older_store_is_taken_over_by_the_key_that_sealed_it(self, tmp_path: Path) -> None:
        row = a_row(sealed_patient=MINE.seal_patient(PATIENT))
        keyless(tmp_path, row, a_row(patient=None), choice=a_choice(Choice.OPTED_OUT, sealed=row.sealed_patient))
        with pytest.raises(StoreUnusable, match="another key"):
            await held(tmp_path, ANOTHER)
        await held(tmp_path, MINE)
        with pytest.raises(StoreUnusable, match="another key"):
            await held(tmp_path, ANOTHER)

    async def test_a_newer_row_of_another_key_does_not_hide_an_older_opt_out(self, tmp_path: Path) -> None:
        opted_out = a_choice(Choice.OPTED_OUT, sealed=MINE.seal_patient(PATIENT))
        keyless(tmp_path, a_row(sealed_patient=ANOTHER.seal_patient(PATIENT)), choice=opted_out)
        with pytest.raises(StoreUnusable, match="another key"):
            await held(tmp_path, ANOTHER)

    async def test_an_older_store_that_cannot_say_whom_it_names_is_refused(self, tmp_path: Path) -> None:
        keyless(tmp_path, a_row(sealed_patient=None))
        with pytest.raises(StoreUnusable, match="another key"):
            await held(tmp_path, MINE)

    async def test_an_older_store_that_names_nobody_is_anyones(self, tmp_path: Path) -> None:
        keyless(tmp_path, a_row(patient=None))
        await held(tmp_path, ANOTHER)

    async def test_a_store_that_cannot_keep_it_is_unusable(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path)
        await store.aclose()
        with pytest.raises(StoreUnusable, match="can't be written"):
            await store.hold_to_key(MINE.fingerprint(), MINE.opens)


class TestTheJournal:
    async def test_numbers_are_dense_from_one_and_rows_come_back_whole(self, store: SqliteStore) -> None:
        rows = [a_row(request_id=f"r-{n}", detail="é" * n) for n in range(200)]
        assert sorted(await asyncio.gather(*map(store.append, rows))) == list(range(1, 201))
        kept = await store.rows(limit=1000)
        assert [one.seq for one in kept] == list(range(1, 201))
        assert sorted((one.row for one in kept), key=lambda row: len(row.detail)) == rows

    async def test_two_hundred_at_once_share_commits(self, store: SqliteStore) -> None:
        before = store.commits
        await asyncio.gather(*(store.append(a_row()) for _ in range(200)))
        assert 4 <= store.commits - before <= 50

    async def test_equal_rows_have_equal_bytes_whatever_the_order_of_their_keys(self) -> None:
        one = a_row(seen={"results": 1, "allergies": 2}, seen_ids={"b": ["1"], "a": ["2"]})
        other = a_row(seen_ids={"a": ["2"], "b": ["1"]}, seen={"allergies": 2, "results": 1})
        assert tables.canonical(one) == tables.canonical(other)
        keys = list(msgspec.json.decode(tables.canonical(one)))
        assert keys == sorted(keys)

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE journal SET kind = 'release' WHERE seq = 1",
            "UPDATE OR IGNORE journal SET row = x'00'",
            "DELETE FROM journal WHERE seq = 2",
            "DELETE FROM journal",
            "INSERT OR REPLACE INTO journal SELECT * FROM journal WHERE seq = 1",
            "INSERT INTO journal SELECT 9, kind, patient, request_id, at, organisation, user_id, row FROM journal",
            "INSERT INTO journal SELECT 0, kind, patient, request_id, at, organisation, user_id, row FROM journal",
            "UPDATE sharing_choice SET choice = 'opted-in'",
            "DELETE FROM sharing_choice",
            "DELETE FROM permission",
            "UPDATE permission SET expires_at = expires_at + 1",
            "UPDATE permission SET caller = 'somebody else'",
            "UPDATE permission SET scope = 'including-sensitive', withdrawn_at = 1",
            "UPDATE permission SET withdrawn_at = NULL",
        ],
    )
    async def test_nothing_kept_can_be_changed_or_removed(
        self, store: SqliteStore, tmp_path: Path, statement: str
    ) -> None:
        await store.append(a_row())
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        await choose(store, Choice.OPTED_OUT)
        before = await store.rows()
        connection = sqlite3.connect(database(tmp_path))
        with pytest.raises(sqlite3.IntegrityError, match=r"append-only|only be withdrawn"):
            connection.execute(statement)
        connection.close()
        assert await store.rows() == before

    async def test_rows_are_found_by_each_condition_and_by_all_together(self, store: SqliteStore) -> None:
        other = msgspec.structs.replace(WHO, user_id="u-2", organisation="RJ2")
        await store.append(a_row())
        await store.append(a_row(Kind.REFUSAL, patient="tag-b", request_id="r-2", at=NOON + timedelta(hours=1)))
        await store.append(a_row(Kind.RELEASE, who=other, at=NOON + timedelta(hours=2)))
        await store.append(a_row(Kind.REFUSAL, who=None, patient=None, at=NOON + timedelta(hours=3)))

        async def found(**wanted: Any) -> list[int]:
            return [kept.seq for kept in await store.rows(**wanted)]

        assert await found() == [1, 2, 3, 4]
        assert await found(patient="tag-a") == [1, 3]
        assert await found(user_id="u-2") == [3]
        assert await found(organisation="G85005") == [1, 2]
        assert await found(request_id="r-2") == [2]
        assert await found(kinds=frozenset({Kind.REFUSAL, Kind.RELEASE})) == [2, 3, 4]
        assert await found(kinds=frozenset()) == []
        assert await found(since=NOON + timedelta(hours=1), until=NOON + timedelta(hours=3)) == [2, 3]
        assert await found(after=1, before=4) == [2, 3]
        assert await found(after=1, limit=2) == [2, 3]
        assert await found(limit=-1) == []
        assert await found(patient="tag-a", user_id="u-2", kinds=frozenset({Kind.RELEASE}), after=2) == [3]

    async def test_one_question_is_never_answered_with_everything(self, store: SqliteStore) -> None:
        await asyncio.gather(*(store.append(a_row()) for _ in range(MOST_ROWS + 5)))
        assert len(await store.rows(limit=10**9)) == MOST_ROWS

    async def test_a_row_without_a_time_zone_is_not_written(self, store: SqliteStore) -> None:
        with pytest.raises(ValueError, match="time zone"):
            await store.append(a_row(at=datetime(2026, 3, 2)))  # noqa: DTZ001
        assert await store.rows() == []


class TestRelease:
    async def test_with_permission_and_no_opt_out_it_is_a_row(self, store: SqliteStore) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        assert await store.release(a_release()) == 2
        assert (await store.rows(after=1)) == [Kept(2, a_release())]

    async def test_after_an_opt_out_it_is_a_refusal_row_that_counts_nothing_as_seen(self, store: SqliteStore) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        await choose(store, Choice.OPTED_OUT)
        row = a_release(seen_ids={"p": ["d"]}, total=3, withheld={"r": 1}, outlined={"q": 1}, intent=1)
        with pytest.raises(OptedOut) as refused:
            await store.release(row)
        [kept] = await store.rows(after=2)
        assert refused.value.journalled == kept.seq == 3
        assert (kept.row.kind, kept.row.rule, kept.row.status) == (Kind.REFUSAL, "choice.opted-out", 403)
        assert (kept.row.seen, kept.row.seen_ids, kept.row.withheld, kept.row.outlined) == ({}, {}, {}, {})
        assert kept.row.total is None, "nothing was told"
        assert (kept.row.permission, kept.row.intent) == ("p-1", 1)
        assert "no organisation was asked" not in refused.value.told, "they were asked"

    async def test_after_opting_back_in_it_is_released_again(self, store: SqliteStore) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        await choose(store, Choice.OPTED_OUT)
        await choose(store, Choice.OPTED_IN, 2)
        assert await store.release(a_release()) == 4

    async def test_another_patients_opt_out_changes_nothing(self, store: SqliteStore) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        await choose(store, Choice.OPTED_OUT, patient="tag-b")
        assert await store.release(a_release()) == 3

    @pytest.mark.parametrize(
        "changes",
        [
            {"permission": None},
            {"permission": "p-unknown"},
            {"patient": None},
            {"patient": "tag-b"},
            {"who": None},
            {"who": msgspec.structs.replace(WHO, user_id="another person")},
            {"who": msgspec.structs.replace(WHO, role_profile_id="another role of theirs")},
            {"who": msgspec.structs.replace(WHO, organisation="RJ2")},
            {"who": msgspec.structs.replace(WHO, issuer="https://elsewhere.example")},
            {"scope": "including-sensitive"},
            {"scope": None},
            {"basis": "best-interests"},
            {"at": NOON - timedelta(microseconds=1)},
            {"at": NOON + timedelta(hours=8)},
        ],
    )
    async def test_a_permission_for_something_else_is_none(self, store: SqliteStore, changes: dict[str, Any]) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        with pytest.raises(NoPermission) as refused:
            await store.release(a_release(**changes))
        [kept] = await store.rows(after=1)
        assert (kept.row.kind, kept.row.rule) == (Kind.REFUSAL, "permission.ended")
        assert refused.value.journalled == 2
        assert "POST /permissions" in refused.value.told

    @pytest.mark.parametrize(("late", "released"), [(-1, True), (0, False), (1, False)])
    async def test_the_stores_own_clock_ends_it_to_the_microsecond(
        self, store: SqliteStore, clock: Hands, late: int, released: bool
    ) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        clock.now = NOON + timedelta(hours=8, microseconds=late)
        if released:
            assert await store.release(a_release()) == 2
        else:
            with pytest.raises(NoPermission):
                await store.release(a_release())

    async def test_a_withdrawn_permission_ends_at_once(self, store: SqliteStore) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        assert await store.withdraw("p-1", NOON, a_row(Kind.PERMISSION_WITHDRAWN)) is True
        with pytest.raises(NoPermission):
            await store.release(a_release())

    async def test_only_a_release_row_can_be_released(self, store: SqliteStore) -> None:
        with pytest.raises(ValueError, match="only a release row"):
            await store.release(a_row())

    async def test_hundreds_of_interleavings_never_release_after_an_acknowledged_opt_out(
        self, store: SqliteStore
    ) -> None:
        """Per patient: releases all the time, an opt-out somewhere among them. Order is judged by those who waited:
        a release that was asked for after the opt-out was acknowledged must fail, and in the journal no release stands
        behind the choice, whoever was faster."""
        dice = random.Random(20260302)
        patients = [f"tag-{n}" for n in range(300)]
        for patient in patients:
            await store.grant(a_permission(id=f"p-{patient}", patient=patient), a_row(Kind.PERMISSION_GRANTED))
        too_late: list[str] = []

        async def look(patient: str, opted_out: asyncio.Event, begun: list[None], turn: asyncio.Event, at: int) -> None:
            for _ in range(4):
                await asyncio.sleep(dice.random() / 200)
                begun.append(None)
                if len(begun) == at:
                    turn.set()
                was_out = opted_out.is_set()
                try:
                    await store.release(a_release(permission=f"p-{patient}", patient=patient))
                except OptedOut:
                    continue
                if was_out:
                    too_late.append(patient)

        async def story(patient: str) -> None:
            opted_out, turn, begun = asyncio.Event(), asyncio.Event(), list[None]()
            at = dice.randint(1, 8)
            looks = [asyncio.ensure_future(look(patient, opted_out, begun, turn, at)) for _ in range(2)]
            await turn.wait()
            await choose(store, Choice.OPTED_OUT, patient=patient)
            opted_out.set()
            await asyncio.gather(*looks)

        await asyncio.gather(*map(story, patients))
        assert too_late == []
        released = refused = 0
        for patient in patients:
            rows = await store.rows(patient=patient, limit=1000)
            [out] = [kept.seq for kept in rows if kept.row.kind is Kind.SHARING_CHOICE]
            releases = [kept.seq for kept in rows if kept.row.kind is Kind.RELEASE]
            assert all(seq < out for seq in releases)
            assert len(rows) == 9, "each look is one row, either way"
            released, refused = released + len(releases), refused + 8 - len(releases)
        assert released > 300
        assert refused > 300


class TestPermissions:
    async def test_granting_to_a_patient_who_opted_out_is_a_refusal_row(self, store: SqliteStore) -> None:
        await choose(store, Choice.OPTED_OUT)
        with pytest.raises(OptedOut) as refused:
            await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED, permission="p-1"))
        assert await store.permission("p-1") is None
        [kept] = await store.rows(after=1)
        assert (kept.row.kind, kept.row.rule, kept.row.permission) == (Kind.REFUSAL, "choice.opted-out", None)
        assert refused.value.journalled == 2

    async def test_the_newest_unexpired_is_the_one_that_counts(self, store: SqliteStore) -> None:
        hour = timedelta(hours=1)
        row = a_row(Kind.PERMISSION_GRANTED)
        long = a_permission(id="long")
        short = a_permission(id="short", basis=Basis.BEST_INTERESTS, reason="found collapsed", expires_at=NOON + hour)
        later = a_permission(id="later", granted_at=NOON + 3 * hour)
        for permission in (long, short, a_permission(id="b", patient="tag-b"), a_permission(id="x", caller="x")):
            await store.grant(permission, row)
        key = WHO.key
        assert await store.permission_for(key, "tag-a", NOON - timedelta(microseconds=1)) is None
        assert await store.permission_for(key, "tag-a", NOON) == short
        assert await store.permission_for(key, "tag-a", NOON + hour) == long
        await store.grant(later, row)
        assert await store.permission_for(key, "tag-a", NOON + 3 * hour) == later
        assert await store.permission_for(key, "tag-a", NOON + 8 * hour) is None
        assert [one.id for one in await store.permissions_of(key)] == ["later", "b", "short", "long"]
        assert [one.id for one in await store.permissions_about("tag-a")] == ["later", "x", "short", "long"]

    async def test_no_older_one_stands_in_for_the_one_that_was_withdrawn(self, store: SqliteStore) -> None:
        row = a_row(Kind.PERMISSION_GRANTED)
        await store.grant(a_permission(id="older"), row)
        await store.grant(a_permission(id="newer"), row)
        await store.withdraw("newer", NOON, a_row(Kind.PERMISSION_WITHDRAWN))
        assert await store.permission_for(WHO.key, "tag-a", NOON + timedelta(minutes=1)) is None

    async def test_withdrawing_writes_its_row_once(self, store: SqliteStore) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        row = a_row(Kind.PERMISSION_WITHDRAWN)
        moment = NOON + timedelta(minutes=1)
        assert [await store.withdraw("p-1", moment, row) for _ in range(2)] == [True, False]
        assert await store.permission("p-1") == a_permission(withdrawn_at=moment)
        assert await store.permission_for(WHO.key, "tag-a", NOON) is None
        assert len(await store.rows()) == 2

    async def test_an_expired_or_unknown_one_cannot_be_withdrawn(self, store: SqliteStore) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        row = a_row(Kind.PERMISSION_WITHDRAWN)
        assert await store.withdraw("p-1", NOON + timedelta(hours=8), row) is False
        assert await store.withdraw("p-2", NOON, row) is False
        assert len(await store.rows()) == 1

    async def test_a_permission_that_was_ended_elsewhere_is_kept_as_ended(self, store: SqliteStore) -> None:
        ended = a_permission(withdrawn_at=NOON)
        await store.grant(ended, a_row(Kind.PERMISSION_GRANTED))
        assert await store.permission("p-1") == ended

    async def test_the_same_id_twice_writes_neither_permission_nor_row(self, store: SqliteStore) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        with pytest.raises(AuditUnavailable):
            await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        assert len(await store.rows()) == 1


class TestFailure:
    async def test_a_lock_held_by_another_process_is_waited_for_and_no_longer(
        self, store: SqliteStore, tmp_path: Path
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
            async with asyncio.timeout(5):
                with pytest.raises(AuditUnavailable, match="locked"):
                    await store.append(a_row())
            assert await store.ready() is False
            assert await store.current_choice("tag-a") is None, "reading goes on"
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
            run("mount", "-o", "remount,size=16m", disk).check_returncode()
            assert await store.append(a_row()) == len(acknowledged) + 1
            await asyncio.sleep(1)
            assert await store.ready() is True
        finally:
            await store.aclose()
            run("umount", disk).check_returncode()

    def test_a_file_that_may_not_grow_refuses(self, tmp_path: Path) -> None:
        """The same without root: the kernel refuses to let any file grow over half a megabyte."""

        async def scenario() -> tuple[list[int], list[int]]:
            store = SqliteStore(tmp_path)
            acknowledged = await until_unavailable(store)
            kept = [one.seq for one in await store.rows(limit=1000)]
            return acknowledged, kept

        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, limits[1]))
        try:
            acknowledged, kept = asyncio.run(scenario())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert acknowledged == kept
        assert len(kept) > 10

    @pytest.mark.parametrize("gone", ["connect-care.sqlite3", "connect-care.sqlite3-wal"])
    async def test_a_file_that_was_removed_under_it_takes_no_more_rows(
        self, store: SqliteStore, tmp_path: Path, gone: str
    ) -> None:
        await store.append(a_row())
        assert await store.ready() is True
        (tmp_path / "store" / gone).unlink()
        with pytest.raises(AuditUnavailable):
            await store.append(a_row())

    async def test_a_file_that_was_replaced_under_it_takes_no_more_rows(
        self, store: SqliteStore, tmp_path: Path
    ) -> None:
        copy = tmp_path / "copy"
        copy.write_bytes(database(tmp_path).read_bytes())
        copy.rename(database(tmp_path))
        with pytest.raises(AuditUnavailable, match="replaced"):
            await store.append(a_row())

    async def test_readiness_is_probed_at_most_once_a_second(self, store: SqliteStore) -> None:
        before = store.commits
        assert [await store.ready() for _ in range(50)] == [True] * 50
        assert store.commits == before + 1

    async def test_a_closed_store_neither_writes_nor_reads_nor_is_ready(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path)
        waiting = [asyncio.ensure_future(store.append(a_row())) for _ in range(100)]
        await asyncio.sleep(0)
        await store.aclose()
        assert sorted(await asyncio.gather(*waiting)) == list(range(1, 101)), "what was queued is committed"
        with pytest.raises(AuditUnavailable):
            await store.append(a_row())
        with pytest.raises(AuditUnavailable):
            await store.current_choice("tag-a")
        assert await store.ready() is False

    async def test_a_choice_that_is_not_understood_lets_nothing_through(
        self, store: SqliteStore, tmp_path: Path
    ) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        with sqlite3.connect(database(tmp_path)) as connection:
            connection.execute(
                "INSERT INTO sharing_choice VALUES (1, 'c', 'tag-a', 's', 'maybe', 'patient', 'phone', 'u', '', '', 0)"
            )
        connection.close()
        with pytest.raises(ValueError, match="maybe"):
            await store.release(a_release())
        assert [kept.row.kind for kept in await store.rows()] == [Kind.PERMISSION_GRANTED]


async def until_unavailable(store: SqliteStore) -> list[int]:
    """Rows until the first that can't be written; the numbers of those that were."""
    acknowledged = []
    for n in range(1000):
        try:
            acknowledged.append(await store.append(a_row(request_id=f"r-{n}", detail="x" * 3000)))
        except AuditUnavailable:
            return acknowledged
    raise AssertionError("the disk never filled")


def test_it_is_a_store() -> None:
    store: type[Store] = SqliteStore
    assert {name for name in dir(Store) if not name.startswith("_")} <= set(dir(store))


def test_moments_keep_their_microseconds() -> None:
    moment = datetime(2026, 3, 2, 12, 0, 0, 123457, tzinfo=UTC)
    assert from_micros(to_micros(moment)) == moment
    assert abs(utc_now() - datetime.now(UTC)) < timedelta(seconds=5)
