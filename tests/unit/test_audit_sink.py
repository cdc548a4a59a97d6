"""The sink: a file that holds the journal a second time, and goes on after whatever happened to it."""

# ruff: noqa: ASYNC240 (a test may wait for a small file)

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from gateway.audit.followers import sink as sink_module
from gateway.audit.followers.compare import compare, forget_erased
from gateway.audit.followers.lines import SinkBroken, read_sink
from gateway.audit.followers.model import CopyFailed
from gateway.audit.followers.runner import Follower
from gateway.audit.followers.sink import Sink, SinkFile
from gateway.audit.log.leaf import commit
from gateway.audit.row import Kind
from gateway.cli import app
from gateway.store.sql.store import SqlStore
from tests.events import PATIENT, SEALER, a_row
from tests.stores import SqlitePlace
from tests.unit.test_followers import Pauses, run_out, write

TAG = SEALER.patient_tag(PATIENT)


@pytest.fixture
def store(sqlite_place: SqlitePlace) -> SqlStore:
    return sqlite_place.open()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit-sink.jsonl"


async def copy(store: SqlStore, path: Path, *, failures: int = 100) -> Follower:
    follower = Follower(store, Sink(path, store), pause=Pauses(failures))
    await run_out(follower)
    return follower


def seqs(path: Path) -> list[int]:
    return [entry.leaf.seq for entry in read_sink(path)]


async def test_the_sink_holds_the_very_rows_that_were_committed_to(store: SqlStore, path: Path) -> None:
    await write(store, 3)
    await store.append(a_row(Kind.PERSON_SOUGHT, patient=None, sealed_patient=None))
    await copy(store, path)
    held = [entry async for batch in store.entries() for entry in batch]
    for ours, theirs in zip(read_sink(path), held, strict=True):
        assert (ours.leaf, ours.row, ours.salt) == (theirs.leaf, theirs.row, theirs.salt)
        assert ours.row is not None
        assert ours.salt is not None
        assert commit(ours.salt, ours.row) == ours.leaf.commitment
    assert ours.leaf.patient is None
    assert await store.position("sink") == 4
    assert PATIENT not in path.read_text()


async def test_nobody_else_can_read_it_even_where_it_was_open_before(store: SqlStore, path: Path) -> None:
    path.touch(mode=0o644)
    await copy(store, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    await copy(store, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_it_catches_up_with_what_was_written_before_and_between(store: SqlStore, path: Path) -> None:
    await write(store, 5)
    await copy(store, path)
    await write(store, 4)
    await copy(store, path)
    assert seqs(path) == list(range(1, 10))


@pytest.mark.parametrize("torn", [b"{", b'{"seq":6,"patient":null', b"x" * 200_000])
async def test_a_torn_last_line_is_cut_off_and_written_anew(store: SqlStore, path: Path, torn: bytes) -> None:
    await write(store, 5)
    await copy(store, path)
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert seqs(path) == [1, 2, 3, 4, 5]
    await write(store, 1)
    await copy(store, path)
    assert path.read_bytes().startswith(whole)
    assert seqs(path) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("cut", [1, 30, 100])
async def test_a_file_that_a_crash_cut_short_is_made_whole(store: SqlStore, path: Path, cut: int) -> None:
    await write(store, 5)
    await copy(store, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    await copy(store, path)
    assert path.read_bytes() == whole


async def test_a_file_that_was_lost_is_written_from_the_beginning(store: SqlStore, path: Path) -> None:
    await write(store, 5)
    await copy(store, path)
    path.unlink()
    await copy(store, path)
    assert seqs(path) == [1, 2, 3, 4, 5]


async def test_a_file_that_is_ahead_of_the_position_is_believed(store: SqlStore, path: Path) -> None:
    await write(store, 5)
    sink = Sink(path, store)
    assert await sink.begin(0) == 0
    entries = [entry async for batch in store.entries() for entry in batch]
    assert await sink.take(entries) == 5
    await sink.end()
    assert await store.position("sink") == 0
    await copy(store, path)
    assert seqs(path) == [1, 2, 3, 4, 5]
    assert await store.position("sink") == 5


async def test_a_sink_of_another_log_is_left_as_it_is(store: SqlStore, path: Path, tmp_path: Path) -> None:
    await write(store, 5)
    await copy(store, path)
    before = path.read_bytes()
    elsewhere = SqlitePlace(tmp_path / "other")
    for rows in (2, 5):  # the other log lacks the row, and then has another one in its place
        other = elsewhere.open()
        await write(other, rows)
        follower = await copy(other, path, failures=1)
        assert "one of them was replaced" in follower.state.last_error
        elsewhere.close()
    assert path.read_bytes() == before


@pytest.mark.parametrize("line", [b"not JSON\n", b'{"seq":1}\n', b"[]\n", b"\n"])
async def test_a_file_that_is_no_sink_is_left_as_it_is(store: SqlStore, path: Path, line: bytes) -> None:
    path.write_bytes(line)
    await write(store, 1)
    follower = await copy(store, path, failures=1)
    assert "can't be read" in follower.state.last_error
    assert path.read_bytes() == line
    with pytest.raises(SinkBroken):
        list(read_sink(path))


async def test_a_full_disk_leaves_whole_lines_and_the_next_try_goes_on(
    store: SqlStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(store, 3)
    real, calls = os.write, iter([40, OSError(errno.ENOSPC, "No space left on device")])

    def sick(file: int, data: Any) -> int:
        match next(calls, None):
            case int(most):
                return real(file, data[:most])
            case OSError() as error:
                raise error
        return real(file, data)

    monkeypatch.setattr(sink_module.os, "write", sick)
    pauses = Pauses()
    follower = Follower(store, Sink(path, store), pause=pauses)
    await run_out(follower)
    assert len(pauses.taken) == 2  # the failure, and idling after it
    assert seqs(path) == [1, 2, 3]


async def test_rows_that_are_not_on_the_disk_are_not_held(
    store: SqlStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(store, 3)
    sink = Sink(path, store)
    await sink.begin(0)
    entries = [entry async for batch in store.entries() for entry in batch]

    def sick(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sink_module.os, "fsync", sick)
    with pytest.raises(OSError, match="Input/output"):
        await sink.take(entries)
    assert path.read_bytes() == b""
    monkeypatch.undo()
    await sink.end()


async def test_one_process_writes_at_a_time(store: SqlStore, path: Path) -> None:
    await write(store, 1)
    file = SinkFile(path)
    follower = await copy(store, path, failures=1)
    assert follower.state.last_error == "another process writes to the sink"
    file.close()
    file.close()
    await copy(store, path)
    assert seqs(path) == [1]


async def test_a_file_that_was_moved_away_is_not_written_to(store: SqlStore, path: Path, tmp_path: Path) -> None:
    await write(store, 1)
    sink = Sink(path, store)
    await sink.begin(0)
    entries = [entry async for batch in store.entries() for entry in batch]
    path.rename(tmp_path / "old")
    with pytest.raises(CopyFailed, match="moved or replaced"):
        await sink.take(entries)
    path.touch()
    with pytest.raises(CopyFailed, match="moved or replaced"):
        await sink.take(entries)
    await sink.end()
    with pytest.raises(CopyFailed, match="isn't open"):
        await sink.take(entries)


async def test_a_file_that_was_closed_meanwhile_is_not_written_to(path: Path) -> None:
    file = SinkFile(path)
    file.close()
    with pytest.raises(CopyFailed, match="isn't open"):
        file.append(b"{}\n")


async def test_whoever_is_cancelled_while_it_opens_leaves_no_lock_behind(
    store: SqlStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, may_go_on, opened = threading.Event(), threading.Event(), []

    def slow(given: Path) -> SinkFile:
        opening.set()
        may_go_on.wait(10)
        opened.append(SinkFile(given))
        return opened[0]

    monkeypatch.setattr(sink_module, "SinkFile", slow)
    task = asyncio.create_task(Sink(path, store).begin(0))
    await asyncio.to_thread(opening.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_go_on.set()
    while not (opened and opened[0]._closed):  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    SinkFile(path).close()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda lines: [lines[0], lines[2]], "line 2 of the sink holds row 3"),
        (lambda lines: lines[1:], "line 1 of the sink holds row 2"),
        (lambda lines: [lines[0], lines[0]], "line 2 of the sink holds row 1"),
        (lambda lines: [lines[0], b"{}\n"], "can't be read"),
        (lambda lines: [lines[0].replace(b'"commitment":"', b'"commitment":"zz')], "line 1 of the sink can't be read"),
    ],
)
async def test_a_reader_takes_no_gap_and_no_nonsense(store: SqlStore, path: Path, spoil: Any, said: str) -> None:
    await write(store, 3)
    await copy(store, path)
    path.write_bytes(b"".join(spoil(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(SinkBroken, match=said):
        list(read_sink(path))


def changed(line: bytes, **values: Any) -> bytes:
    return msgspec.json.encode({**msgspec.json.decode(line), **values}) + b"\n"


async def test_a_sink_is_held_against_the_store_row_by_row(store: SqlStore, path: Path) -> None:
    await write(store, 6)
    await copy(store, path)
    assert (await compare(path, store)).differing == []
    await write(store, 2)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = changed(lines[1], row='{"kind":"intent"}')
    lines[2] = changed(lines[2], patient=None)
    lines[3] = changed(lines[3], row=None, salt=None)
    path.write_bytes(b"".join(lines))
    found = await compare(path, store)
    assert (found.rows, found.behind, found.still_here, found.differing) == (6, 2, 0, [2, 3, 4])


async def test_what_was_erased_is_erased_in_the_sink_as_well_when_somebody_says_so(store: SqlStore, path: Path) -> None:
    await write(store, 4)
    await store.append(a_row(Kind.PERSON_SOUGHT, patient=None, sealed_patient=None))
    await copy(store, path)
    await store.erase(patient=TAG, row=a_row(Kind.ERASED, patient=None, sealed_patient=None))
    await copy(store, path)
    found = await compare(path, store)
    assert (found.rows, found.still_here, found.differing) == (6, 4, [])
    assert forget_erased(path) == 4
    assert [entry.row is None for entry in read_sink(path)] == [True] * 4 + [False] * 2
    assert all((entry.row is None) == (entry.salt is None) for entry in read_sink(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = await compare(path, store)
    assert (found.rows, found.still_here, found.differing) == (6, 0, [])
    await write(store, 1)
    await copy(store, path)
    assert seqs(path) == list(range(1, 8))
    assert forget_erased(path) == 0


async def test_a_follower_goes_on_in_the_file_that_took_the_old_ones_place(store: SqlStore, path: Path) -> None:
    await write(store, 2)
    sink = Sink(path, store)
    assert await sink.begin(0) == 0
    entries = [entry async for batch in store.entries() for entry in batch]
    await sink.take(entries)
    forget_erased(path)
    with pytest.raises(CopyFailed):
        await sink.take(entries)
    await sink.end()
    assert await sink.begin(0) == 2
    await sink.aclose()


async def test_an_erased_row_is_copied_as_a_leaf(store: SqlStore, path: Path) -> None:
    await write(store, 2)
    await store.erase(patient=TAG, row=a_row(Kind.ERASED, patient=None, sealed_patient=None))
    await copy(store, path)
    first = next(read_sink(path))
    assert (first.row, first.salt, first.leaf.seq) == (None, None, 1)


async def test_the_command_says_how_far_the_copies_are_and_where_one_differs(
    store: SqlStore, path: Path, tmp_path: Path
) -> None:
    def run(*more: str) -> tuple[int, str]:
        answer = CliRunner().invoke(app, ["audit", "followers", "--data", str(tmp_path), *more])
        return answer.exit_code, answer.output

    await write(store, 4)
    await copy(store, path)
    await write(store, 1)
    code, said = await asyncio.to_thread(run)
    assert code == 0
    assert "journal: 5 rows\nsink: at row 4, 1 behind\nrepository: nothing yet\n" in said
    code, said = await asyncio.to_thread(run, "--sink", str(path))
    assert code == 0
    assert "4 rows compared, 1 behind" in said
    await store.erase(patient=TAG, row=a_row(Kind.ERASED, patient=None, sealed_patient=None))
    await copy(store, path)
    assert "holds 4 rows that were erased in the store" in (await asyncio.to_thread(run, "--sink", str(path)))[1]
    code, said = await asyncio.to_thread(run, "--sink", str(path), "--forget-erased")
    assert "4 rows erased" in said
    assert "6 rows compared, 0 behind" in said
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:5], changed(lines[5], patient_seq=9)]))
    code, said = await asyncio.to_thread(run, "--sink", str(path))
    assert (code, "differs from the store in row 6" in said) == (1, True)
    path.write_bytes(lines[1])
    assert (await asyncio.to_thread(run, "--sink", str(path)))[0] == 2
    assert (await asyncio.to_thread(run, "--sink", str(tmp_path / "none")))[0] == 2
