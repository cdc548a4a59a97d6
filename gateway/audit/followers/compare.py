"""A sink file held against the store, and erasure carried out in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.erased import numbers
from gateway.audit.followers.lines import encoded, read_sink
from gateway.audit.followers.sink import keep_name
from gateway.audit.log.leaf import commit
from gateway.audit.row import Row
from gateway.store.interface import Entry, LogStore

_AT_ONCE: Final = 1000


@dataclass(slots=True)
class Compared:
    """What came of it. `differing` are rows that the store hasn't got, or has otherwise, or that the sink itself can't
    open; `behind` counts those that the sink hasn't got yet; `still_here` those that were erased in the store alone."""

    rows: int = 0
    behind: int = 0
    still_here: int = 0
    differing: list[int] = field(default_factory=list)


async def compare(path: Path, store: LogStore) -> Compared:
    """Every row of the file against the store's. Raises SinkBroken, and OSError."""
    found, lines = Compared(), read_sink(path)
    size = await store.log_size()
    while ours := list(islice(lines, _AT_ONCE)):
        span = store.entries(after=ours[0].leaf.seq - 1, until=ours[-1].leaf.seq)
        theirs = {entry.leaf.seq: entry async for batch in span for entry in batch}
        for entry in ours:
            found.rows += 1
            _hold_against(entry, theirs.get(entry.leaf.seq), found)
    found.behind = max(0, size - found.rows)
    return found


def forget_erased(path: Path) -> int:
    """Take content and salt out of every row that a row of the sink says was erased; returns of how many. The
    commitments stay. Whoever follows goes on in the new file, which takes the old one's place whole or not at all.

    Raises SinkBroken, and OSError.
    """
    gone = frozenset(seq for entry in read_sink(path) for seq in _erased_by(entry))
    count, made = 0, path.with_name(path.name + ".new")
    with suppress(FileNotFoundError):
        made.unlink()
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        for entry in read_sink(path):
            forgotten = entry.leaf.seq in gone and entry.row is not None
            count += forgotten
            file.write(encoded(Entry(entry.leaf, None, None, None) if forgotten else entry))
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
    keep_name(path.absolute().parent)
    return count


def _hold_against(ours: Entry, theirs: Entry | None, found: Compared) -> None:
    opens = ours.row is None or (ours.salt is not None and commit(ours.salt, ours.row) == ours.leaf.commitment)
    if theirs is None or theirs.leaf != ours.leaf or not opens:
        found.differing.append(ours.leaf.seq)
    elif theirs.row is None:
        found.still_here += ours.row is not None
    elif theirs.row != ours.row:
        found.differing.append(ours.leaf.seq)


def _erased_by(entry: Entry) -> Iterator[int]:
    """The numbers that this row says were erased: earlier rows than itself."""
    if entry.row is None:
        return
    erased = msgspec.json.decode(entry.row, type=Row).erased
    for run in numbers(erased.rows) if erased is not None else ():
        yield from range(max(1, run.start), min(run.stop, entry.leaf.seq))
