"""The report, made of nothing but the proof, the NHS number, the period and the time: so that it can be made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from gateway.audit.report.erased import Gone
from gateway.audit.report.events import events_of
from gateway.audit.report.glance import by_organisation, glance
from gateway.audit.report.groups import Numbered
from gateway.audit.report.model import FORMAT, Event, Patient, Period, Proof, Report
from gateway.audit.report.moments import when
from gateway.audit.report.words import counted

TITLE: Final = "Who looked at your record"


def assemble(
    proof: Proof,
    rows: Sequence[Numbered],
    patient: Patient,
    period: Period,
    made: datetime,
    up_to: datetime,
    erased: Mapping[int, Gone],
) -> Report:
    """`rows` are what `proof.rows` hold, opened; `up_to` is the signed checkpoint's time."""
    events = events_of(rows, proof.count, period, erased)
    return Report(
        format=FORMAT,
        title=TITLE,
        patient=patient,
        made=made,
        up_to=up_to,
        period=period,
        introduction=_introduction(period, up_to, events),
        glance=glance(events, is_all=period.is_all),
        organisations=by_organisation(events),
        events=events,
        complete=complete(proof.count, up_to),
        proof=proof,
    )


def complete(count: int, up_to: datetime) -> str:
    """What the proof proves of the first `count` rows. It speaks of the journal, whatever the report's period."""
    if not count:
        return f"The journal holds nothing about this patient up to {when(up_to)}; nobody looked."
    rows = "This 1 row is" if count == 1 else f"These {count:,} rows are"
    return f"{rows} all that the journal holds about this patient up to {when(up_to)}; nobody else looked."


def _introduction(period: Period, up_to: datetime, events: Sequence[Event]) -> tuple[str, ...]:
    told = [
        "Connect Care lets staff who care for you look at your record. Each time, it writes down who looked, and why.",
        f"This is the list of all that it wrote down about you, up to {when(up_to)}. It does not say what is in your "
        "record.",
    ]
    if not period.is_all:
        told.append(f"You asked for a part of the list only: {_span(period)}.")
    later = sum(not event.proven for event in events)
    if later:
        told.append(
            f"{counted(later, 'line')} at the end {'is' if later == 1 else 'are'} new, and can't be proven yet. Ask "
            "for a new report later."
        )
    told.append("Did somebody look who should not have? Tell your GP practice, or the privacy officer of the place.")
    return tuple(told)


def _span(period: Period) -> str:
    start = f"from {when(period.since)}" if period.since else ""
    end = f"to {when(period.until)}" if period.until else ""
    return " ".join(filter(None, (start, end)))
