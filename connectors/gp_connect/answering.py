"""What became of the practice's resources: the Answer, its gaps and warnings, and an account of every resource."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from connectors.gp_connect import statements
from connectors.gp_connect.appointments import Booked, about, carries
from connectors.gp_connect.parameters import SERVED
from connectors.gp_connect.stu3 import Translated, translate
from connectors.sdk.errors import NoRecord, Refused, SourceError, SourceTimeout, TooMuch, Withheld, WrongContent
from connectors.sdk.model import (
    INCLUDED_BY,
    ODS_SYSTEM,
    SECTION_OF_TYPE,
    SUPPORTING_TYPES,
    Answer,
    Ask,
    Gap,
    Item,
    Outcome,
    Resource,
    Section,
    Traced,
)

INCLUDES: Final = frozenset(name for name in INCLUDED_BY if not name.startswith(("Appointment:", "CareTeam:")))
"""A structured record brings every organisation, person and place that its resources refer to (GP Connect, "Payload
response body"). The search for appointments brings none of those that its appointments name."""

NOT_ASKED: Final = "of a section that was not asked for: it came along with what was"


def answer(source: str, ask: Ask, record: list[Resource], booked: Booked | None, *, uncategorised: bool) -> Answer:
    """The Answer of a structured record and, where contacts were asked for, the appointments.

    Raises WrongContent for a Patient that can't be read: without one nothing is proven to be anybody's.
    """
    structured = ask.sections & SERVED
    translated = translate(_all(ask, record, booked))
    gaps = statements.gaps(translated.lists, statements.came_of(record), structured, uncategorised=uncategorised)
    _note_broken(gaps, translated, structured)
    if Section.CONTACTS in structured and booked is None:
        gaps.setdefault(Section.CONTACTS, (Gap.NOT_ASKED, "future appointments are not asked for here"))
    elif booked is not None and booked.error is not None:
        name = type(booked.error).__name__
        gaps.setdefault(Section.CONTACTS, (gap_of(booked.error), f"appointments: {name}: {booked.error}"))
    made = _made(source, ask, translated, gaps)
    made.warnings = statements.warnings(translated.lists, structured)
    return made


def of_patient(source: str, ask: Ask, patient: Resource) -> Answer:
    """The Answer of "Find a patient": demographics alone."""
    return _made(source, ask, translate([patient]), {})


def _all(ask: Ask, record: list[Resource], booked: Booked | None) -> list[Resource]:
    """What is translated. A Patient of the search who isn't the one goes along: the guard sees him, and alarms."""
    if booked is None or booked.patient is None:
        return record
    if not carries(booked.patient, ask.nhs_number):
        return [*record, booked.patient]
    patients = [one for one in record if one.get("resourceType") == "Patient"]
    if len(patients) == 1 and carries(patients[0], ask.nhs_number):
        about(booked.resources, str(booked.patient["id"]), str(patients[0].get("id", "")))
    return [*record, *booked.resources]


def _made(source: str, ask: Ask, translated: Translated, gaps: dict[Section, tuple[Gap, str]]) -> Answer:
    for section in ask.sections - SERVED - {Section.DEMOGRAPHICS}:
        gaps[section] = (Gap.NOT_ASKED, "GP Connect holds none of it")
    if translated.broken[Section.DEMOGRAPHICS]:
        raise WrongContent("the Patient can't be read")
    items, dropped = _items(source, ask.sections | {Section.DEMOGRAPHICS}, translated)
    _name_practice(source, items, structured=bool(ask.sections & SERVED))
    return Answer(
        source,
        Outcome.PARTIAL if gaps else Outcome.ANSWERED,
        items=items,
        gaps={section: gap for section, (gap, _) in gaps.items()},
        told="answered in part" if gaps else "",
        detail="; ".join(f"{section}: {why}" for section, (_, why) in sorted(gaps.items())),
        includes=INCLUDES,
        traced=[_accounted(one, dropped) for one in translated.traced],
    )


def _items(source: str, shown: frozenset[Section], translated: Translated) -> tuple[list[Item], frozenset[str]]:
    """The items, each in R4's shape by the translation's own check; and the keys of what wasn't asked for."""
    made = [
        Item(source, resource, SECTION_OF_TYPE.get(resource["resourceType"]), resource["id"])
        for resource in translated.resources
    ]
    items = [item for item in made if item.type in SUPPORTING_TYPES or item.section in shown]
    return items, frozenset(item.key for item in made) - frozenset(item.key for item in items)


def _accounted(traced: Traced, dropped: frozenset[str]) -> Traced:
    """The same account, without the resources that are no items."""
    kept = tuple(key for key in traced.became if key not in dropped)
    return traced if kept == traced.became else replace(traced, became=kept, reason=NOT_ASKED)


def _note_broken(gaps: dict[Section, tuple[Gap, str]], translated: Translated, sections: frozenset[Section]) -> None:
    """What couldn't be read leaves a gap in its section; what could be of any leaves one in each."""
    for section, count in translated.broken.items():
        for short in sections if section is None else {section} & sections:
            gaps.setdefault(short, (Gap.HELD_BACK, f"{count} resources could not be read"))


def _name_practice(source: str, items: Iterable[Item], *, structured: bool) -> None:
    """Let the Patient name the practice by its ODS code, where the practice's own word for it is certain.

    The specification puts the registered practice behind `generalPractitioner`; many systems put only the usual GP
    there. But a structured record exists only for a patient who is registered at the practice that answers ("The
    request is for the record of a non-Regular/GMS patient": PATIENT_NOT_FOUND), so then it is that practice. "Find a
    patient" also finds others, and says nothing of it.
    """
    held = list(items)
    practices = {item.key: code for item in held if item.type == "Organization" and (code := _ods_of(item.resource))}
    for patient in (item.resource for item in held if item.type == "Patient"):
        doctors = patient.setdefault("generalPractitioner", [])
        for reference in doctors:
            if (code := practices.get(reference.get("reference", ""))) and "identifier" not in reference:
                reference["identifier"] = {"system": ODS_SYSTEM, "value": code}
        named = any((one.get("identifier") or {}).get("system") == ODS_SYSTEM for one in doctors)
        if structured and not named and patient.get("active") is not False:
            doctors.append({"identifier": {"system": ODS_SYSTEM, "value": source}})
        if not doctors:
            del patient["generalPractitioner"]


def _ods_of(organisation: Resource) -> str | None:
    codes: list[Any] = [
        one.get("value") for one in organisation.get("identifier", ()) if one.get("system") == ODS_SYSTEM
    ]
    return str(codes[0]) if len(codes) == 1 and codes[0] else None


def gap_of(error: SourceError) -> Gap:
    """What an error of one part of the question leaves in its section."""
    kinds: tuple[tuple[type[SourceError], Gap], ...] = (
        (SourceTimeout, Gap.TIMED_OUT),
        (Withheld, Gap.WITHHELD_BY_SOURCE),
        (Refused, Gap.REFUSED),
        (TooMuch, Gap.TOO_MUCH),
        (NoRecord, Gap.HELD_BACK),
    )
    return next((gap for kind, gap in kinds if isinstance(error, kind)), Gap.FAILED)
