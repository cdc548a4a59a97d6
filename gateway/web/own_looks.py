"""The access report as a patient's own page shows it: the most asked question first, the newest lines first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.audit.report.as_html import tags_of
from gateway.audit.report.glance import is_own
from gateway.audit.report.model import Answer, ByOrganisation, Event, Looker, Report, What
from gateway.audit.report.moments import number_of, when
from gateway.audit.report.words import OTHER_PLACE, listed, times

MOST_LINES: Final = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One event. `tags` are set apart: a kind, for the style, and the words."""

    when: str
    text: str
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ToldPerson:
    """One person's doings, in words."""

    name: str
    job: str
    looked: str
    stopped: str
    saw: str
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Place:
    """The people of one organisation."""

    name: str
    people: tuple[ToldPerson, ...]


@dataclass(frozen=True, slots=True)
class ToldLooks:
    """`unasked` is whether anybody looked without asking, `glance` the other questions. `own` is how often the patient
    read their own pages, which has no line here; `older` is how many lines there are besides."""

    nhs_number: str
    made: str
    up_to: str
    unasked: Answer
    glance: tuple[Answer, ...]
    places: tuple[Place, ...]
    lines: tuple[Line, ...]
    own: int
    older: int
    complete: str
    key: str


def told_looks(report: Report, most: int | None = MOST_LINES) -> ToldLooks:
    """`most` is how many lines are shown at most; None: all, and those of the patient's own reading too."""
    *glance, unasked = report.glance
    others = [event for event in report.events if not (event.what is What.AUDIT_READ and is_own(event))]
    lines = tuple(map(_line, reversed(report.events if most is None else others)))
    return ToldLooks(
        nhs_number=number_of(report.patient.nhs_number),
        made=when(report.made),
        up_to=when(report.up_to),
        unasked=unasked,
        glance=tuple(glance),
        places=tuple(map(_place, report.organisations)),
        lines=lines[:most],
        own=len(report.events) - len(others),
        older=len(lines) - len(lines[:most]),
        complete=report.complete,
        key=report.proof.key,
    )


def _line(event: Event) -> Line:
    return Line(event.when, event.text, tuple(tags_of(event)))


def _place(one: ByOrganisation) -> Place:
    return Place(one.organisation or OTHER_PLACE, tuple(map(_person, one.people)))


def _person(looker: Looker) -> ToldPerson:
    best = f", {times(looker.best_interests)} in your best interests" if looker.best_interests else ""
    return ToldPerson(
        name=looker.name,
        job=looker.role,
        looked=times(looker.looked) + best if looker.looked else "never",
        stopped=times(looker.not_shown) if looker.not_shown else "never",
        saw=listed(looker.saw) or "nothing",
        first=looker.first,
        last=looker.last,
    )
