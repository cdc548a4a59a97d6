"""A patient whose record has every category that US Core's granular scopes speak of, and more: at one trust alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, Final

from connectors.fhir_r4.sandbox.flavours import FLAVOURS
from connectors.fhir_r4.sandbox.holdings import hold
from connectors.fhir_r4.sandbox.server import FhirServer
from connectors.kit.sandbox import Sandbox

PATIENT: Final = "9990009996"
OTHER: Final = "9990000409"
"""Another patient, whom the usual sandboxes hold."""
OF_OBSERVATION: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
OF_CONDITION: Final = "http://terminology.hl7.org/CodeSystem/condition-category"
US_CORE: Final = "http://hl7.org/fhir/us/core/CodeSystem/us-core-category"
US_CORE_CONDITION: Final = "http://hl7.org/fhir/us/core/CodeSystem/condition-category"
_LOINC: Final = "http://loinc.org"
_SNOMED: Final = "http://snomed.info/sct"

Resource = dict[str, Any]

OBSERVATIONS: Final = (
    (f"{OF_OBSERVATION}|laboratory",),
    (f"{OF_OBSERVATION}|laboratory",),
    (f"{OF_OBSERVATION}|social-history",),
    (f"{OF_OBSERVATION}|vital-signs",),
    (f"{OF_OBSERVATION}|vital-signs", f"{OF_OBSERVATION}|laboratory"),
    (f"{OF_OBSERVATION}|survey",),
    (f"{OF_OBSERVATION}|survey", f"{US_CORE}|cognitive-status"),
    (f"{US_CORE}|sdoh",),
    (f"{US_CORE}|cognitive-status",),
    ("http://example.org/categories|laboratory",),
    (),
)
CONDITIONS: Final = (
    (f"{OF_CONDITION}|problem-list-item",),
    (f"{OF_CONDITION}|problem-list-item", f"{US_CORE_CONDITION}|health-concern"),
    (f"{OF_CONDITION}|encounter-diagnosis",),
    (f"{US_CORE_CONDITION}|health-concern",),
    ("http://example.org/categories|health-concern",),
    (),
)


def resources() -> list[Resource]:
    """Everything that the trust holds of the patient."""
    return [_patient(), _practitioner(), *_observations(), *_conditions(), _report()]


def sandbox(kept: list[Resource] | None = None) -> Sandbox:
    """The trust's server with these resources, or all of them."""
    held = hold("RJ2", [json.dumps(one).encode() for one in (kept or resources())], canaries=False)
    return Sandbox("RJ2", FhirServer(held, FLAVOURS["RJ2"]))


def categories(resource: Mapping[str, Any]) -> set[str]:
    """`system|code` of each category."""
    return {f"{one['system']}|{one['code']}" for concept in resource.get("category", ()) for one in concept["coding"]}


def _category(tokens: tuple[str, ...]) -> list[Resource]:
    split = (token.partition("|") for token in tokens)
    return [{"coding": [{"system": system, "code": code}]} for system, _, code in split]


def _common(kind: str, number: int, tokens: tuple[str, ...]) -> Resource:
    category = {"category": _category(tokens)} if tokens else {}
    meta = {"lastUpdated": f"2026-0{1 + number % 9}-01T08:00:00Z"}
    return {"resourceType": kind, "id": f"{kind.lower()}-{number}", "meta": meta, **category} | {
        "subject": {"reference": "Patient/p1"}
    }


def _observations() -> Iterator[Resource]:
    codes = ("718-7", "2345-7", "8867-4")
    for number, tokens in zip(count(), OBSERVATIONS):
        yield {
            **_common("Observation", number, tokens),
            "status": "final" if number % 2 else "amended",
            "code": {"coding": [{"system": _LOINC, "code": codes[number % 3]}]},
            "effectiveDateTime": f"2025-0{1 + number % 9}-10",
            "valueString": f"value {number}",
            **({"performer": [{"reference": "Practitioner/staff"}]} if number == 3 else {}),
            **({"hasMember": [{"reference": "Observation/observation-3"}]} if number == 0 else {}),
        }


def _conditions() -> Iterator[Resource]:
    status = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    for number, tokens in zip(count(), CONDITIONS):
        yield {
            **_common("Condition", number, tokens),
            "clinicalStatus": {"coding": [{"system": status, "code": "active" if number % 2 else "inactive"}]},
            "code": {"coding": [{"system": _SNOMED, "code": "38341003" if number % 2 else "73211009"}]},
            "onsetDateTime": f"201{number}-03-04",
            "recordedDate": f"201{number}-04-05",
            **({} if number % 2 else {"abatementDateTime": f"202{number}-05-06"}),
        }


def _report() -> Resource:
    return {
        "resourceType": "DiagnosticReport",
        "id": "report-1",
        "status": "final",
        "code": {"coding": [{"system": _LOINC, "code": "58410-2"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2025-01-10",
        "result": [{"reference": f"Observation/observation-{number}"} for number in (0, 3)],
    }


def _patient() -> Resource:
    identifier = {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": PATIENT}
    return {
        "resourceType": "Patient",
        "id": "p1",
        "identifier": [identifier],
        "name": [{"family": "Merriweather", "given": ["Opal"]}],
        "gender": "female",
        "birthDate": "1961-03-12",
    }


def _practitioner() -> Resource:
    return {"resourceType": "Practitioner", "id": "staff", "name": [{"family": "Okonjo", "given": ["Ada"]}]}
