"""The access report as a patient's own page shows it: the most asked question first, the newest lines first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.audit.report.as_html import tags_of
from gateway.audit.report.glance import is_own
from gateway.audit.report.model import Answer, Asked, ByOrganisation, Event, Looker, Report, What
from gateway.audit.report.moments import number_of, when
from gateway.audit.report.words import OTHER_PLACE, listed, times

MOST_LINES: Final = 100
_UNASKED: Final = frozenset({Asked.BEST_INTERESTS, Asked.LAW, Asked.NOT_SAID})
_SHOWN: Final = frozenset({What.LOOKED, What.DISCLOSED})


@dataclass(frozen=True, slots=True)
class Line:
    """One event. `tags` are set apart: a kind, for the style, and the words."""

    when: str
    text: str
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Unasked:
    """Whether anybody looked without asking: the question, and the answer in a sentence or as lines, newest first."""

    question: str
    answer: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class ToldPerson:
    """One person's doings: what each is called, and what is said of it."""

    name: str
    job: str
    said: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """The people of one organisation."""

    name: str
    people: tuple[ToldPerson, ...]


@dataclass(frozen=True, slots=True)
class ToldLooks:
    """`glance` are the questions besides `unasked`. `own` is how often the patient read their own pages, where that has
    no line here; `older` is how many lines there are besides."""

    nhs_number: str
    made: str
    up_to: str
    unasked: Unasked
    glance: tuple[Answer, ...]
    places: tuple[Place, ...]
    lines: tuple[Line, ...]
    own: str
    older: int
    complete: str
    key: str


def told_looks(report: Report, most: int | None = MOST_LINES) -> ToldLooks:
    """`most` is how many lines are shown at most; None: all, and those of the patient's own reading too."""
    *glance, unasked = report.glance
    others = [event for event in report.events if not (event.what is What.AUDIT_READ and is_own(event))]
    own = 0 if most is None else len(report.events) - len(others)
    lines = tuple(map(_line, reversed(report.events if most is None else others)))
    return ToldLooks(
        nhs_number=number_of(report.patient.nhs_number),
        made=when(report.made),
        up_to=when(report.up_to),
        unasked=_unasked(unasked, report),
        glance=tuple(glance),
        places=tuple(map(_place, report.organisations)),
        lines=lines[:most],
        own=times(own) if own else "",
        older=len(lines) - len(lines[:most]),
        complete=report.complete,
        key=report.proof.key,
    )


def _unasked(answer: Answer, report: Report) -> Unasked:
    """The report's own sentence where nobody did; else who did, when and why, a line each."""
    events = [event for event in report.events if event.what in _SHOWN and event.asked in _UNASKED]
    if not events:
        return Unasked(answer.question, " ".join(answer.answer), ())
    return Unasked(answer.question, f"Yes, {times(len(events))}.", tuple(map(_brief, reversed(events))))


def _brief(event: Event) -> Line:
    who = event.who
    name = ", ".join(filter(None, (who.name, who.role))) if who else "Somebody"
    place = f" at {who.organisation}" if who and who.organisation else ""
    checked = " A privacy officer was asked to check this." if event.officer_told else ""
    return Line(event.when, f"{name}{place}. {event.permission}{checked}", ())


def _line(event: Event) -> Line:
    return Line(event.when, event.text, tuple(tags_of(event)))


def _place(one: ByOrganisation) -> Place:
    return Place(one.organisation or OTHER_PLACE, tuple(map(_person, one.people)))


def _person(looker: Looker) -> ToldPerson:
    best = f" ({times(looker.best_interests)} in your best interests)" if looker.best_interests else ""
    first, last = looker.first, looker.last
    said = (
        ("Looked", f"{times(looker.looked)}{best}" if looker.looked else "never"),
        ("Stopped, or saw nothing", times(looker.not_shown) if looker.not_shown else ""),
        ("Saw", listed(looker.saw)),
        ("When", f"from {first} to {last}" if first != last else first),
    )
    return ToldPerson(looker.name, looker.role, tuple((term, told) for term, told in said if told))
