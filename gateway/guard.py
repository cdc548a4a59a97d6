"""Step 7: is every item this patient's? Well-shaped? Within bounds? What is not is dropped, counted and alarmed.

An aggregator that shows one patient's data to another's clinician is the failure that matters most here (VA.gov #3271;
"Playing with FHIR", 2021). So the source's word is never enough: its Patient must carry the NHS number that was asked
for, every resource must say that it is about that Patient, and no resource may speak of another. One resource about
somebody else, and nothing of that source is used for this request: its search can't be trusted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.sdk.bundle import MAX_ENTRIES, examine
from connectors.sdk.model import NHS_NUMBER_SYSTEM, Answer, Ask, Findings, Gap, Item, Outcome, Section
from gateway.audit.row import Alarm

WRONG_PATIENT: Final = "wrong-patient"
NO_PATIENT: Final = "no-patient"
TOLD_QUARANTINED: Final = "sent something that could not be proven to be about this patient, so nothing of it is shown"

_PATIENT_ELEMENT: Final = {"AllergyIntolerance": "patient", "Immunization": "patient"}
_HISTORY: Final = re.compile(r"/_history/[^/]+$")
_TO_PATIENT: Final = re.compile(r"(?:^|/)Patient/[^/]+$")


@dataclass(slots=True)
class Guarded:
    """The answers without what can't be trusted, and the alarms that were raised."""

    answers: list[Answer]
    alarms: list[Alarm] = field(default_factory=list)


def guard(answers: Iterable[Answer], asks: Mapping[str, Ask], address_of: Callable[[str], str]) -> Guarded:
    """Check every answer. `address_of` gives a source's base address, to recognise its own absolute references."""
    guarded = Guarded([])
    for answer in answers:
        guarded.answers.append(answer)
        if answer.items:
            guarded.alarms.extend(_check(answer, asks[answer.source], address_of(answer.source)))
    return guarded


def _check(answer: Answer, ask: Ask, address: str) -> list[Alarm]:
    nhs_number = ask.nhs_number
    for item in answer.items:
        if item.findings is None:
            item.findings, _ = examine(item.resource)
    known = _known_addresses(answer.items, nhs_number, address)
    strangers = sum(_speaks_of_another(item, nhs_number, known) for item in answer.items)
    if strangers or not known or len(answer.items) > 2 * MAX_ENTRIES:
        _quarantine(answer, ask)
        return [Alarm(source=answer.source, kind=WRONG_PATIENT, count=max(strangers, 1))]
    return _drop_unproven(answer, nhs_number, known)


def _known_addresses(items: Iterable[Item], nhs_number: str, address: str) -> frozenset[str]:
    """Every way in which this source may refer to the patient: empty where no Patient carries the NHS number."""
    known: set[str] = set()
    for item in items:
        if item.section is Section.DEMOGRAPHICS and _carries(item.resource, nhs_number):
            known |= {item.key, f"{address.rstrip('/')}/{item.key}"}
            if item.full_url:
                known.add(item.full_url)
    return frozenset(known)


def _carries(patient: dict[str, Any], nhs_number: str) -> bool:
    return any(
        identifier.get("system") == NHS_NUMBER_SYSTEM and identifier.get("value") == nhs_number
        for identifier in patient.get("identifier", ())
    )


def _speaks_of_another(item: Item, nhs_number: str, known: frozenset[str]) -> bool:
    """True for a Patient that isn't this one, another NHS number, or a reference to another Patient."""
    findings = _findings(item)
    if item.section is Section.DEMOGRAPHICS and item.key not in known:
        return True
    if findings.nhs_numbers - {nhs_number}:
        return True
    return any(_is_other_patient(reference, known) for reference in findings.references)


def _is_other_patient(reference: dict[str, Any], known: frozenset[str]) -> bool:
    target = reference["reference"]
    if not isinstance(target, str) or target.startswith("#"):
        return not isinstance(target, str)
    plain = _HISTORY.sub("", target)
    return plain not in known and (bool(_TO_PATIENT.search(plain)) or reference.get("type") == "Patient")


def _quarantine(answer: Answer, ask: Ask) -> None:
    answer.items = []
    answer.warnings = []
    answer.outcome = Outcome.FAILED
    answer.gaps = dict.fromkeys(sorted(ask.sections), Gap.IDENTITY_ALARM)
    answer.told = TOLD_QUARANTINED


def _drop_unproven(answer: Answer, nhs_number: str, known: frozenset[str]) -> list[Alarm]:
    """Drop items that don't say whom they are about; their section can't be read as complete any more."""
    kept: list[Item] = []
    dropped = 0
    for item in answer.items:
        if item.section in (None, Section.DEMOGRAPHICS) or _is_about(item, nhs_number, known):
            kept.append(item)
        else:
            dropped += 1
            answer.gaps[item.section] = Gap.HELD_BACK
    answer.items = kept
    if not dropped:
        return []
    answer.outcome = Outcome.PARTIAL
    return [Alarm(source=answer.source, kind=NO_PATIENT, count=dropped)]


def _is_about(item: Item, nhs_number: str, known: frozenset[str]) -> bool:
    resource = item.resource
    if item.type == "Appointment":
        subjects = [participant.get("actor", {}) for participant in resource.get("participant", ())]
        return any(_names(subject, resource, nhs_number, known) for subject in subjects)
    subject = resource.get(_PATIENT_ELEMENT.get(item.type, "subject"))
    return subject is not None and _names(subject, resource, nhs_number, known)


def _names(reference: dict[str, Any], resource: dict[str, Any], nhs_number: str, known: frozenset[str]) -> bool:
    target = reference.get("reference")
    if target is None:
        return _carries({"identifier": [reference.get("identifier", {})]}, nhs_number)
    if target.startswith("#"):
        return any(
            contained.get("resourceType") == "Patient"
            and contained.get("id") == target[1:]
            and _carries(contained, nhs_number)
            for contained in resource.get("contained", ())
        )
    return _HISTORY.sub("", target) in known


def _findings(item: Item) -> Findings:
    if item.findings is None:
        raise AssertionError("the guard examines every item first")
    return item.findings
