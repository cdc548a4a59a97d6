"""Whether what the sources just said shows a care relationship between caller and patient: one word for each look.

It reads the merged record before policy hides any of it, and only the word leaves: never an item, a date or a place.
A section that wasn't asked for, or that didn't come whole, proves no absence; the word says which it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from connectors.sdk.model import ODS_SYSTEM, Item, Section
from connectors.sdk.objects import objects_or_one
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Caller
from gateway.merge import Record
from gateway.patient_names import HISTORY
from gateway.search.dates import BEGINNING, END, Span, beginning, span

_LONDON: Final = ZoneInfo("Europe/London")
_SHOWN_BY: Final = frozenset({Section.CONTACTS, Section.CARE_TEAM})
"""Sections that tell of an attendance, an appointment or an allocation."""
_OPEN: Final = frozenset({"arrived", "triaged", "in-progress", "onleave"})
_EXPECTED: Final = frozenset({"booked", "arrived", "checked-in", "fulfilled", "noshow"})
"""Appointments that stand, or stood: who didn't come is followed up. Not what is proposed, waits or was cancelled."""
_DAYS_BACK: Final = 1
_PARTS_OF: Final = 5
"""How far up an organisation's `partOf` is followed: a team, its service, its directorate, the trust."""
_SITE_LENGTHS: Final = {3: 5, 6: 9}
"""A trust's site is its code and two characters (RJ2: RJ211); a practice's branch is its code and three digits."""


class Evidence(StrEnum):
    """The word that a row keeps. The first four show a relationship."""

    REGISTERED = "registered"
    ATTENDANCE = "attendance"
    APPOINTMENT = "appointment"
    ALLOCATION = "allocation"
    SELF_CLAIMED = "self-claimed"
    """What could have shown one was asked, came whole, and shows none: there is the caller's own word alone."""
    NOT_ASKED = "not-asked"
    """Nothing shows one, and the look wasn't about what could have: looked into later (`gateway.desk.follow_up`)."""
    NOT_ANSWERED = "not-answered"
    """Nothing shows one, and what could have didn't come whole."""
    NOT_CONNECTED = "not-connected"
    """Nothing shows one, and the caller's organisation has no system here that could."""

    @property
    def is_shown(self) -> bool:
        """True where the sources bear it out."""
        return self in _BORNE_OUT


_BORNE_OUT: Final = frozenset({Evidence.REGISTERED, Evidence.ATTENDANCE, Evidence.APPOINTMENT, Evidence.ALLOCATION})


def evidence(record: Record, caller: Caller, offered: frozenset[Section], now: datetime) -> Evidence:
    """What of the record bears out that the caller's organisation cares for the patient, or why nothing does.

    `offered` are the sections that the caller's organisation offers as a live source; empty where it is none. Raises
    nothing for what a source sent: what isn't as R4 has it is no evidence.
    """
    own = caller.organisation
    if record.registered_practice == own:
        return Evidence.REGISTERED
    places, times = _Places(record, own), _Times(now)
    shown = {word for item in record.items if (word := _shown_by(item, places, times))}
    for word in (Evidence.ATTENDANCE, Evidence.APPOINTMENT, Evidence.ALLOCATION):
        if word in shown:
            return word
    return _absent(record, caller, offered)


def _shown_by(item: Item, places: _Places, times: _Times) -> Evidence | None:
    word = _says(item, times)
    return word if word and places.is_own(item, list(_organisations_of(item.type, item.resource))) else None


def _says(item: Item, times: _Times) -> Evidence | None:
    """What an item would show, at whichever organisation."""
    resource, status = item.resource, item.resource.get("status")
    if not isinstance(status, str):
        return None
    if item.type == "Encounter" and status in _OPEN:
        return Evidence.ATTENDANCE if times.now_within(resource.get("period")) else None
    if item.type == "Encounter" and status == "planned":
        return Evidence.APPOINTMENT if times.is_near(_member(resource, "period", "start")) else None
    if item.type == "Appointment" and status in _EXPECTED:
        return Evidence.APPOINTMENT if times.is_near(resource.get("start")) else None
    if item.type == "CareTeam" and status == "active":
        return Evidence.ALLOCATION if times.now_within(resource.get("period")) else None
    return None


def _organisations_of(kind: str, resource: dict[str, Any]) -> Iterator[Any]:
    """The references of an item that lead to the organisation where it takes place, or to a place of it."""
    if kind == "Encounter":
        yield resource.get("serviceProvider")
    elif kind == "Appointment":
        yield from (one.get("actor") for one in objects_or_one(resource.get("participant")))
    else:
        yield from objects_or_one(resource.get("managingOrganization"))
        for one in objects_or_one(resource.get("participant")):
            yield from (one.get("member"), one.get("onBehalfOf"))


class _Times:
    """What is now, and what is near, on the clock of one look."""

    def __init__(self, now: datetime) -> None:
        yesterday = now.astimezone(_LONDON).date() - timedelta(days=_DAYS_BACK)
        self._now = _instant(now)
        self._near = _instant(datetime.combine(yesterday, time.min, _LONDON))

    def now_within(self, period: Any) -> bool:
        """True unless the period has ended or has not begun. An end that is a day holds until that day is over."""
        start, end = (_read(_member(period, name)) for name in ("start", "end"))
        return (start is None or start.low <= self._now) and (end is None or self._now < end.high)

    def is_near(self, start: Any) -> bool:
        """True for what begins at any time from the beginning of yesterday in London on."""
        begins = span(start)
        return begins is not None and begins.low >= self._near


def _read(value: Any) -> Span | None:
    """What a date covers; nothing at all for a date that can't be read: what may have ended has."""
    if value is None:
        return None
    return span(value) or Span(END, BEGINNING)


def _instant(moment: datetime) -> int:
    at = beginning(moment.astimezone(UTC).isoformat(timespec="microseconds"))
    return BEGINNING if at is None else at


class _Places:
    """Which organisation a reference of the record leads to, by ODS code."""

    def __init__(self, record: Record, own: str) -> None:
        self._record = record
        self._own = own
        self._by_source: dict[tuple[str, str], Item] | None = None

    def is_own(self, item: Item, references: list[Any]) -> bool:
        """True where one of the references leads to the caller's organisation; where none leads to any that can be
        told, it is that of the item's source."""
        codes = [code for reference in references for code in self._codes(item, reference)]
        return any(map(self._is_own_code, codes)) if codes else item.source == self._own

    def _is_own_code(self, code: str) -> bool:
        is_site = len(code) == _SITE_LENGTHS.get(len(self._own)) and code.startswith(self._own)
        return code == self._own or is_site

    def _codes(self, item: Item, reference: Any) -> list[str]:
        """The ODS codes that a reference leads to: its own, its target's, or those of what the target is part of."""
        for _ in range(_PARTS_OF):
            if found := _ods(_member(reference, "identifier")):
                return [found]
            target = self._target(item, _member(reference, "reference"))
            if target is None:
                return []
            if codes := _own_codes(target):
                return codes
            reference = _belongs_to(target)
        return []

    def _target(self, item: Item, target: Any) -> dict[str, Any] | None:
        if not isinstance(target, str):
            return None
        if target.startswith("#"):
            contained = objects_or_one(item.resource.get("contained"))
            return next((part for part in contained if part.get("id") == target[1:]), None)
        found = self._record.index.get(target) or self._of_source().get((item.source, HISTORY.sub("", target)))
        return found.resource if found else None

    def _of_source(self) -> dict[tuple[str, str], Item]:
        """Items by source, and by each way in which that source may refer to them. Merging rewrites those references
        alone that a reader may follow."""
        if self._by_source is None:
            supporting = [item for item in self._record.items if item.section is None]
            keys = {(item.source, item.key): item for item in supporting}
            self._by_source = keys | {(item.source, item.full_url): item for item in supporting if item.full_url}
        return self._by_source


def _own_codes(target: dict[str, Any]) -> list[str]:
    is_organisation = target.get("resourceType") == "Organization"
    return [code for one in objects_or_one(target.get("identifier")) if is_organisation and (code := _ods(one))]


def _belongs_to(target: dict[str, Any]) -> Any:
    """The reference from a place, a role or a team to the organisation that it is of."""
    names = {
        "Organization": "partOf",
        "Location": "managingOrganization",
        "PractitionerRole": "organization",
        "HealthcareService": "providedBy",
    }
    name = names.get(str(target.get("resourceType")))
    return target.get(name) if name else None


def _absent(record: Record, caller: Caller, offered: frozenset[Section]) -> Evidence:
    """Nothing shows a relationship: whether that means that there is none."""
    own = caller.organisation
    needed = offered & _SHOWN_BY
    if caller.organisation_type is OrganisationType.GP_PRACTICE:
        if record.standing.register is not None:
            return _not_registered(record, own)
        needed |= offered & {Section.DEMOGRAPHICS}
    if not needed:
        return Evidence.NOT_CONNECTED
    if needed - record.asked_of.get(own, frozenset()):
        return Evidence.NOT_ASKED
    if needed - record.whole.get(own, frozenset()):
        return Evidence.NOT_ANSWERED
    return Evidence.SELF_CLAIMED


def _not_registered(record: Record, own: str) -> Evidence:
    """A practice for which the register doesn't speak. It isn't asked at all: who is registered elsewhere is somebody
    else's patient. Where whereabouts are held back, or the register names several, nobody can say."""
    standing = record.standing
    named = {
        code
        for item in record.patients
        if item.source == standing.register
        for practice in objects_or_one(item.resource.get("generalPractitioner"))
        if (code := _ods(_member(practice, "identifier")))
    }
    is_open = standing.hold is not None or own in named
    return Evidence.NOT_ANSWERED if is_open else Evidence.SELF_CLAIMED


def _ods(identifier: Any) -> str:
    value = _member(identifier, "value")
    return value if _member(identifier, "system") == ODS_SYSTEM and isinstance(value, str) else ""


def _member(node: Any, *path: str) -> Any:
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    return node
