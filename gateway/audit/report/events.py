"""From the patient's rows to the events of the report. A pure function of the rows: whoever has them makes the same.

Sources that were asked in the background, what the policy kept back, and everything that names staff beyond name, role
and organisation stay in the rows: no event tells of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gateway.audit.report.erased import Gone
from gateway.audit.report.groups import Group, Numbered, grouped
from gateway.audit.report.model import Event, Period, What
from gateway.audit.report.moments import day_of, when
from gateway.audit.report.told import Context, name_of, person, tells, told
from gateway.audit.report.words import counted
from gateway.audit.row import Kind, Row
from gateway.desk.model import CaseKind, CaseStatus

_GRANTS: Final = frozenset({Kind.PERMISSION_GRANTED, Kind.PERMISSION_EXTENDED})
_OPENING: Final = _GRANTS | {Kind.CASE_OPENED}
_JUDGED: Final = frozenset({CaseStatus.JUSTIFIED.value, CaseStatus.NOT_JUSTIFIED.value})
_CASE_ROWS: Final = frozenset({Kind.CASE_OPENED, Kind.CASE_MOVED})


def events_of(rows: Sequence[Numbered], proven: int, period: Period, erased: Mapping[int, Gone]) -> tuple[Event, ...]:
    """All events within the period, in order, numbered from 1. The first `proven` rows are proven.

    `erased` has the number of each erased row. An erased stretch has no moment of its own, and is told whatever the
    period.
    """
    context = _context([one.row for one in rows if one.row is not None], max(erased, default=0))
    events = [_event(group, context, proven, erased) for group in grouped(rows)]
    listed = [event for event in events if event.at is None or period.holds(event.at)]
    return tuple(msgspec.structs.replace(event, number=place) for place, event in enumerate(listed, 1))


def _context(rows: Sequence[Row], last_erased: int) -> Context:
    reasons = {row.permission: row.reason_code for row in rows if row.permission and row.reason_code}
    holders = {row.permission: name_of(row) for row in rows if row.permission and row.kind in _GRANTS}
    cases = {case: _kind(row) for row in rows if row.kind in _OPENING for case in row.cases}
    judged = {case for row in rows if row.kind is Kind.CASE_MOVED and _judges(row) for case in row.cases}
    return Context(reasons, holders, cases, frozenset(judged), last_erased)


def _judges(row: Row) -> bool:
    return row.detail.rpartition(" -> ")[2] in _JUDGED


def _kind(row: Row) -> str:
    """Of the cases that a row opened, where the row can open one kind alone: a permission is looked into for the basis
    it has, and what is looked into later is what was missing."""
    return (CaseKind.NO_RELATIONSHIP if row.kind is Kind.CASE_OPENED else CaseKind.BEST_INTERESTS).value


def _event(group: Group, context: Context, proven: int, erased: Mapping[int, Gone]) -> Event:
    is_proven = group.numbers[-1] <= proven
    if not group.rows:
        return _erased(group, [erased[number] for number in group.numbers], is_proven)
    row = group.rows[0]
    parts = told(group, context)
    to_officer = row.kind not in _CASE_ROWS and any(tells(one, context) for one in group.rows)
    parts["text"] = " ".join([*parts["text"].split(), *(["A privacy officer was asked to check this."] * to_officer)])
    return Event(
        number=0,
        rows=group.numbers,
        at=row.at,
        when=when(row.at),
        who=person(row.who) if parts["what"] is not What.CHECK else None,
        officer_told=to_officer,
        proven=is_proven,
        **parts,
    )


def _erased(group: Group, erased: Sequence[Gone], is_proven: bool) -> Event:
    before, on = day_of(max(one.before for one in erased)), day_of(max(one.on for one in erased))
    lines = f"{counted(len(erased), 'line')} from before {before} {'was' if len(erased) == 1 else 'were'} erased"
    text = f"{lines} on {on}. Old lines are not kept for ever."
    return Event(
        number=0, rows=group.numbers, what=What.ERASED, at=None, when=f"before {before}", text=text, proven=is_proven
    )
