"""What can be verified besides a SQLite store: PostgreSQL, exported files, a witness's copy; and how large ones are."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import gateway.audit.verify.run as running
from gateway.audit.checkpoints import Checkpointer
from gateway.audit.log.checkpoint import PublicKey, SigningKey, open_note
from gateway.audit.log.signer import LocalSigner
from gateway.audit.row import Kind
from gateway.audit.verify import exported
from gateway.audit.verify.evidence import Evidence, Unreadable
from gateway.audit.verify.exported import ExportPlace, export
from gateway.audit.verify.joined import Joined
from gateway.audit.verify.map_over_time import roots_at, trie_at
from gateway.audit.verify.postgres_evidence import PostgresPlace as PostgresEvidence
from gateway.audit.verify.run import Order, verify
from gateway.audit.verify.sqlite_evidence import SqlitePlace
from gateway.choice.model import Choice
from gateway.store.folder import DATABASE
from gateway.store.sql.store import SqlStore
from tests.journals import make_store
from tests.store_rows import NOON, B, a_permission, a_release, a_row, choose
from tests.stores import PostgresPlace
from tests.unit.verify.conftest import Kept

KEY = SigningKey.new("care.example/journal")


def told(report_of: Order) -> str:
    return verify(report_of).told()


async def filled(store: SqlStore) -> None:
    """Every kind of record, a withdrawal, an erased row, and a checkpoint before and after."""
    signer = Checkpointer(store, LocalSigner(KEY), lambda: NOON, 10.0)
    intent = await store.append(a_row(Kind.INTENT))
    await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED, permission="p-1"))
    await store.release(a_release(intent=intent))
    await signer.checkpoint()
    await choose(store, Choice.OPTED_OUT)
    await store.append(a_row(Kind.AUDIT_READ, patient=None))
    await store.append(a_row(patient=B))
    assert await store.erase(patient=B, row=a_row(Kind.ERASED, patient=B)) == 1
    assert await store.erase(before=NOON + timedelta(hours=1), row=a_row(Kind.ERASED, patient=None)) == 4
    await signer.checkpoint()


async def test_a_postgres_store_is_verified(postgres_place: PostgresPlace) -> None:
    store = postgres_place.open(clock=lambda: NOON)
    await filled(store)
    order = Order(PostgresEvidence(postgres_place.url), KEY.public, NOON)
    assert verify(order).holds, told(order)
    postgres_place.run("ALTER TABLE permission DISABLE TRIGGER permission_update")
    assert "trigger permission_update is missing or switched off" in told(order)
    postgres_place.run("UPDATE permission SET expires_at = expires_at + 1")
    assert "permission p-1 isn't what the journal vouches for" in told(order)


@pytest.mark.slow
async def test_postgres_is_verified_by_several_processes(
    postgres_place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_ALONE_UP_TO", 0)
    await filled(postgres_place.open(clock=lambda: NOON))
    order = Order(PostgresEvidence(postgres_place.url), KEY.public, NOON, processes=2)
    assert verify(order).holds, told(order)


def test_what_is_no_store_is_said(tmp_path: Path) -> None:
    nowhere = PostgresEvidence(f"postgresql:///nobody?host={tmp_path}")
    for place in (SqlitePlace(tmp_path), ExportPlace(tmp_path), nowhere):
        report = verify(Order(place, KEY.public, NOON))
        assert not report.holds
        assert len(report.findings) == 1
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / DATABASE).write_bytes(b"SQLite format 3\0" + bytes(200))
    assert not verify(Order(SqlitePlace(tmp_path), KEY.public, NOON)).holds
    with closing(sqlite3.connect(tmp_path / "store" / "other")) as other:
        other.execute("CREATE TABLE t (a)")
    (tmp_path / "store" / "other").replace(tmp_path / "store" / DATABASE)
    assert "another program" in told(Order(SqlitePlace(tmp_path), KEY.public, NOON))


def test_a_table_of_somebody_elses_is_not_read(kept: Kept, tmp_path: Path) -> None:
    """An endless view in the journal's place would never come to an end."""
    file = tmp_path / "store" / DATABASE
    file.parent.mkdir()
    file.write_bytes((kept.facts.folder / "store" / DATABASE).read_bytes())
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("ALTER TABLE journal RENAME TO hidden")
        connection.execute(
            "CREATE VIEW journal AS WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n) SELECT * FROM n"
        )
        connection.commit()
    assert "table journal is missing or isn't the gateway's own" in str(kept.verified(tmp_path).findings)


def test_another_key_and_a_dropped_trigger_are_found(kept: Kept, tmp_path: Path) -> None:
    order = Order(SqlitePlace(kept.facts.folder), SigningKey.new("care.example/journal").public, kept.facts.ended)
    assert "isn't signed by the pinned key" in told(order)
    file = tmp_path / "store" / DATABASE
    file.parent.mkdir()
    file.write_bytes((kept.facts.folder / "store" / DATABASE).read_bytes())
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TRIGGER journal_delete")
        connection.execute("CREATE TRIGGER mine AFTER INSERT ON journal BEGIN DELETE FROM pulse; END")
        connection.commit()
    findings = [str(each) for each in kept.verified(tmp_path).findings]
    assert findings == [
        "the store's trigger journal_delete is missing or isn't the gateway's own",
        "the store has a trigger that no gateway made",
    ]


def test_several_processes_find_what_one_finds(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Order(SqlitePlace(kept.facts.folder), kept.facts.public, kept.facts.ended)
    monkeypatch.setattr(running, "_ALONE_UP_TO", 0)
    report = verify(replace(alone, processes=2))
    assert report.holds
    assert report == verify(replace(alone, processes=1))


def test_rows_that_nobody_has_signed(kept: Kept, tmp_path: Path) -> None:
    """They are said; and found, once they have waited too long."""
    file = tmp_path / "store" / DATABASE
    file.parent.mkdir()
    file.write_bytes((kept.facts.folder / "store" / DATABASE).read_bytes())
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        rule = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'checkpoint_delete'").fetchone()[0]
        connection.execute("DROP TRIGGER checkpoint_delete")
        connection.execute("DELETE FROM checkpoint")
        connection.execute(rule)
        connection.execute("DELETE FROM map_node")
    size = kept.newest.size
    order = Order(SqlitePlace(tmp_path), kept.facts.public, kept.facts.ended, signed_within=timedelta(days=1))
    report = verify(order)
    assert report.holds, report.told()
    assert f"Rows 1-{size} are not signed yet: nothing proves so far what was written." in report.checked
    late = verify(replace(order, now=kept.facts.ended + timedelta(days=2)))
    assert "not signed since 2026-01-05T08:00:" in late.told()


@pytest.mark.slow
def test_a_long_journal_is_verified_by_several_processes(tmp_path: Path) -> None:
    """More rows than one process takes on; and one of them changed, with all that follows from it in its own row."""
    facts = make_store(tmp_path, 80_000, 4_000, 3)
    order = Order(SqlitePlace(tmp_path), facts.public, facts.ended, processes=2)
    assert verify(order).holds, told(order)
    with closing(sqlite3.connect(tmp_path / "store" / DATABASE, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER journal_update")
        connection.execute("UPDATE journal SET user_id = '555000000000' WHERE seq = 70001")
    assert "row 70,001: user_id beside the row isn't what the row says" in told(order)


# --- exported files ---


@pytest.fixture
def copy(kept: Kept, tmp_path: Path) -> Path:
    """The store as files."""
    with SqlitePlace(kept.facts.folder).open() as evidence:
        assert export(evidence, tmp_path / "out", kept.facts.public) == kept.newest.size
    return tmp_path / "out"


def test_exported_files_are_verified_offline(kept: Kept, copy: Path) -> None:
    report = kept.verified_at(ExportPlace(copy), kept.pinned, kept.newest)
    assert report.holds, report.told()
    assert PublicKey.parse((copy / "key.pub").read_text()) == kept.facts.public
    assert {path.stat().st_mode & 0o777 for path in copy.iterdir()} == {0o600}
    assert copy.stat().st_mode & 0o777 == 0o700


def test_a_witness_copy_names_nobody_and_still_proves(kept: Kept, tmp_path: Path) -> None:
    with SqlitePlace(kept.facts.folder).open() as evidence:
        export(evidence, tmp_path / "out", None, content=False)
    everything = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    for never in (b"Staff Member", b"sealed", b"G85005", b"salt", b"request"):
        assert never not in everything.replace(b'"patient_seq"', b"")
    report = kept.verified_at(ExportPlace(tmp_path / "out"), kept.pinned)
    assert report.holds, report.told()
    assert not list((tmp_path / "out").glob("records*"))


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def written(file: Path, values: list[dict[str, object]]) -> None:
    lines = (json.dumps(value, separators=(",", ":"), ensure_ascii=False) for value in values)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def test_changed_files_are_caught(kept: Kept, copy: Path) -> None:
    place, rows = ExportPlace(copy), copy / "rows-000000000001.jsonl"
    content = rows.read_bytes()
    chance = random.Random(5)
    for _ in range(30):
        at = chance.randrange(len(content))
        other = bytes((chance.choice([each for each in b"0a9z" if each != content[at]]),))
        rows.write_bytes(content[:at] + other + content[at + 1 :])
        assert not kept.verified_at(place).holds
    for changed in (
        content[: len(content) // 2],
        b"",
        content + content.splitlines()[-1],
        b'{"seq": 1}\n',
        b"[" * 9000,
    ):
        rows.write_bytes(changed)
        assert not kept.verified_at(place).holds
    values = lines_of(content)
    written(rows, values)
    assert kept.verified_at(place).holds
    for change in ({"commitment": "zz"}, {"seq": 10**15}, {"patient_seq": -1}, {"head": "00"}, {"patient": "A" * 64}):
        written(rows, [values[0] | change, *values[1:]])
        assert not kept.verified_at(place).holds
    erased = next(at for at, value in enumerate(values) if "salt" not in value)
    written(rows, [value | ({"at": 10**30} if at == erased else {}) for at, value in enumerate(values)])
    assert "erased rows of another kind or time" in kept.verified_at(place).told()
    rows.unlink()
    assert not kept.verified_at(place).holds


def lines_of(content: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in content.splitlines()]


def test_changed_records_and_checkpoints_are_caught(kept: Kept, copy: Path) -> None:
    place = ExportPlace(copy)
    for name in (exported.RECORDS, exported.CHECKPOINTS):
        file = copy / name
        content = file.read_bytes()
        values = lines_of(content)
        for changed in (values[1:], [*values, values[0]], [{}], list(reversed(values))):
            written(file, changed)
            assert not kept.verified_at(place).holds
        file.write_bytes(content)
    assert kept.verified_at(place).holds


def test_an_export_is_never_written_over_another(kept: Kept, copy: Path) -> None:
    with SqlitePlace(kept.facts.folder).open() as evidence, pytest.raises(FileExistsError):
        export(evidence, copy, None)


def test_a_number_out_of_all_proportion_is_not_followed(kept: Kept, copy: Path) -> None:
    (copy / "rows-900000000001.jsonl").write_bytes(b"")
    assert "is numbered far beyond" in kept.verified_at(ExportPlace(copy)).told()


def test_unreadable_rows_are_named_one_by_one(kept: Kept) -> None:
    """Where a page is damaged, the rows around it are still checked."""

    class Damaged:
        has_working_state = True
        has_content = True

        def __init__(self, evidence: Evidence) -> None:
            self._evidence = evidence

        def rows(self, after: int, until: int) -> Iterator[tuple[object, ...]]:
            for raw in self._evidence.rows(after, until):
                if raw[0] in (7, 9):
                    raise Unreadable("malformed")
                yield raw

    with SqlitePlace(kept.facts.folder).open() as evidence:
        part = running.check_rows(Damaged(evidence), 1, 20, [])  # type: ignore[arg-type]
    assert [str(each) for each in part.findings.kept if each.seq is not None and "read" in each.what] == [
        "row 7: can't be read (malformed)",
        "row 9: can't be read (malformed)",
    ]


def test_the_map_of_no_patient_is_empty() -> None:
    nobody = Joined().history()
    trie, held = trie_at(nobody, 5)
    assert list(trie.shown()) == []
    assert held == {}
    assert [root for _, root in roots_at(nobody, [0, 5])] == [trie.root, trie.root]


def test_a_checkpoint_taken_from_the_middle_is_missed(kept: Kept, copy: Path) -> None:
    values = lines(copy / exported.CHECKPOINTS)
    del values[2]
    written(copy / exported.CHECKPOINTS, values)
    assert "one was removed or added" in kept.verified_at(ExportPlace(copy), kept.newest).told()
    assert open_note(str(values[-1]["note"]), kept.facts.public) == kept.newest
