"""Small patients, items and answers for the tests of the pipeline's steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from connectors.sdk.model import (
    NHS_NUMBER_SYSTEM,
    ODS_SYSTEM,
    SECTION_OF_TYPE,
    Answer,
    Ask,
    AskedBy,
    Gap,
    Item,
    Outcome,
    Resource,
    Section,
)
from connectors.sdk.nhs_number import is_nhs_number
from connectors.sdk.organisations import Organisation, Organisations, OrganisationType, Stage
from gateway.guard import Guarded, guard
from gateway.merge import Merger, Record
from gateway.sealed import Sealer

SNOMED = "http://snomed.info/sct"
DMD = "https://dmd.nhs.uk"
EVERYTHING = frozenset(Section)
SEALER = Sealer(bytes(range(32)))
ASKED_BY = AskedBy("u", "Dr A", "555", "S8000:G8000:R8000", "gp", "G85005", "South Lewisham", "TREAT")


def nhs_numbers() -> list[str]:
    """Synthetic NHS numbers, in order, from the range that is never issued."""
    return [
        number
        for nine in range(999000000, 999000400)
        for digit in range(10)
        if is_nhs_number(number := f"{nine}{digit}")
    ]


NHS, OTHER = nhs_numbers()[:2]


def address_of(ods: str) -> str:
    return f"https://{ods.lower()}.example/fhir"


def organisation(
    ods: str, kind: OrganisationType = OrganisationType.ACUTE_TRUST, sections: Iterable[Section] = Section, **more: Any
) -> Organisation:
    held = {"connector": "fhir_r4", "address": address_of(ods), "sections": frozenset(sections)}
    return Organisation.model_validate(
        {"ods": ods, "name": f"Organisation {ods}", "type": kind, "stage": Stage.LIVE, "joined": date(2026, 1, 1)}
        | held
        | more
    )


def organisations(*entries: Organisation) -> Organisations:
    return Organisations({entry.ods: entry for entry in entries})


PRACTICE, PRACTICE_2, TRUST, COUNCIL = "G85005", "G85004", "RJ2", "709"
TAKING_PART = organisations(
    organisation(PRACTICE, OrganisationType.GP_PRACTICE),
    organisation(PRACTICE_2, OrganisationType.GP_PRACTICE),
    organisation(TRUST),
    organisation(COUNCIL, OrganisationType.COUNCIL, (Section.DEMOGRAPHICS, Section.CONTACTS, Section.CARE_TEAM)),
)


def an_ask(sections: Iterable[Section] = EVERYTHING, *, deadline: float = 0.0, nhs_number: str = NHS) -> Ask:
    return Ask(nhs_number, frozenset(sections), ASKED_BY, deadline, "request-1")


def patient(id_: str = "p1", number: str = NHS, **more: Any) -> Resource:
    identifier = [{"system": NHS_NUMBER_SYSTEM, "value": number}]
    return {"resourceType": "Patient", "id": id_, "identifier": identifier, **more}


def registered_at(*practices: str) -> dict[str, Any]:
    return {"generalPractitioner": [{"identifier": {"system": ODS_SYSTEM, "value": ods}} for ods in practices]}


def coded(*pairs: tuple[str, str], text: str | None = None) -> dict[str, Any]:
    concept: dict[str, Any] = {"coding": [{"system": system, "code": code} for system, code in pairs]}
    return concept | ({"text": text} if text else {})


def resource(kind: str, id_: str, about: str | None = "Patient/p1", /, **more: Any) -> Resource:
    """The least of a resource of this type, that says what it is about."""
    subject: dict[str, Any] = {}
    if about is not None:
        reference = {"reference": about}
        if kind == "Appointment":
            subject = {"participant": [{"actor": reference, "status": "accepted"}]}
        elif kind in ("AllergyIntolerance", "Immunization"):
            subject = {"patient": reference}
        elif kind in SECTION_OF_TYPE:
            subject = {"subject": reference}
    return {"resourceType": kind, "id": id_, **subject, **more}


def an_item(source: str, body: Resource, **more: Any) -> Item:
    return Item(source, body, SECTION_OF_TYPE.get(body["resourceType"]), str(body["id"]), **more)


def answered(source: str, *bodies: Resource, outcome: Outcome = Outcome.ANSWERED, **more: Any) -> Answer:
    return Answer(source, outcome, [an_item(source, body) for body in bodies], **more)


def gap_everywhere(gap: Gap) -> dict[Section, Gap]:
    return dict.fromkeys(Section, gap)


def guarded(*answers: Answer, sections: Iterable[Section] = EVERYTHING) -> Guarded:
    return guard(answers, {answer.source: an_ask(sections) for answer in answers}, address_of)


def merged(*answers: Answer, asked: Iterable[Section] = EVERYTHING) -> Record:
    return Merger(SEALER, TAKING_PART).merge(guarded(*answers), {}, NHS, frozenset(asked))


def found(record: Record, kind: str, source: str | None = None) -> list[Resource]:
    return [item.resource for item in record.items if item.type == kind and source in (None, item.source)]


def sealed(source: str, kind: str, id_: str) -> str:
    return f"{kind}/{SEALER.seal_id(NHS, source, kind, id_)}"


def codes_of(record: Record, kind: str) -> list[str]:
    return [body["code"]["coding"][0]["code"] for body in found(record, kind)]


def lines(record: Record) -> Mapping[str, Outcome]:
    return {line.source: line.outcome for line in record.lines}
