"""The top of the report: five questions that every patient has, answered from the events, and who looked, by place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from gateway.audit.report.model import Answer, Asked, ByOrganisation, Event, Looker, Person, What
from gateway.audit.report.words import ROLES, counted, listed, times
from gateway.caller.model import Role

_SHOWN = frozenset({What.LOOKED, What.FOUND})
_ASKED_FOR = frozenset({*_SHOWN, What.STARTED, What.REFUSED})


def glance(events: Sequence[Event], *, is_all: bool) -> tuple[Answer, ...]:
    """Who looked, why, what they saw, what was refused, and whether anybody looked unasked. `is_all` is False where the
    events are those of a part of the time: then nothing is said of the rest."""
    ever = "" if is_all else " in this time"
    looks = [event for event in events if event.what is What.LOOKED]
    found = [event for event in events if event.what is What.FOUND]
    given = [event for event in events if event.what is What.DISCLOSED]
    refused = [event for event in events if event.what is What.REFUSED and not is_own(event)]
    return (
        Answer(
            question="Who looked at me?", answer=(*_who(looks, ever), *_by_name(found), *_got(given), *_unknown(events))
        ),
        Answer(question="Why did they look?", answer=_why([*looks, *found], given)),
        Answer(question="What did they see?", answer=_what([*looks, *found], given)),
        Answer(question="Was anybody stopped?", answer=_stopped(refused, ever)),
        Answer(question="Did anybody look without asking me?", answer=_unasked(looks, found, given, ever)),
    )


def by_organisation(events: Sequence[Event]) -> tuple[ByOrganisation, ...]:
    """Who looked, was stopped or found the patient, by organisation and person, in alphabetical order."""
    people: dict[str, dict[Person, list[Event]]] = {}
    for event in events:
        if event.who is not None and event.what in _ASKED_FOR and not is_own(event):
            people.setdefault(event.who.organisation, {}).setdefault(event.who, []).append(event)
    return tuple(
        ByOrganisation(
            organisation=organisation,
            people=tuple(_looker(who, theirs[who]) for who in sorted(theirs, key=lambda who: (who.name, who.role))),
        )
        for organisation, theirs in sorted(people.items())
    )


def is_own(event: Event) -> bool:
    """Whether the patient did it themselves, on their own pages: nobody looked, and nobody was stopped."""
    return event.who is not None and event.who.role == ROLES[Role.PATIENT]


def _looker(who: Person, events: Sequence[Event]) -> Looker:
    shown = [event for event in events if event.what in _SHOWN]
    return Looker(
        name=who.name,
        role=who.role,
        looked=len(shown),
        not_shown=len(events) - len(shown),
        best_interests=sum(event.asked is Asked.BEST_INTERESTS for event in shown),
        first=events[0].when,
        last=events[-1].when,
        saw=_kinds(shown),
    )


def _kinds(events: Iterable[Event]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(saw.what for event in events for saw in event.saw))


def _people(events: Iterable[Event]) -> list[str]:
    """`Dr Ada Obi, a GP at The Surgery (3 times)`."""
    counts = Counter(event.who for event in events if event.who is not None)
    return [f"{who.name}, {who.role} at {who.organisation} ({times(count)})" for who, count in counts.items()]


def _who(looks: Sequence[Event], ever: str) -> tuple[str, ...]:
    if not looks:
        return (f"Nobody looked at your record{ever}.",)
    people = _people(looks)
    return (f"{counted(len(people), 'person', 'people')} looked at your record:", *people)


def _by_name(found: Sequence[Event]) -> tuple[str, ...]:
    return tuple(f"Searched by name and found you: {someone}" for someone in _people(found))


def _got(given: Sequence[Event]) -> tuple[str, ...]:
    return tuple(
        f"Was given a copy, because {event.law.ground}: {event.law.recipient or 'somebody else'}"
        for event in given
        if event.law is not None
    )


def _why(shown: Sequence[Event], given: Sequence[Event]) -> tuple[str, ...]:
    counts = Counter(event.why for event in shown)
    told = [f"{why} ({times(count)})" for why, count in counts.items()]
    told += [f"Because {event.law.ground}. (once)" for event in given if event.law is not None]
    return tuple(told) or ("Nobody looked.",)


def _what(shown: Sequence[Event], given: Sequence[Event]) -> tuple[str, ...]:
    kinds = _kinds([*shown, *given])
    if kinds:
        return (f"They saw {listed(kinds)}.",)
    return ("Nothing was shown to anybody.",)


def _stopped(refused: Sequence[Event], ever: str) -> tuple[str, ...]:
    if not refused:
        return (f"No. Nobody was stopped{ever}.",)
    counts = Counter(event.refused_because for event in refused)
    return (
        f"Yes. Somebody was not shown anything {times(len(refused))}:",
        *(f"because {because} ({times(count)})" for because, count in counts.items()),
    )


def _unknown(events: Sequence[Event]) -> tuple[str, ...]:
    return tuple(
        f"We can't say who looked {event.when}: old lines were erased."
        for event in events
        if event.what is What.ERASED and event.at is None
    )


def _unasked(looks: Sequence[Event], found: Sequence[Event], given: Sequence[Event], ever: str) -> tuple[str, ...]:
    best = [event for event in looks if event.asked is Asked.BEST_INTERESTS]
    unknown = [event for event in looks if event.asked is Asked.NOT_SAID]
    told = [f"Yes, in your best interests. {event.text}" for event in best]
    told += [f"Yes, because the law says so. {event.text}" for event in given]
    told += [f"We can't tell. {event.text}" for event in unknown]
    if not told:
        told = [f"No. Nobody looked at your record without asking you first{ever}."]
    if found:
        told.append(f"Also, somebody searched by name and found you {times(len(found))}. This needs no yes from you.")
    return tuple(told)
