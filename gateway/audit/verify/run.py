"""The whole verification, step by step. It reads; it writes nothing, and it raises nothing for what it reads.

Large journals are checked by several processes, each opening the evidence for itself and taking ranges of rows. What
they all see is the same, since a row once written only ever changes by being erased.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from gateway.audit.log.checkpoint import Checkpoint, PublicKey
from gateway.audit.verify.erasures import check_erasures
from gateway.audit.verify.evidence import Evidence, Extent, Place, Unreadable
from gateway.audit.verify.findings import Finding, Findings, Report, rows_named
from gateway.audit.verify.joined import Joined
from gateway.audit.verify.map_over_time import History, roots_at
from gateway.audit.verify.part import RANGE, Part
from gateway.audit.verify.records import TABLES, Digested, check_records, digested
from gateway.audit.verify.rows import check_rows
from gateway.audit.verify.signed import Pinned, check_maps, check_order, check_pinned, check_roots, open_kept
from gateway.audit.verify.working_state import check_working_state
from gateway.store.moments import from_micros

SIGNED_WITHIN: Final = timedelta(hours=1)
"""A row that has waited longer for a signature than this is found: a gateway signs every few seconds."""

_ALONE_UP_TO: Final = 4 * RANGE
"""Rows that one process checks quicker than several could be started."""

_NOTES_AT_ONCE: Final = 2_000
_ROWS_BEYOND: Final = 1_000_000
"""Numbers that may be missing before the rest isn't looked for row by row."""

_T = TypeVar("_T")


class _Crew:
    """Does things with the evidence: here, or in other processes where there is a pool, each of which opens it."""

    def __init__(self, evidence: Evidence, pool: ProcessPoolExecutor | None, size: int) -> None:
        self._evidence = evidence
        self._pool = pool
        self.size = size

    def start(self, work: Callable[..., _T], *arguments: Any) -> Callable[[], _T]:
        """Begin, and return what waits for the result. `work` takes the evidence first. Raises Unreadable then."""
        if self._pool is None:
            return partial(work, self._evidence, *arguments)
        return self._pool.submit(_elsewhere, self._evidence.elsewhere, work, *arguments).result

    def each(self, work: Callable[..., _T], *arguments: Iterable[Any]) -> Iterable[_T]:
        """The results of work that takes no evidence, in order."""
        return map(work, *arguments) if self._pool is None else self._pool.map(work, *arguments)


def _elsewhere(place: Place, work: Callable[..., _T], *arguments: Any) -> _T:
    with place.open() as evidence:
        return work(evidence, *arguments)


@dataclass(frozen=True, slots=True)
class Order:
    """What to verify, and against what. `now` is the moment of the verification."""

    place: Place
    public: PublicKey
    now: datetime
    pinned: Sequence[Pinned] = ()
    signed_within: timedelta = SIGNED_WITHIN
    processes: int | None = None


def verify(order: Order) -> Report:
    """Check everything. What can't be read at all is a finding too."""
    try:
        with order.place.open() as evidence:
            return _Verification(order, evidence).run()
    except Unreadable as error:
        return Report((), (Finding(None, str(error)),))
    except BrokenProcessPool:
        return Report((), (Finding(None, "a process of the verification was ended from outside: verify again"),))


class _Verification:
    """One run: the evidence, and what was said and found so far."""

    def __init__(self, order: Order, evidence: Evidence) -> None:
        self._order = order
        self._evidence = evidence
        self._findings = Findings()
        self._checked: list[str] = []

    def run(self) -> Report:
        size, notes = self._size(self._evidence.extent()), self._evidence.checkpoints()
        processes = (self._order.processes or os.cpu_count() or 1) if size > _ALONE_UP_TO else 1
        with _crew(self._evidence, processes) as crew:
            flaws = crew.start(_flaws)
            parts = self._parts(size, notes, crew)
            records = [crew.start(digested, table) for table in TABLES] if self._evidence.has_content else []
            self._findings.take(flaws())
            kept = self._opened(notes, crew)
            joined = self._joined(parts)
            newest = self._checkpoints(kept, joined)
            history = joined.history()
            maps = _maps(history, [each.size for each in kept if each.size <= size], crew)
            self._records([each() for each in records], joined)
        check_maps([each for each in kept if each.size <= size], maps, self._findings)
        self._working_state(joined, history, newest)
        self._unsigned(newest, size)
        return Report(tuple(self._checked), tuple(self._findings.kept), self._findings.more)

    def _size(self, extent: Extent) -> int:
        """How many rows to look at. A number out of all proportion isn't followed."""
        size = extent.highest
        if extent.lowest < 1 and extent.count:
            self._findings.add(extent.lowest, "no row has this number: they count from 1")
        if size > extent.count + _ROWS_BEYOND:
            self._findings.add(extent.highest, f"is numbered far beyond the {extent.count:,} rows that there are")
            size = extent.count
        self._checked.append(f"{max(size, 0):,} rows: numbers, commitments, columns, patients' chains, intents.")
        return max(size, 0)

    def _opened(self, notes: Sequence[tuple[Any, Any]], crew: _Crew) -> list[Checkpoint]:
        parts = [notes[at : at + _NOTES_AT_ONCE] for at in range(0, len(notes), _NOTES_AT_ONCE)]
        kept: list[Checkpoint] = []
        for opened, findings in crew.each(open_kept, parts, [self._order.public] * len(parts)):
            kept += opened
            self._findings.take(findings)
        check_order(kept, self._findings)
        return kept

    def _parts(self, size: int, notes: Sequence[tuple[Any, Any]], crew: _Crew) -> list[Callable[[], Part]]:
        """Begin with the rows, a range at a time: each with the sizes at which the log's root is wanted."""
        wanted = {kept for kept, _ in notes if isinstance(kept, int)}
        sizes = sorted(wanted | {one.checkpoint.size for one in self._order.pinned})
        parts = []
        for first in range(1, size + 1, RANGE):
            last = min(first + RANGE - 1, size)
            within = sizes[bisect_left(sizes, first) : bisect_right(sizes, last)]
            parts.append(crew.start(check_rows, first, last, within))
        return parts

    def _joined(self, parts: Iterable[Callable[[], Part]]) -> Joined:
        joined = Joined()
        for part in parts:
            joined.take(part())
        self._findings.take(joined.findings)
        return joined

    def _checkpoints(self, kept: Sequence[Checkpoint], joined: Joined) -> Checkpoint | None:
        check_roots(kept, joined.roots, joined.size, self._findings)
        check_pinned(self._order.pinned, kept, joined.roots, joined.size, self._findings)
        newest = kept[-1] if kept else None
        if newest is not None:
            said = f"{len(kept):,} signed checkpoints" if len(kept) > 1 else "1 signed checkpoint"
            at = newest.at.isoformat(timespec="seconds")
            self._checked.append(f"{said} of {newest.origin}, the newest of {newest.size:,} rows at {at}.")
        for one in self._order.pinned:
            self._checked.append(f"The pinned checkpoint {one.name}: the first {one.checkpoint.size:,} rows.")
        return newest

    def _records(self, tables: Sequence[tuple[list[Digested], Findings]], joined: Joined) -> None:
        if not tables:
            return
        for _, findings in tables:
            self._findings.take(findings)
        count = check_records([records for records, _ in tables], joined.bound, self._findings)
        self._checked.append(f"{count:,} choices, permissions, cases and entries, as rows vouch for them.")
        erased = check_erasures(joined.emptied, joined.erasures, self._findings)
        if erased:
            self._checked.append(f"{erased:,} erased rows: their commitments stand, and rows account for them.")

    def _working_state(self, joined: Joined, history: History, newest: Checkpoint | None) -> None:
        if self._evidence.has_working_state:
            check_working_state(self._evidence, joined, history, newest.size if newest else 0, self._findings)
            self._checked.append(
                "What the store keeps to work with: subtree roots, right edge, patients' map, policies."
            )

    def _unsigned(self, newest: Checkpoint | None, size: int) -> None:
        signed = newest.size if newest is not None else 0
        if signed >= size:
            return
        rows = rows_named(signed + 1, size)
        verb = "is" if signed + 1 == size else "are"
        self._checked.append(f"{rows} {verb} not signed yet: nothing proves so far what was written.".capitalize())
        try:
            first = next(iter(self._evidence.rows(signed, size)), None)
            since = from_micros(first[5]) if first is not None else None
        except (Unreadable, TypeError, OverflowError):
            return  # found already, where the rows were read
        if since is not None and self._order.now - since > self._order.signed_within:
            said = since.isoformat(timespec="seconds")
            self._findings.add(
                None, f"{rows} not signed since {said}: checkpoints fail (see the gateway's log), or were removed"
            )


def _flaws(evidence: Evidence) -> Findings:
    findings = Findings()
    for flaw in evidence.flaws():
        findings.add(None, flaw)
    return findings


def _maps(history: History, sizes: Sequence[int], crew: _Crew) -> dict[int, bytes]:
    """The patients' map's root at each size. Each process takes a run of sizes."""
    step = max(-(-len(sizes) // crew.size), 1)
    runs = [sizes[at : at + step] for at in range(0, len(sizes), step)]
    found = crew.each(_roots_at, [history] * len(runs), runs)
    return {size: root for run in found for size, root in run}


def _roots_at(history: History, sizes: Sequence[int]) -> list[tuple[int, bytes]]:
    return list(roots_at(history, sizes))


@contextmanager
def _crew(evidence: Evidence, processes: int) -> Iterator[_Crew]:
    """Other processes, or this one alone. They are started anew: a copy would share what this one holds."""
    if processes == 1:
        yield _Crew(evidence, None, 1)
        return
    spawn = multiprocessing.get_context("spawn")
    # Nothing that they make goes in a circle, and looking for circles among so many small things takes its time.
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=gc.disable) as pool:
        try:
            yield _Crew(evidence, pool, processes)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
