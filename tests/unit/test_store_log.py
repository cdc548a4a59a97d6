"""The journal as a Merkle log: each row's leaf, the patients' chains, the roots that are kept, and what survives."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from gateway.audit.bound import bound_to
from gateway.audit.erased import Left, erased
from gateway.audit.log.leaf import NO_HEAD, chain, commit
from gateway.audit.log.tree import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from gateway.audit.row import Kind, Row
from gateway.choice.model import Choice
from gateway.errors import AuditUnavailable
from gateway.store.interface import Entry, Filed, Holding, KeptCheckpoint, LogDamaged
from gateway.store.moments import to_micros
from gateway.store.sql import patients
from gateway.store.sql.store import SqlStore
from gateway.store.tables import journal, log
from gateway.store.tables.journal import canonical
from gateway.store.transaction import Transaction
from tests.store_rows import NOON, A, B, a_permission, a_row, choose
from tests.stores import Place


@pytest.fixture
def store(place: Place) -> SqlStore:
    return place.open(clock=lambda: NOON)


async def logged(store: SqlStore, **asked: Any) -> list[Entry]:
    return [entry async for batch in store.entries(**asked) for entry in batch]


async def filled(store: SqlStore, rows: int) -> list[bytes]:
    """So many rows about three patients and nobody; their leaves' hashes."""
    whom = [A, B, "c" * 64, None]
    for first in range(0, rows, 1000):
        numbers = range(first, min(rows, first + 1000))
        await asyncio.gather(*(store.append(a_row(request_id=f"r-{n}", patient=whom[n % 4])) for n in numbers))
    return [entry.leaf.hash() for entry in await logged(store)]


class TestAppending:
    async def test_a_row_has_the_leaf_that_it_must_have(self, store: SqlStore) -> None:
        rows = [a_row(), a_row(patient=B), a_row(patient=None, who=None), a_row(request_id="r-4")]
        for row in rows:
            await store.append(row)
        entries = await logged(store)
        assert [(entry.leaf.seq, entry.leaf.patient_seq) for entry in entries] == [(1, 1), (2, 1), (3, 0), (4, 2)]
        assert [entry.leaf.patient for entry in entries] == [bytes.fromhex(A), bytes.fromhex(B), None, bytes.fromhex(A)]
        for row, entry in zip(rows, entries, strict=True):
            assert entry.row == canonical(row)
            assert entry.salt is not None
            assert entry.leaf.commitment == commit(entry.salt, entry.row)
            assert entry.filed == Filed.under(row)
        assert len({entry.salt for entry in entries}) == 4

    async def test_a_patients_rows_are_a_chain_of_their_own(self, store: SqlStore) -> None:
        await filled(store, 40)
        head = NO_HEAD
        entries = await logged(store, patient=A)
        assert [entry.leaf.patient_seq for entry in entries] == list(range(1, 11))
        for entry in entries:
            head = chain(head, entry.leaf.hash())
            assert entry.head == head
        assert {entry.head for entry in await logged(store) if entry.leaf.patient is None} == {None}

    async def test_the_log_goes_on_where_it_ended(self, place: Place, store: SqlStore) -> None:
        await filled(store, 300)
        await store.aclose()
        again = place.open()
        await again.append(a_row())
        leaves = [entry.leaf.hash() for entry in await logged(again)]
        assert await again.log_size() == 301
        assert await again.range_hash(0, 301) == root_of(leaves)

    async def test_a_job_that_is_rolled_back_leaves_the_log_as_it_was(self, store: SqlStore) -> None:
        def half(transaction: Transaction) -> None:
            journal.append(transaction, a_row(request_id="never"))
            raise LookupError("on second thoughts")

        works = [store._write(half) if n % 3 == 1 else store.append(a_row(request_id=f"r-{n}")) for n in range(600)]
        done = await asyncio.gather(*works, return_exceptions=True)
        assert sum(isinstance(one, LookupError) for one in done) == 200
        entries = await logged(store)
        assert [entry.leaf.seq for entry in entries] == list(range(1, 401))
        assert [entry.leaf.patient_seq for entry in entries] == list(range(1, 401))
        assert await store.range_hash(0, 400) == root_of(entry.leaf.hash() for entry in entries)
        assert b"never" not in b"".join(entry.row or b"" for entry in entries)

    @pytest.mark.parametrize("tag", ["", "tag-a", "a" * 63, "a" * 65, "A" * 64, "a" * 62 + " b"])
    async def test_what_is_no_tag_is_no_patient(self, store: SqlStore, tag: str) -> None:
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            await store.append(a_row(patient=tag))
        assert await store.log_size() == 0

    async def test_it_asks_no_more_of_a_long_journal_than_of_a_short_one(self, store: SqlStore) -> None:
        """The statements of one append, and how many rows each finds, are the same after 1 and after 600 rows."""
        asked: list[list[str]] = []

        class Counting:
            def __init__(self, transaction: Transaction) -> None:
                self._transaction = transaction
                self.head = transaction.head
                asked.append([])

            def execute(self, sql: str, values: Any = ()) -> Any:
                asked[-1].append(sql)
                return self._transaction.execute(sql, values)

            def grow(self, leaf_hash: bytes) -> None:
                self._transaction.grow(leaf_hash)

        def work(transaction: Transaction) -> int:
            return journal.append(Counting(transaction), a_row())  # type: ignore[arg-type]

        await store._write(work)
        await filled(store, 600)
        await store._write(work)
        assert asked[0] == asked[1]
        assert len(asked[0]) == 2


class TestProofs:
    async def test_every_span_that_a_proof_needs_has_its_hash(self, store: SqlStore) -> None:
        leaves = await filled(store, 1100)
        dice = random.Random(4)
        spans = [(0, 1100), (0, 1024), (1024, 1100), (256, 512), (512, 768), (768, 1024), (1099, 1100), (1024, 1025)]
        for _ in range(60):
            width = 1 << dice.randrange(0, 11)
            first = dice.randrange(0, 1100 // width + 1) * width
            spans.append((first, min(1100, first + width)))
        for first, last in spans:
            assert await store.range_hash(first, last) == root_of(leaves[first:last]), (first, last)
        assert await store.range_hash(7, 7) == EMPTY_ROOT

    async def test_proofs_that_are_made_of_them_hold(self, store: SqlStore) -> None:
        leaves = await filled(store, 700)
        roots = {size: root_of(leaves[:size]) for size in (1, 255, 256, 257, 511, 512, 513, 700)}
        for size, root in roots.items():
            for index in {0, size // 2, size - 1}:
                proof = await inclusion_proof(index, size, store.range_hash)
                verify_inclusion(leaves[index], index, size, proof, root)
            verify_consistency(size, 700, root, roots[700], await consistency_proof(size, 700, store.range_hash))

    @pytest.mark.parametrize("span", [(1, 3), (-1, 1), (3, 2), (256, 1000)])
    async def test_another_span_is_a_mistake_of_ours(self, store: SqlStore, span: tuple[int, int]) -> None:
        with pytest.raises(ValueError, match="no proof needs"):
            await store.range_hash(*span)

    async def test_rows_that_are_not_there_have_none(self, store: SqlStore) -> None:
        await filled(store, 5)
        for span in ((0, 6), (4, 8), (0, 256)):
            with pytest.raises(LogDamaged):
                await store.range_hash(*span)

    def test_the_roots_of_whole_subtrees_are_made_from_the_edge_alone(self) -> None:
        """At 65,536 leaves two levels are completed at once."""

        class Kept:
            def __init__(self) -> None:
                self.roots: dict[tuple[int, int], bytes] = {}

            def execute(self, sql: str, values: Any = ()) -> None:
                level, number, root = values
                self.roots[level, number] = root

        leaves = [n.to_bytes(32, "big") for n in range(65_537)]
        frontier, kept = Frontier(), Kept()
        for leaf in leaves:
            frontier = log.grow(kept, frontier, leaf)  # type: ignore[arg-type]
        assert len(kept.roots) == 257
        assert kept.roots[2, 0] == root_of(leaves[:65_536])
        assert all(kept.roots[1, n] == root_of(leaves[n * 256 : n * 256 + 256]) for n in (0, 1, 100, 255))
        assert frontier == Frontier().extend(leaves)


class TestHoldings:
    async def test_they_say_what_the_log_holds_of_whom_up_to_a_size(self, store: SqlStore) -> None:
        await filled(store, 40)
        entries = {entry.leaf.seq: entry for entry in await logged(store)}

        def holding(seq: int) -> Holding:
            leaf, head = entries[seq].leaf, entries[seq].head
            assert leaf.patient is not None
            assert head is not None
            return Holding(leaf.patient, leaf.patient_seq, head)

        by_patient = {entry.leaf.patient: seq for seq, entry in entries.items() if entry.leaf.patient and seq <= 30}
        assert await store.holdings(after=0, until=30) == [holding(seq) for seq in sorted(by_patient.values())]
        seq = next(seq for seq in entries if entries[seq].leaf.patient)
        assert await store.holdings(after=seq - 1, until=seq) == [holding(seq)]
        assert await store.holdings(after=40, until=99) == []

    async def test_entries_come_in_batches_from_where_they_are_asked_for(
        self, store: SqlStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.store.sql.log.ENTRIES_AT_ONCE", 7)
        await filled(store, 20)
        sizes = [len(batch) async for batch in store.entries()]
        assert sizes == [7, 7, 6]
        assert [entry.leaf.seq for entry in await logged(store, after=3, until=12)] == list(range(4, 13))
        mine = await logged(store, patient=A, until=12)
        assert [entry.leaf.seq for entry in mine] == [
            entry.leaf.seq for entry in await logged(store, until=12) if entry.leaf.patient == bytes.fromhex(A)
        ]
        assert mine


class TestCheckpoints:
    async def test_each_follows_the_one_that_its_signer_saw(self, store: SqlStore) -> None:
        first, second = KeptCheckpoint(5, "note 5\n"), KeptCheckpoint(9, "note 9\n")
        assert await store.newest_checkpoint() is None
        assert await store.add_checkpoint(first, {b"": b"root", b"\x00": b"left"}, 0) is True
        assert await store.add_checkpoint(KeptCheckpoint(7, "late"), {b"": b"other"}, 0) is False
        assert await store.add_checkpoint(second, {b"": b"new root", b"\x00": None, b"\x01": b"right"}, 5) is True
        assert await store.newest_checkpoint() == second
        assert await store.checkpoints() == [first, second]
        assert await store.checkpoints(after=5, limit=1) == [second]
        assert await store.map_nodes([b"", b"\x00", b"\x01", b"\x02"]) == {b"": b"new root", b"\x01": b"right"}

    async def test_one_that_is_no_greater_is_refused_by_the_database(self, store: SqlStore) -> None:
        await store.add_checkpoint(KeptCheckpoint(5, "note"), {}, 0)
        with pytest.raises(AuditUnavailable, match="a newer checkpoint is a greater one"):
            await store.add_checkpoint(KeptCheckpoint(5, "another"), {b"": b"x"}, 5)
        assert await store.map_nodes([b""]) == {}

    async def test_many_nodes_are_kept_and_found_at_once(self, store: SqlStore) -> None:
        nodes: dict[bytes, bytes | None] = {n.to_bytes(2, "big"): bytes([n % 256]) * 64 for n in range(1500)}
        await store.add_checkpoint(KeptCheckpoint(1, "note"), nodes, 0)
        assert await store.map_nodes(list(nodes)) == nodes
        assert await store.map_nodes([]) == {}

    async def test_of_two_that_sign_at_once_one_is_kept(self, store: SqlStore) -> None:
        done = await asyncio.gather(
            *(store.add_checkpoint(KeptCheckpoint(size, f"{size}"), {b"": b"%d" % size}, 0) for size in range(3, 13))
        )
        assert sorted(done) == [False] * 9 + [True]
        [kept] = await store.checkpoints()
        assert await store.map_nodes([b""]) == {b"": kept.note.encode()}


class TestErasing:
    ROW = msgspec.structs.replace(a_row(Kind.ERASED), patient=None, detail="older than eight years")

    async def test_what_stood_there_is_gone_and_every_proof_still_holds(self, place: Place, store: SqlStore) -> None:
        leaves = await filled(store, 20)
        before = await logged(store)
        assert await store.erase(patient=A, row=self.ROW) == 5
        after = await logged(store)
        assert [entry.leaf.hash() for entry in after[:20]] == leaves
        assert [entry.head for entry in after[:20]] == [entry.head for entry in before]
        gone = [entry for entry in after if entry.row is None]
        assert [entry.leaf.patient for entry in gone] == [bytes.fromhex(A)] * 5
        assert {entry.salt for entry in gone} == {None}
        for entry in gone:
            assert entry.filed == Filed("intent", NOON, "", None, None)
        assert {kept.row.patient for kept in await store.rows()} == {B, "c" * 64, None}
        assert await store.rows(patient=A) == []
        assert place.run("SELECT count(*) FROM journal WHERE row IS NULL AND caller IS NULL") == [(5,)]

    async def test_the_row_that_says_so_says_which(self, store: SqlStore) -> None:
        await filled(store, 6)
        gone = [entry.leaf.seq for entry in await logged(store, patient=A)]
        await store.erase(patient=A, row=self.ROW)
        [kept] = await store.rows(kinds=frozenset({Kind.ERASED}))
        assert kept.row.total == len(gone)
        assert kept.row.erased == erased(Left(seq, "intent", to_micros(NOON)) for seq in gone)
        assert await store.erase(patient=A, row=self.ROW) == 0
        assert [kept.row.total for kept in await store.rows(kinds=frozenset({Kind.ERASED}))] == [2, 0]

    async def test_it_takes_over_what_the_erased_row_vouched_for(self, store: SqlStore) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        await store.erase(patient=A, row=self.ROW)
        [kept] = await store.rows(kinds=frozenset({Kind.ERASED}))
        left = Left(1, "permission-granted", to_micros(NOON), bound_to(a_permission()))
        assert kept.row.erased == erased([left])
        assert await store.permission("p-1") == a_permission()

    async def test_by_time_by_patient_and_by_both(self, store: SqlStore) -> None:
        for hours in range(4):
            for patient in (A, B):
                await store.append(a_row(patient=patient, at=NOON + timedelta(hours=hours)))
        assert await store.erase(before=NOON + timedelta(hours=1), row=self.ROW) == 2
        assert await store.erase(before=NOON + timedelta(hours=2), patient=A, row=self.ROW) == 1
        assert await store.erase(before=NOON + timedelta(hours=2), patient=A, row=self.ROW) == 0
        assert await store.erase(before=NOON + timedelta(days=1), row=self.ROW) == 5 + 3 - 3
        assert len(await store.rows()) == 4, "rows that say what was erased are never erased"

    async def test_a_choice_in_force_is_never_erased(self, store: SqlStore) -> None:
        await choose(store, Choice.OPTED_IN, 1)
        await choose(store, Choice.OPTED_OUT, 2)
        await choose(store, Choice.OPTED_OUT, 1, patient=B)
        await store.append(a_row())
        assert await store.erase(before=NOON + timedelta(days=1), row=self.ROW) == 2
        kept = await store.rows(kinds=frozenset({Kind.SHARING_CHOICE}))
        assert [(one.row.patient, one.row.subject) for one in kept] == [(A, "opted-out"), (B, "opted-out")]
        current = await store.current_choice(A)
        assert current is not None
        assert current.choice is Choice.OPTED_OUT

    async def test_it_goes_in_steps_and_each_says_what_it_did(
        self, store: SqlStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(patients, "ERASED_AT_ONCE", 10)
        await asyncio.gather(*(store.append(a_row()) for _ in range(35)))
        before = store.commits
        assert await store.erase(patient=A, row=self.ROW) == 35
        assert store.commits - before == 4
        said = await store.rows(kinds=frozenset({Kind.ERASED}))
        assert [kept.row.total for kept in said] == [10, 10, 10, 5]
        assert [kept.row.erased and kept.row.erased.rows for kept in said] == ["1-10", "11-20", "21-30", "31-35"]

    async def test_a_whole_number_of_steps_ends_too(self, store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(patients, "ERASED_AT_ONCE", 10)
        await asyncio.gather(*(store.append(a_row()) for _ in range(20)))
        assert await store.erase(patient=A, row=self.ROW) == 20
        assert [kept.row.total for kept in await store.rows()] == [10, 10]

    async def test_what_comes_meanwhile_is_not_lost_track_of(self, store: SqlStore) -> None:
        await asyncio.gather(*(store.append(a_row()) for _ in range(20)))
        about_patient = msgspec.structs.replace(self.ROW, patient=A)
        erasing = asyncio.ensure_future(store.erase(patient=A, row=about_patient))
        await asyncio.gather(erasing, *(store.append(a_row(request_id="later")) for _ in range(5)))
        erased_rows = [entry for entry in await logged(store) if entry.row is None]
        assert {entry.leaf.seq for entry in erased_rows} >= set(range(1, 21))
        said = [kept.row.erased for kept in await store.rows(kinds=frozenset({Kind.ERASED}))]
        assert said == [erased(Left(entry.leaf.seq, "intent", to_micros(NOON)) for entry in erased_rows)]

    @pytest.mark.parametrize(
        ("asked", "row"),
        [({}, ROW), ({"patient": A}, a_row()), ({"before": NOON}, a_row(Kind.INTENT))],
    )
    async def test_it_needs_to_be_told_what_and_by_which_row(
        self, store: SqlStore, asked: dict[str, Any], row: Row
    ) -> None:
        with pytest.raises(ValueError, match="erasing needs"):
            await store.erase(**asked, row=row)

    async def test_on_the_disk_nothing_of_it_is_left(self, place: Place, store: SqlStore) -> None:
        """Overwritten on SQLite at once; on PostgreSQL by VACUUM, which runs by itself."""
        await store.append(a_row(detail="a-detail-that-is-erased"))
        assert b"a-detail-that-is-erased" in place.everything()
        await store.erase(patient=A, row=self.ROW)
        await store.aclose()
        if place.kind == "postgres":
            place.run("VACUUM FULL journal")
        assert b"a-detail-that-is-erased" not in place.everything()


class TestDamage:
    """What somebody did who owns the database: they can drop the triggers."""

    @pytest.fixture
    async def damaged(self, place: Place, store: SqlStore) -> Place:
        await filled(store, 8)
        if place.kind == "postgres":
            place.run("ALTER TABLE journal DISABLE TRIGGER USER")
            place.run("ALTER TABLE log_state DISABLE TRIGGER USER")
        else:
            for trigger in ("journal_update", "journal_delete", "log_state_update", "log_state_delete"):
                place.run(f"DROP TRIGGER {trigger}")
        return place

    @pytest.mark.parametrize(
        "change", ["patient = 'nobody'", "patient = 'abcd'", "patient_seq = -1", "commitment = salt"]
    )
    async def test_a_row_that_can_be_none_is_named(self, damaged: Place, store: SqlStore, change: str) -> None:
        change = "commitment = CAST('' AS bytea)" if (damaged.kind, change[:3]) == ("postgres", "com") else change
        change = "commitment = x''" if (damaged.kind, change[:3]) == ("sqlite", "com") else change
        [(seq,)] = damaged.run("SELECT max(seq) FROM journal WHERE patient IS NOT NULL")
        damaged.run(f"UPDATE journal SET {change} WHERE seq = {seq}")
        with pytest.raises(LogDamaged, match=f"row {seq}") as found:
            await logged(store)
        assert found.value.seq == seq

    async def test_a_chain_that_can_be_none_is_named(self, damaged: Place, store: SqlStore) -> None:
        [(seq,)] = damaged.run("SELECT max(seq) FROM journal WHERE patient IS NOT NULL")
        damaged.run(f"UPDATE journal SET head = NULL WHERE seq = {seq}")
        with pytest.raises(LogDamaged, match="chain") as found:
            await store.holdings(after=0, until=8)
        assert found.value.seq == seq

    @pytest.mark.parametrize("change", ["UPDATE log_state SET size = 7", "DELETE FROM log_state"])
    async def test_nothing_is_written_to_a_log_without_its_edge(
        self, damaged: Place, store: SqlStore, change: str
    ) -> None:
        damaged.run(change)
        with pytest.raises(LogDamaged):
            await store.log_size()
        with pytest.raises(AuditUnavailable):
            await store.append(a_row())
        assert await store.ready() is False

    async def test_a_row_is_never_written_twice_under_a_number(self, damaged: Place, store: SqlStore) -> None:
        """The log's edge was put back behind rows that are there: nothing is overwritten."""
        damaged.run(f"UPDATE log_state SET size = 0, frontier = {'x' if damaged.kind == 'sqlite' else ''}'{EMPTY}'")
        with pytest.raises(AuditUnavailable):
            await store.append(a_row())
        assert len(await logged(store)) == 8


EMPTY = "00" * 8
