"""Seeded payloads: a patient's resources at one source, as FHIR JSON bytes of a realistic size."""

from __future__ import annotations

import json
import random
from typing import Any

NHS_NUMBER = "9990000018"
_WORDS = [
    "review",
    "stable",
    "continue",
    "monitor",
    "advised",
    "discussed",
    "patient",
    "reports",
    "improving",
    "since",
    "last",
    "visit",
    "no",
    "change",
]
_COUNTS = {
    "AllergyIntolerance": 0.03,
    "MedicationStatement": 0.14,
    "MedicationRequest": 0.14,
    "Encounter": 0.15,
    "Appointment": 0.03,
    "Observation": 0.36,
    "DiagnosticReport": 0.05,
    "Condition": 0.07,
    "Immunization": 0.02,
    "CareTeam": 0.01,
}
_EVEN = (
    *("AllergyIntolerance", "MedicationRequest", "Encounter", "Observation"),
    *("DiagnosticReport", "Condition", "Immunization", "CareTeam"),
)
MIXES: dict[str, dict[str, float]] = {"usual": _COUNTS, "even": dict.fromkeys(_EVEN, 1 / len(_EVEN))}
"""How many of each type there are: as in a record, or alike of eight types, so that eight searches are alike too."""


def bundles(source: str, resources: int, *, seed: int = 7, mix: str = "usual") -> dict[str, bytes]:
    """By resource type, the searchset that the source answers with; `Patient` too. About 1.3 kB a resource."""
    rng = random.Random(f"{source}{seed}")
    made = {"Patient": [_patient(source)]}
    for kind, share in MIXES[mix].items():
        made[kind] = [_resource(kind, source, number, rng) for number in range(max(1, round(resources * share)))]
    return {kind: _searchset(kind, entries) for kind, entries in made.items()}


def everything(source: str, held: dict[str, bytes]) -> bytes:
    """All of it as the answer to `$everything`, by a source whose Patients have the NHS number as their id."""
    entries = [entry for body in held.values() for entry in json.loads(body)["entry"]]
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}
    return json.dumps(bundle).replace(f"{source}-patient", NHS_NUMBER).encode()


def clinical(resources: int, mix: str = "usual") -> int:
    """How many resources a source of that size holds besides the Patient."""
    return sum(max(1, round(resources * share)) for share in MIXES[mix].values())


def _searchset(kind: str, entries: list[dict[str, Any]]) -> bytes:
    bundle = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(entries),
        "link": [{"relation": "self", "url": f"http://source/fhir/{kind}?patient.identifier=x&identifier=x"}],
        "entry": [
            {"fullUrl": f"http://source/fhir/{kind}/{entry['id']}", "resource": entry, "search": {"mode": "match"}}
            for entry in entries
        ],
    }
    return json.dumps(bundle).encode()


def _patient(source: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": f"{source}-patient",
        "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": NHS_NUMBER}],
        "name": [{"family": "BENCH", "given": ["Ada"]}],
        "gender": "female",
        "birthDate": "1950-01-01",
    }


def _resource(kind: str, source: str, number: int, rng: random.Random) -> dict[str, Any]:
    subject = {"reference": f"Patient/{source}-patient"}
    when = f"20{rng.randint(15, 25)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T09:30:00.{rng.randint(0, 999):03}Z"
    concept = _concept(rng)
    note = " ".join(rng.choices(_WORDS, k=90))
    base: dict[str, Any] = {
        "resourceType": kind,
        "id": f"{kind.lower()}-{number}",
        "meta": {"lastUpdated": when, "profile": [f"https://fhir.hl7.org.uk/StructureDefinition/UKCore-{kind}"]},
    }
    specific: dict[str, dict[str, Any]] = {
        "AllergyIntolerance": {"code": concept, "patient": subject, "recordedDate": when, "note": [{"text": note}]},
        "MedicationStatement": {
            "status": "active",
            "medicationCodeableConcept": concept,
            "subject": subject,
            "effectivePeriod": {"start": when},
            "dosage": [{"text": "one daily", "doseAndRate": [{"doseQuantity": {"value": 5.50, "unit": "mg"}}]}],
            "note": [{"text": note}],
        },
        "MedicationRequest": {
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept": concept,
            "subject": subject,
            "authoredOn": when,
            "dosageInstruction": [{"text": "one daily"}],
            "note": [{"text": note}],
        },
        "Encounter": {
            "status": "finished",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "type": [concept],
            "subject": subject,
            "period": {"start": when},
            "reasonCode": [{"text": note}],
        },
        "Appointment": {
            "status": "booked",
            "start": when,
            "participant": [{"actor": subject, "status": "accepted"}],
            "comment": note,
        },
        "Observation": {
            "status": "final",
            "category": [{"coding": [{"system": "http://hl7.org/fhir/observation-category", "code": "laboratory"}]}],
            "code": concept,
            "subject": subject,
            "encounter": {"reference": "Encounter/encounter-0"},
            "effectiveDateTime": when,
            "valueQuantity": {"value": round(rng.uniform(1, 200), 1), "unit": "mmol/L"},
            "referenceRange": [{"low": {"value": 3.5}, "high": {"value": 5.3}}],
            "note": [{"text": note}],
        },
        "DiagnosticReport": {
            "status": "final",
            "code": concept,
            "subject": subject,
            "effectiveDateTime": when,
            "result": [{"reference": f"Observation/observation-{index}"} for index in range(4)],
            "conclusion": note,
        },
        "Condition": {"code": concept, "subject": subject, "onsetDateTime": when, "note": [{"text": note}]},
        "Immunization": {
            "status": "completed",
            "vaccineCode": concept,
            "patient": subject,
            "occurrenceDateTime": when,
            "note": [{"text": note}],
        },
        "CareTeam": {"status": "active", "subject": subject, "name": "Team", "note": [{"text": note}]},
    }
    return base | specific[kind]


def _concept(rng: random.Random) -> dict[str, Any]:
    code = str(rng.randint(10_000_000, 99_999_999))
    return {"coding": [{"system": "http://snomed.info/sct", "code": code, "display": f"Concept {code}"}]}
