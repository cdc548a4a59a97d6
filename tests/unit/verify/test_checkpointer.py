"""The checkpointer: signs what was added, gets out of everybody's way, and refuses to sign a forked log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.checkpoints import AT_ONCE, Checkpointer, LogForked, load_public, new_key, signer_of
from gateway.audit.log.checkpoint import Checkpoint, SigningKey, open_note
from gateway.audit.log.signer import LocalSigner, SignerClient, SignerRefused, serve
from gateway.audit.row import Kind
from gateway.audit.verify.run import Order, verify
from gateway.audit.verify.sqlite_evidence import SqlitePlace as Evidence
from gateway.store.kept import KeptCheckpoint
from gateway.store.sql.store import SqlStore
from tests.store_rows import NOON, A, B, a_row
from tests.stores import Place, SqlitePlace
from tests.unit.verify.conftest import Kept

KEY = SigningKey.new("care.example/journal")


def checkpointer(store: SqlStore, seconds: float = 0.01) -> Checkpointer:
    return Checkpointer(store, LocalSigner(KEY), lambda: NOON, seconds)


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Wait until it does; for ever, if need be."""
    while not await holds():  # noqa: ASYNC110 (what is waited for has no event)
        await asyncio.sleep(0.01)


async def sizes(store: SqlStore) -> list[int]:
    return [kept.size for kept in await store.checkpoints()]


async def test_it_signs_what_was_added_and_nothing_else(place: Place) -> None:
    store = place.open(clock=lambda: NOON)
    signs = checkpointer(store)
    assert not await signs.checkpoint()
    for patient in (A, B, None):
        await store.append(a_row(patient=patient))
    assert await signs.checkpoint()
    assert not await signs.checkpoint()
    await store.append(a_row(patient=A))
    assert await signs.checkpoint()
    kept = [open_note(each.note, KEY.public) for each in await store.checkpoints()]
    assert [(each.size, each.before) for each in kept] == [(3, 0), (4, 3)]


async def test_of_many_workers_one_is_first_and_the_others_go_on(place: Place) -> None:
    stores = [place.open(clock=lambda: NOON)] if place.kind == "sqlite" else [place.open() for _ in range(3)]
    workers = [checkpointer(store) for store in stores * 3]
    for _ in range(6):
        await stores[0].append(a_row())
        await asyncio.gather(*(worker.checkpoint() for worker in workers), return_exceptions=True)
    while await workers[0].checkpoint():
        pass
    assert (await sizes(stores[0]))[-1] == 6
    kept = [open_note(each.note, KEY.public) for each in await stores[0].checkpoints()]
    assert [each.before for each in kept] == [0, *(each.size for each in kept[:-1])]


async def test_a_long_tail_is_signed_in_steps(sqlite_place: SqlitePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert AT_ONCE == 5_000
    monkeypatch.setattr("gateway.audit.checkpoints.AT_ONCE", 4)
    store = sqlite_place.open(clock=lambda: NOON)
    for _ in range(10):
        await store.append(a_row())
    signs = checkpointer(store, 3600.0)
    signs.start()
    await signs.aclose()
    assert await sizes(store) == [4, 8, 10]


async def test_it_signs_at_close_and_every_few_seconds(sqlite_place: SqlitePlace) -> None:
    store = sqlite_place.open(clock=lambda: NOON)
    signs = checkpointer(store)
    await signs.aclose()  # never started: nothing to do
    signs = checkpointer(store)
    signs.start()
    await store.append(a_row())
    await until(lambda: sizes(store))
    await store.append(a_row(Kind.AUDIT_READ, patient=None))
    await signs.aclose()
    assert (await sizes(store))[-1] == 2
    assert verify(Order(Evidence(sqlite_place.folder), KEY.public, NOON)).holds


class Broken(LocalSigner):
    """A signer that is away for a while."""

    away = True

    async def last(self) -> Checkpoint | None:
        if self.away:
            raise SignerRefused("away")
        return await super().last()


async def test_a_failure_is_logged_and_tried_again(sqlite_place: SqlitePlace, caplog: pytest.LogCaptureFixture) -> None:
    store = sqlite_place.open(clock=lambda: NOON)
    signer = Broken(KEY)
    signs = Checkpointer(store, signer, lambda: NOON, 0.01)
    await store.append(a_row())
    signs.start()
    await until(lambda: asyncio.sleep(0, caplog.records))
    assert caplog.records[0].getMessage() == "checkpoint.failed"
    assert await store.append(a_row()) == 2  # rows go on being written
    assert await store.ready()
    report = verify(Order(Evidence(sqlite_place.folder), KEY.public, NOON + timedelta(hours=2)))
    assert "rows 1-2 not signed since" in report.told()
    signer.away = False
    await until(lambda: sizes(store))
    await signs.aclose()
    assert (await sizes(store))[-1] == 2


class Busy(LocalSigner):
    """A row comes whenever it signs."""

    def __init__(self, store: SqlStore) -> None:
        super().__init__(KEY)
        self.store = store

    async def sign(self, *given: Any) -> str:
        await self.store.append(a_row())
        return await super().sign(*given)


async def test_rows_that_come_meanwhile_are_for_the_next_time(sqlite_place: SqlitePlace) -> None:
    store = sqlite_place.open(clock=lambda: NOON)
    for _ in range(3):
        await store.append(a_row())
    signs = Checkpointer(store, Busy(store), lambda: NOON, 3600)
    signs.start()
    await signs.aclose()  # which signs once more
    assert await sizes(store) == [3]


async def test_a_forked_log_is_not_signed(sqlite_place: SqlitePlace) -> None:
    store = sqlite_place.open(clock=lambda: NOON)
    await store.append(a_row())
    stranger = Checkpoint(KEY.origin, 1, b"\1" * 32, b"\2" * 32, NOON)
    await store.add_checkpoint(KeptCheckpoint(1, KEY.sign(stranger)), {}, 0)
    await store.append(a_row())
    with pytest.raises(LogForked):
        await checkpointer(store).checkpoint()
    ahead = Checkpoint(KEY.origin, 9, b"\1" * 32, b"\2" * 32, NOON, 1)
    await store.add_checkpoint(KeptCheckpoint(9, KEY.sign(ahead)), {}, 1)
    with pytest.raises(LogForked):
        await checkpointer(store).checkpoint()


async def test_a_signer_that_signed_more_refuses_a_log_that_was_cut_off(sqlite_place: SqlitePlace) -> None:
    store = sqlite_place.open(clock=lambda: NOON)
    await store.append(a_row())
    signer = LocalSigner(KEY)
    await signer.sign(Checkpoint(KEY.origin, 7, b"\1" * 32, b"\2" * 32, NOON), ())
    with pytest.raises(SignerRefused, match="The log had 7 rows when it was last signed"):
        await Checkpointer(store, signer, lambda: NOON, 1.0).checkpoint()


async def test_a_close_that_hangs_comes_to_an_end(
    sqlite_place: SqlitePlace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Hung(LocalSigner):
        async def last(self) -> Checkpoint | None:
            await asyncio.sleep(3600)
            return None

    monkeypatch.setattr("gateway.audit.checkpoints.CLOSING_SECONDS", 0.05)
    store = sqlite_place.open(clock=lambda: NOON)
    await store.append(a_row())
    signs = Checkpointer(store, Hung(KEY), lambda: NOON, 0.01)
    signs.start()
    await signs.aclose()
    assert [record.getMessage() for record in caplog.records] == ["checkpoint.unfinished"]


class Said:
    """Settings."""

    def __init__(self, data: Path, **more: Path) -> None:
        self.data_dir = data
        self.checkpoint_key = more.get("key")
        self.checkpoint_signer = more.get("signer")
        self.checkpoint_public = more.get("public")
        self.log_origin = "care.example/journal"


async def test_who_signs_is_what_the_settings_say(tmp_path: Path) -> None:
    """The demo makes a key in its data folder, once."""
    demo = signer_of(Said(tmp_path / "data"))
    assert signer_of(Said(tmp_path / "data")).public == demo.public == load_public(tmp_path / "data/checkpoint.key.pub")
    public = new_key(tmp_path / "own.key", "own.example/journal")
    assert signer_of(Said(tmp_path, key=tmp_path / "own.key")).public == load_public(public)
    asked = signer_of(Said(tmp_path, signer=tmp_path / "signer.sock", public=public))
    assert isinstance(asked, SignerClient)
    assert asked.public == load_public(public)


async def test_a_signer_in_a_process_of_its_own_signs(sqlite_place: SqlitePlace, tmp_path: Path) -> None:
    store = sqlite_place.open(clock=lambda: NOON)
    await store.append(a_row())
    socket = tmp_path / "s.sock"
    serving = asyncio.create_task(serve(KEY, tmp_path / "state", socket))
    await until(lambda: asyncio.to_thread(socket.exists))
    assert await Checkpointer(store, SignerClient(socket, KEY.public), lambda: NOON, 1.0).checkpoint()
    serving.cancel()
    assert await sizes(store) == [1]


def test_a_key_that_can_not_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="can't be read"):
        load_public(tmp_path / "none.pub")
    (tmp_path / "bytes.pub").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="isn't one: it is a line of text"):
        load_public(tmp_path / "bytes.pub")


def test_the_made_stores_checkpoints_name_each_other(kept: Kept) -> None:
    notes = [open_note(note, kept.facts.public) for note in kept.facts.notes]
    assert [each.before for each in notes] == [0, *(each.size for each in notes[:-1])]
