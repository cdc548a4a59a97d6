"""What real and published GP Connect systems send, and small resources of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.sdk.number import read_number

SHARED = Path(__file__).parents[4] / "shared" / "data"
RECORDS = SHARED / "gp-connect" / "records"
NAMES = ("Daniels", "Gainsford", "Magre", "Sajal", "Birdi", "Meyers", "Dougill")
NEEDS_DATA = pytest.mark.skipif(not RECORDS.is_dir(), reason="needs ../shared/data, which is not part of the project")

_decode = msgspec.json.Decoder(float_hook=read_number).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


def read(path: Path) -> Any:
    return _decode(path.read_bytes())


def json_of(value: Any) -> bytes:
    return _encode(value)


def record(name: str) -> list[dict[str, Any]]:
    """The resources of one of the seven records. Their NHS number is masked; here it may stay so."""
    return resources(next(RECORDS.glob(f"*_{name}_*.json")))


def resources(path: Path) -> list[dict[str, Any]]:
    """The resources of a response: of a Bundle (one published example forgets the wrapping), or the one that it is."""
    body = read(path)
    if body["resourceType"] != "Bundle":
        return [body]
    return [entry.get("resource", entry) for entry in body["entry"]]


def responses() -> list[Path]:
    """The published example responses of both versions of the specification, and one more that holds a record."""
    found = sorted((SHARED / "gp-connect").glob("spec-*/*/*response*.json"))
    return [*found, SHARED / "gp-connect/spec-1.6.0/accessrecord_structured/split_plan.json"]


def patient(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "p", "identifier": [_NHS_NUMBER], **more}


_NHS_NUMBER = {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000018"}


def about(kind: str, /, **more: Any) -> dict[str, Any]:
    """The least of a resource about the patient that STU3 allows."""
    subject = "patient" if kind in ("AllergyIntolerance", "Immunization") else "subject"
    return {"resourceType": kind, "id": "x", subject: {"reference": "Patient/p"}, **LEAST.get(kind, {}), **more}


_CODE: dict[str, Any] = {"coding": [{"system": "http://snomed.info/sct", "code": "22298006"}]}
LEAST: dict[str, dict[str, Any]] = {
    "AllergyIntolerance": {"verificationStatus": "unconfirmed", "clinicalStatus": "active", "code": _CODE},
    "Condition": {"code": _CODE, "clinicalStatus": "active"},
    "DiagnosticReport": {"status": "final", "code": _CODE},
    "Encounter": {"status": "finished"},
    "Immunization": {"status": "completed", "notGiven": False, "vaccineCode": _CODE, "primarySource": True},
    "MedicationRequest": {"status": "active", "intent": "plan", "medicationReference": {"reference": "Medication/m"}},
    "MedicationStatement": {"status": "active", "taken": "unk", "medicationReference": {"reference": "Medication/m"}},
    "Observation": {"status": "final", "code": _CODE},
}


def national(name: str, **value: Any) -> dict[str, Any]:
    """An extension of GP Connect."""
    return {"url": f"https://fhir.nhs.uk/STU3/StructureDefinition/Extension-CareConnect-GPC-{name}-1", **value}
