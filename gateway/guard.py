"""Step 7: is every item this patient's? Well-shaped? Within bounds? What is not is dropped, counted and alarmed.

An aggregator that shows one patient's data to another's clinician is the failure that matters most here (VA.gov #3271;
"Playing with FHIR", 2021). So the source's word is never enough: its one Patient must carry the NHS number that was
asked for, every resource must say that it is about that Patient, and no resource may speak of another. One resource
about somebody else, and nothing of that source is used for this request: its search can't be trusted. A resource that
doesn't say whom it is about is dropped alone, and its section can't be read as complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.sdk.bundle import MAX_ENTRIES, examine
from connectors.sdk.errors import TooMuch
from connectors.sdk.model import (
    SECTION_OF_TYPE,
    SUPPORTING_TYPES,
    Answer,
    Ask,
    Findings,
    Gap,
    Item,
    Outcome,
    Resource,
    Section,
)
from connectors.sdk.nhs_number import same_number
from gateway.audit.row import Alarm
from gateway.patient_names import PatientNames, carries, own_url

WRONG_PATIENT: Final = "wrong-patient"
NO_PATIENT: Final = "no-patient"
TOO_MUCH: Final = "too-much"
UNREADABLE: Final = "unreadable"
KINDS: Final = (WRONG_PATIENT, NO_PATIENT, TOO_MUCH, UNREADABLE)
"""Of alarms: every one that the guard raises."""
TOLD_QUARANTINED: Final = "sent something that could not be proven to be about this patient, so nothing of it is shown"
TOLD_DROPPED: Final = "sent something that does not say which patient it is about, which is not shown"

_SUBJECT_OF: Final = {"AllergyIntolerance": "patient", "Immunization": "patient"}
_ABOUT: Final = ("subject", "patient")
_SUBJECTS_OF_SPECIMENS: Final = frozenset({"Device", "Substance", "Location"})
_FOCUS_ON_A_THING: Final = frozenset(
    {"Condition", "Device", "Encounter", "MedicationRequest", "Observation", "Specimen"}
)
"""What an Observation may focus on and still tell of its subject: not a donor, a fetus or a relative."""


@dataclass(slots=True)
class Guarded:
    """The answers without what can't be trusted, and the alarms that were raised."""

    answers: list[Answer]
    alarms: list[Alarm] = field(default_factory=list)


def guard(answers: Iterable[Answer], asks: Mapping[str, Ask], address_of: Callable[[str], str]) -> Guarded:
    """Check every answer. `address_of` gives a source's base address, to recognise its own absolute references.

    Raises nothing for what a source sent: what can't be read can't be vouched for either.
    """
    guarded = Guarded([])
    for answer in answers:
        guarded.answers.append(answer)
        if answer.items or answer.outcome in (Outcome.ANSWERED, Outcome.PARTIAL):
            guarded.alarms.extend(_check(answer, asks[answer.source], address_of(answer.source)))
    return guarded


def _check(answer: Answer, ask: Ask, address: str) -> list[Alarm]:
    try:
        if len(answer.items) > 2 * MAX_ENTRIES:
            raise TooMuch("items over the cap")
        return _judge(answer, ask, address)
    except TooMuch as error:
        alarm = Alarm(source=answer.source, kind=TOO_MUCH, count=len(answer.items))
        _quarantine(answer, ask, Gap.TOO_MUCH, TooMuch.told, str(error))
        return [alarm]
    except Exception as error:  # a shape that no check foresaw: nothing of it may pass, nobody else may suffer
        _quarantine(answer, ask, Gap.IDENTITY_ALARM, TOLD_QUARANTINED, f"unreadable: {type(error).__name__}")
        return [Alarm(source=answer.source, kind=UNREADABLE, count=1)]


def _judge(answer: Answer, ask: Ask, address: str) -> list[Alarm]:
    for item in answer.items:
        # A merged hospital record links to the numbers that it replaced: the same person by the source's own word, who
        # is neither shown nor proof of anything. Left in, every merged record would look like somebody else's.
        linked = item.type == "Patient" and item.resource.pop("link", None) is not None
        if not item.type:
            raise ValueError("a resource without a type")
        if item.findings is None or linked:
            item.findings, _ = examine(item.resource)
    names = _names_of(answer.items, ask.nhs_number, address)
    strangers = sum(_speaks_of_another(item, names) for item in answer.items)
    if strangers or not names.known:
        kind, count = (WRONG_PATIENT, strangers) if strangers else (NO_PATIENT, 1)
        _quarantine(answer, ask, Gap.IDENTITY_ALARM, TOLD_QUARANTINED, f"{kind}: {count}")
        return [Alarm(source=answer.source, kind=kind, count=count)]
    return _drop_unproven(answer, names)


def _names_of(items: Iterable[Item], nhs_number: str, address: str) -> PatientNames:
    """How this source names the patient; nobody is known where none of its Patients carries the NHS number, or where
    two do: one of them may be somebody else's record with a wrong number, and nobody guesses."""
    proven = [item for item in items if item.type == "Patient" and carries(item.resource, nhs_number)]
    known: set[str] = set()
    if len({item.key for item in proven}) == 1:
        for item in proven:
            url = own_url(item)
            known |= {item.key, f"{address.rstrip('/')}/{item.key}", *([url] if url else [])}
    return PatientNames(nhs_number, frozenset(known))


def _speaks_of_another(item: Item, names: PatientNames) -> bool:
    """True for a Patient that isn't this one, another NHS number, or a reference to another Patient."""
    findings = _findings(item)
    nhs_number = names.nhs_number
    if item.type == "Patient" and not (item.key in names.known and carries(item.resource, nhs_number)):
        return True
    for number in findings.nhs_numbers:
        if not same_number(number, nhs_number):
            return True
    if "contained" in item.resource and not all(
        carries(part, nhs_number) for part in _contained(item.resource) if part.get("resourceType") == "Patient"
    ):
        return True
    return any(map(names.is_other, findings.references))


def _contained(resource: Resource) -> list[Resource]:
    """The contained resources, also those that FHIR forbids: contained in a contained one."""
    parts: list[Resource] = list(resource.get("contained", ()))
    for part in parts:
        parts.extend(part.get("contained", ()))
    return parts


def _quarantine(answer: Answer, ask: Ask, gap: Gap, told: str, detail: str) -> None:
    answer.items = []
    answer.warnings = []
    answer.outcome = Outcome.FAILED
    answer.gaps = dict.fromkeys(sorted(ask.sections), gap)
    answer.told = told
    answer.detail = "; ".join(filter(None, (answer.detail, detail)))


def _drop_unproven(answer: Answer, names: PatientNames) -> list[Alarm]:
    """Drop items that don't say whom they are about; their section can't be read as complete any more."""
    kept: list[Item] = []
    dropped: list[Item] = []
    for item in answer.items:
        (kept if _is_proven(item, names) else dropped).append(item)
    if not dropped:
        return []
    answer.items = kept
    for item in dropped:
        section = SECTION_OF_TYPE.get(item.type, item.section)
        if section is not None:
            answer.gaps.setdefault(section, Gap.HELD_BACK)
            answer.outcome = Outcome.PARTIAL
            answer.told = answer.told or TOLD_DROPPED
    return [Alarm(source=answer.source, kind=NO_PATIENT, count=len(dropped))]


def _is_proven(item: Item, names: PatientNames) -> bool:
    """True for an item of a kind that the record knows, in its own section, that is about the patient or explains."""
    kind = item.type
    if not item.original_id or item.section is not SECTION_OF_TYPE.get(kind):
        return False
    if item.section is Section.DEMOGRAPHICS:
        return True
    if item.section is None:
        return kind in SUPPORTING_TYPES and _may_explain(item.resource, names)
    return _is_about(item, names) and _says_nothing_else(item, names)


def _is_about(item: Item, names: PatientNames) -> bool:
    resource = item.resource
    if item.type == "Appointment":
        actors = [participant.get("actor", {}) for participant in resource.get("participant", ())]
        return any(names.is_named_by(actor, resource) for actor in actors)
    subject = resource.get(_SUBJECT_OF.get(item.type, "subject"))
    return subject is not None and names.is_named_by(subject, resource)


def _says_nothing_else(item: Item, names: PatientNames) -> bool:
    """No part of it is about something other than the patient: neither its focus, nor a Patient without a number, nor
    what is contained in it."""
    resource = item.resource
    for reference in _findings(item).logical:
        if not names.is_named_by(reference, resource):
            return False
    for focus in resource.get("focus", ()) if item.type == "Observation" else ():
        if not (names.is_named_by(focus, resource) or _leads_to(focus) in _FOCUS_ON_A_THING):
            return False
    return "contained" not in resource or all(
        names.is_named_by(part[name], resource)
        for part in _contained(resource)
        if part.get("resourceType") in SECTION_OF_TYPE
        for name in _ABOUT
        if name in part
    )


def _may_explain(resource: Resource, names: PatientNames) -> bool:
    """A supporting resource that belongs to a person (a Specimen, a Device) belongs to this one."""
    return all(
        names.is_named_by(resource[name], resource) or _leads_to(resource[name]) in _SUBJECTS_OF_SPECIMENS
        for name in _ABOUT
        if name in resource
    )


def _leads_to(reference: dict[str, Any]) -> str:
    """The type of the target, by the reference's own path: `Device` of `https://x/fhir/Device/1`."""
    path = str(reference.get("reference", "")).partition("/_history/")[0]
    return path.rpartition("/")[0].rpartition("/")[2]


def _findings(item: Item) -> Findings:
    if item.findings is None:
        raise AssertionError("the guard examines every item first")
    return item.findings
