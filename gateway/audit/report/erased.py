"""Why a row has no content: a row of the log that names it as erased. Without one, whoever keeps the journal could hide
a look by calling it erased.

Such a row (`Row.erased`) is the patient's own, where theirs alone were erased; or it is about nobody, and comes with
the proof that it is in the log. Then a checkpoint that was signed when the erased rows were there already says how old
they are at least. Who erases what should be kept can't hide that: the report says how much, when, and how old it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.audit.erased import numbers
from gateway.audit.log.checkpoint import Checkpoint, NotSigned, PublicKey, open_note
from gateway.audit.log.tree import ProofFailed, verify_inclusion
from gateway.audit.report.groups import Numbered
from gateway.audit.report.model import Erasure
from gateway.audit.report.opened import Problems, marker_leaf, path_of
from gateway.audit.row import Kind, Row


@dataclass(frozen=True, slots=True)
class Gone:
    """A row was erased on `on`; it was written before `before`."""

    before: datetime
    on: datetime


@dataclass(frozen=True, slots=True)
class _Reason:
    runs: tuple[range, ...]
    most: int
    gone: Gone

    def covers(self, seq: int) -> bool:
        return seq <= self.most and any(seq in run for run in self.runs)


def runs_of(row: Row) -> tuple[range, ...]:
    """The numbers of the rows that a row says were erased; none where it says none, or can't be read."""
    if row.kind is not Kind.ERASED or row.erased is None:
        return ()
    try:
        return tuple(numbers(row.erased.rows))
    except ValueError:
        return ()


def gone(
    rows: Sequence[Numbered],
    erasures: Sequence[Erasure],
    public: PublicKey,
    checkpoint: Checkpoint,
    problems: Problems,
) -> dict[int, Gone]:
    """Of each erased row, by the patient's own number. One that nothing names is a problem; so is an erasure that isn't
    in the log."""
    reasons = [_own(one.seq, one.row) for one in rows if one.row is not None and one.row.kind is Kind.ERASED]
    reasons += filter(None, (_shown(one, public, checkpoint, problems) for one in erasures))
    found: dict[int, Gone] = {}
    for one in rows:
        if one.row is None:
            named = [reason.gone for reason in reasons if reason.covers(one.seq)]
            if not named:
                problems.append(f"Row {one.number} is left out, and nothing shows that it was erased.")
            found[one.number] = min(named, key=lambda each: each.before, default=Gone(checkpoint.at, checkpoint.at))
    return found


def _own(seq: int, row: Row) -> _Reason:
    return _Reason(runs_of(row), seq - 1, Gone(row.at, row.at))


def _shown(erasure: Erasure, public: PublicKey, checkpoint: Checkpoint, problems: Problems) -> _Reason | None:
    marker = erasure.marker
    leaf, row = marker_leaf(marker, problems)
    path = path_of(marker.path, problems)
    try:
        verify_inclusion(leaf, marker.seq - 1, checkpoint.size, path, checkpoint.root)
        dated = open_note(erasure.dated_by, public)
    except (ProofFailed, NotSigned) as error:
        problems.append(f"That rows were erased isn't proven: {error}.")
        return None
    if row is None or row.patient is not None or not runs_of(row):
        problems.append("The row that should say that rows were erased doesn't say so.")
        return None
    return _Reason(runs_of(row), min(marker.seq - 1, dated.size), Gone(dated.at, row.at))
