"""Whoever has the store but not the key can change nothing unseen: from the pinned key and an older checkpoint."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.audit.checkpoints import Checkpointer
from gateway.audit.log.checkpoint import Checkpoint, open_note
from gateway.audit.log.signer import LocalSigner
from gateway.audit.row import Kind, Row
from gateway.audit.verify.findings import Report
from gateway.audit.verify.run import Order, verify
from gateway.audit.verify.signed import Pinned
from gateway.audit.verify.sqlite_evidence import SqlitePlace
from gateway.store.sqlite import SqliteStore
from tests.journals import Facts, make_store
from tests.tampering import WAYS, Tamperer, tampered


@dataclass(frozen=True)
class Kept:
    """A store, one of its older checkpoints, and its newest."""

    facts: Facts
    pinned: Checkpoint
    newest: Checkpoint

    def verified(self, folder: Path, *pinned: Checkpoint) -> Report:
        pins = [Pinned("pinned.note", each) for each in pinned or (self.pinned,)]
        now = self.facts.ended + timedelta(minutes=1)
        return verify(Order(SqlitePlace(folder), self.facts.public, now, pins))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Some 400 rows of every kind, some erased, all signed; the pinned checkpoint is of about half of them."""
    facts = make_store(tmp_path_factory.mktemp("store"), 380, 12, 11, checkpoint_every=60)
    newest = asyncio.run(_erase_and_sign(facts))
    return Kept(facts, open_note(facts.notes[3], facts.public), newest)


async def _erase_and_sign(facts: Facts) -> Checkpoint:
    store = SqliteStore(facts.folder)
    row = Row(kind=Kind.ERASED, request_id="erase-1", at=facts.ended, door="connectcare audit erase")
    assert await store.erase(patient=facts.tags[3], row=row)
    assert await store.erase(before=facts.ended - timedelta(minutes=2), row=row)
    signer = LocalSigner(facts.key)
    assert await Checkpointer(store, signer, lambda: facts.ended, 10.0).checkpoint()
    kept = await store.newest_checkpoint()
    await store.aclose()
    assert kept is not None
    return open_note(kept.note, facts.public)


def caught(kept: Kept, work: Path, seed: int, ways: Iterable[int]) -> tuple[Counter[str], list[str]]:
    """How often each thing was done, and what wasn't caught."""
    done: Counter[str] = Counter()
    missed: list[str] = []
    for number, way in enumerate(ways):
        chance = random.Random(f"{seed}/{number}")
        with tampered(kept.facts.folder, work, chance, WAYS[way], kept.pinned.size, kept.newest.size) as (copy, said):
            report = kept.verified(copy)
        done[said.partition(":")[0]] += 1
        if report.holds:
            missed.append(f"{number}: {WAYS[way].__name__}: {said}")
    return done, missed


def test_a_store_that_nobody_touched_holds(kept: Kept) -> None:
    report = kept.verified(kept.facts.folder, kept.pinned, kept.newest)
    assert report.holds, report.told()
    assert "erased rows: their commitments stand" in report.told()


def test_every_way_of_tampering_is_caught(kept: Kept, tmp_path: Path) -> None:
    done, missed = caught(kept, tmp_path, 1, [way % len(WAYS) for way in range(60)])
    assert missed == []
    assert len(done) > 20


@pytest.mark.slow
def test_a_thousand_tamperings_are_caught(kept: Kept, tmp_path: Path) -> None:
    done, missed = caught(kept, tmp_path, 2, [way % len(WAYS) for way in range(1_000)])
    assert missed == []
    assert sum(done.values()) == 1_000


def test_what_no_one_can_see_from_an_older_checkpoint_alone(kept: Kept, tmp_path: Path) -> None:
    """A store that is cut back to an earlier checkpoint, consistently, is the store as it was then. Who pinned a newer
    checkpoint, or has a copy of the rows, sees it all the same."""

    def cut_back(t: Tamperer) -> str:
        t.rebuild(t.journal()[: kept.pinned.size], keep_checkpoints=False)
        for table in ("sharing_choice", "permission", "privacy_case", "case_entry"):
            t.db.execute(f"DELETE FROM {table}")
        return "cut back"

    with tampered(kept.facts.folder, tmp_path, random.Random(1), cut_back, 0, 0) as (copy, _):
        told = [str(finding) for finding in kept.verified(copy).findings]
        assert not [each for each in told if "missing" in each or "checkpoint" in each]
        told = [str(finding) for finding in kept.verified(copy, kept.newest).findings]
        assert any("the log is shorter than the pinned checkpoint" in each for each in told)
