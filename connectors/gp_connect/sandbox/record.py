"""A structured record, put together as GP Connect's "Payload response body" has it: areas, Lists, what they need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from connectors.gp_connect.sandbox.holdings import Holdings, Person, Resource, key_of

_STU3: Final = "https://fhir.nhs.uk/STU3/"
_WARNING: Final = f"{_STU3}StructureDefinition/Extension-CareConnect-GPC-ListWarningCode-1"
_SETTING: Final = {
    "url": f"{_STU3}StructureDefinition/Extension-CareConnect-GPC-ClinicalSetting-1",
    "valueCodeableConcept": {
        "coding": [
            {"system": "http://snomed.info/sct", "code": "1060971000000108", "display": "General practice service"}
        ]
    },
}
_TEXT_OF: Final = {
    "confidential-items": "Items excluded due to confidentiality and/or patient preferences.",
    "data-in-transit": "Patient record transfer from previous GP practice not yet complete; "
    "information recorded before 01-May-2026 may be missing.",
    "data-awaiting-filing": "Patient data may be incomplete: data supplied by a third party awaits review.",
}
_NOTHING: Final = "Information not available"
_LABORATORY: Final = "laboratory"


@dataclass(frozen=True, slots=True)
class Listed:
    """One List of an area: which of the record's resources it names."""

    code: str
    title: str
    section: str
    kind: str


AREAS: Final[Mapping[str, tuple[Listed, ...]]] = {
    "includeAllergies": (
        Listed("886921000000105", "Allergies and adverse reactions", "allergies", "AllergyIntolerance"),
        Listed("1103671000000101", "Ended allergies", "allergies", "AllergyIntolerance"),
    ),
    "includeMedication": (
        Listed("933361000000108", "Medications and medical devices", "medicines", "MedicationStatement"),
    ),
    "includeConsultations": (Listed("1149501000000101", "List of consultations", "contacts", "Encounter"),),
    "includeProblems": (Listed("717711000000103", "Problems", "problems", "Condition"),),
    "includeImmunisations": (Listed("1102181000000102", "Immunisations", "immunisations", "Immunization"),),
    "includeInvestigations": (Listed("887191000000108", "Investigations and results", "results", "DiagnosticReport"),),
    "includeUncategorisedData": (Listed("826501000000100", "Miscellaneous record", "results", "Observation"),),
    "includeReferrals": (Listed("792931000000107", "Outbound referral", "referrals", "ReferralRequest"),),
    "includeDiaryEntries": (Listed("714311000000108", "Patient recall administration", "diary", "ProcedureRequest"),),
}
_ENDED: Final = "1103671000000101"


def record(held: Holdings, person: Person, areas: Iterable[str], *, more: Iterable[Resource] = ()) -> Resource:
    """The collection Bundle: the Patient, each area's Lists and items, and who and where they refer to.

    `more` are resources that have no business in it (a sandbox that lies adds somebody else's).
    """
    lists: list[Resource] = []
    items: dict[str, Resource] = {}
    for area in areas:
        for listed in AREAS[area]:
            named = list(_named(person, listed))
            lists.append(_list(person, listed, named))
            items.update({key_of(one): one for one in _brought(person, listed, named)})
    found = [person.patient, *lists, *items.values(), *more]
    return {
        "resourceType": "Bundle",
        "meta": {"profile": [f"{_STU3}StructureDefinition/GPConnect-StructuredRecord-Bundle-1"]},
        "type": "collection",
        "entry": [{"resource": one} for one in (*found, *held.explained(found))],
    }


def _named(person: Person, listed: Listed) -> Iterator[Resource]:
    """What a List names: ended allergies apart from others, uncategorised Observations apart from results."""
    for one in person.of(listed.kind):
        ended = one["resourceType"] == "AllergyIntolerance" and one["clinicalStatus"] == "resolved"
        if ended == (listed.code == _ENDED) and not (listed.kind == "Observation" and _is_result(one)):
            yield one


def _brought(person: Person, listed: Listed, named: list[Resource]) -> list[Resource]:
    """The resources that come with a List. Ended allergies are contained in it, and come no second time."""
    match listed.kind:
        case "AllergyIntolerance" if listed.code == _ENDED:
            return []
        case "MedicationStatement":
            return [*named, *person.of("MedicationRequest")]
        case "DiagnosticReport":
            return [*named, *(one for one in person.of("Observation") if _is_result(one))]
        case "Encounter":
            # A consultation brings its headings, and what stands under them.
            arranged = person.of("List")
            under = {entry["item"]["reference"] for one in arranged for entry in one["entry"]}
            return [*named, *arranged, *(one for one in person.of("Condition", "Observation") if key_of(one) in under)]
    return named


def _is_result(observation: Resource) -> bool:
    codings = (coding for category in observation.get("category", ()) for coding in category["coding"])
    return any(coding["code"] == _LABORATORY for coding in codings)


def _list(person: Person, listed: Listed, named: list[Resource]) -> Resource:
    ended = listed.code == _ENDED
    warnings = person.warnings.get(listed.section, [])
    found: dict[str, Any] = {
        "resourceType": "List",
        "meta": {"profile": [f"{_STU3}StructureDefinition/CareConnect-GPC-List-1"]},
        "extension": [_SETTING, *({"url": _WARNING, "valueCode": code} for code in warnings)],
        "status": "current",
        "mode": "snapshot",
        "title": listed.title,
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": listed.code, "display": listed.title}]},
        "subject": {"reference": key_of(person.patient)},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "orderedBy": {"coding": [{"system": "http://hl7.org/fhir/list-order", "code": "event-date"}]},
    }
    if ended and named:
        found["contained"] = named
    notes = [_TEXT_OF[code] for code in warnings]
    if named:
        references = (f"#{one['id']}" if ended else key_of(one) for one in named)
        found["entry"] = [{"item": {"reference": reference}} for reference in references]
    else:
        notes.append(_NOTHING)
        found["emptyReason"] = {
            "coding": [
                {
                    "system": f"{_STU3}CodeSystem/CareConnect-ListEmptyReasonCode-1",
                    "code": "no-content-recorded",
                    "display": "No Content Recorded",
                }
            ]
        }
    if notes:
        found["note"] = [{"text": " ".join(notes)}]
    return found
