"""A store of some 400 rows for the tests of verification: some erased, all signed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from gateway.audit.checkpoints import Checkpointer
from gateway.audit.log.checkpoint import Checkpoint, open_note
from gateway.audit.log.signer import LocalSigner
from gateway.audit.row import Kind, Row
from gateway.audit.verify.evidence import Place
from gateway.audit.verify.findings import Report
from gateway.audit.verify.run import Order, verify
from gateway.audit.verify.signed import Pinned
from gateway.audit.verify.sqlite_evidence import SqlitePlace
from gateway.policy.files import ArchivedFile, digest
from gateway.store.sqlite import SqliteStore
from tests.journals import Facts, make_store


@dataclass(frozen=True)
class Kept:
    """A store, one of its older checkpoints, and its newest."""

    facts: Facts
    pinned: Checkpoint
    newest: Checkpoint

    def verified(self, folder: Path, *pinned: Checkpoint) -> Report:
        return self.verified_at(SqlitePlace(folder), *pinned)

    def verified_at(self, place: Place, *pinned: Checkpoint) -> Report:
        """From the pinned key, and the older checkpoint unless others are named."""
        pins = [Pinned("pinned.note", each) for each in pinned or (self.pinned,)]
        return verify(Order(place, self.facts.public, self.facts.ended + timedelta(minutes=1), pins))


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """The pinned checkpoint is of about half of the rows."""
    facts = make_store(tmp_path_factory.mktemp("store"), 380, 12, 11, checkpoint_every=60)
    newest = asyncio.run(_erase_and_sign(facts))
    return Kept(facts, open_note(facts.notes[3], facts.public), newest)


async def _erase_and_sign(facts: Facts) -> Checkpoint:
    store = SqliteStore(facts.folder)
    content = msgspec.json.encode([ArchivedFile(name="rules.yaml", text="rules: []\n")])
    await store.keep_policy(digest(content), content)
    row = Row(kind=Kind.ERASED, request_id="erase-1", at=facts.ended, door="connectcare audit erase")
    assert await store.erase(patient=facts.tags[3], row=row)
    assert await store.erase(before=facts.ended - timedelta(minutes=4), row=row)
    assert await Checkpointer(store, LocalSigner(facts.key), lambda: facts.ended, 10.0).checkpoint()
    kept = await store.newest_checkpoint()
    await store.aclose()
    assert kept is not None
    return open_note(kept.note, facts.public)
