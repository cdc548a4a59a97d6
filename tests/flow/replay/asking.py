"""What the tests of `connector replay` ask, and a patient in R4 in whom everything happens."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner

from connectors.sdk.model import NHS_NUMBER_SYSTEM
from gateway.cli import app

NHS, OTHER = "9990000409", "9990000964"
SNOMED = "http://snomed.info/sct"
ME = {"reference": "Patient/p1"}

Json = dict[str, Any]


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    done = CliRunner().invoke(app, ["connector", "replay", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def told(*arguments: object, exit_code: int = 0) -> Json:
    """The account as JSON."""
    code, out, err = run(*arguments, "--json")
    assert code == exit_code, err
    assert err == "" or "--out" in arguments
    found: Json = json.loads(out)
    assert sum(found["counts"].values()) == sum(line["times"] for line in found["resources"])
    return found


def lines(account: Json) -> dict[str, Json]:
    """By key; a key with two versions would hide one of them."""
    keys = [line["key"] for line in account["resources"]]
    assert len(set(keys)) == len(keys)
    return {line["key"]: line for line in account["resources"]}


def fates(account: Json) -> dict[str, str]:
    return {key: line["fate"] for key, line in lines(account).items()}


def of_type(kind: str, account: Json) -> set[str]:
    return {line["fate"] for line in account["resources"] if line["type"] == kind}


def r4(kind: str, id_: str, **more: Any) -> Json:
    least: dict[str, Json] = {
        "Patient": {"identifier": [{"system": NHS_NUMBER_SYSTEM, "value": NHS}]},
        "AllergyIntolerance": {"patient": ME},
        "Observation": {"status": "final", "code": {"text": "x"}, "subject": ME},
        "Condition": {"code": {"text": "x"}, "subject": ME},
        "Encounter": {"status": "finished", "class": {"code": "AMB"}, "subject": ME},
        "MedicationStatement": {"status": "active", "subject": ME, "medicationCodeableConcept": {"text": "x"}},
        "MedicationRequest": {
            "status": "active",
            "intent": "plan",
            "subject": ME,
            "medicationCodeableConcept": {"text": "x"},
        },
    }
    return {"resourceType": kind, "id": id_, **least.get(kind, {}), **more}


def coded(code: str, system: str = SNOMED) -> Json:
    return {"coding": [{"system": system, "code": code}]}


ME_ASKED = ("--nhs-number", NHS)


def refers(key: str) -> Json:
    return {"reference": key}


CONTAINED = [
    {"resourceType": "Practitioner", "id": "near", "name": [{"family": "Near"}]},
    {"resourceType": "Practitioner", "id": "orphan", "name": [{"family": "Orphan"}]},
    {"resourceType": "Claim", "id": "bill"},
]
EVERYTHING = [
    r4("Patient", "p1"),
    r4("Patient", "p2", identifier=[{"system": NHS_NUMBER_SYSTEM, "value": OTHER}]),
    r4("Observation", "seen", performer=[refers("Practitioner/known")]),
    r4("Observation", "holds", contained=CONTAINED, performer=[refers("#near")]),
    r4("Observation", "nobody", subject=None) | {"subject": {"display": "somebody"}},
    r4("Observation", "broken", status=None, code="x"),
    r4("Observation", "hiv", code=coded("86406008")),
    r4("Condition", "old", meta={"lastUpdated": "2020-01-01T00:00:00Z"}, code={"text": "then"}),
    r4("Condition", "old", meta={"lastUpdated": "2024-01-01T00:00:00Z"}, code={"text": "now"}),
    r4("MedicationStatement", "s1", basedOn=[refers("MedicationRequest/plan")]),
    r4("MedicationRequest", "plan"),
    r4("MedicationRequest", "issue", intent="order", basedOn=[refers("MedicationRequest/plan")]),
    r4("MedicationRequest", "alone"),
    r4("AllergyIntolerance", "none", code=coded("716186003")),
    r4("AllergyIntolerance", "nuts", code={"text": "nuts"}),
    r4("Practitioner", "known", name=[{"family": "Known"}]),
    r4("Practitioner", "unknown", name=[{"family": "Unknown"}]),
    r4("Claim", "c1", contained=[{"resourceType": "Coverage", "id": "v1"}]),
    {"resourceType": "OperationOutcome", "issue": [{"severity": "information", "code": "informational"}]},
]
MANIFEST = {
    "name": "losing",
    "kind": "dialect",
    "summary": "For tests",
    "owner": "A. Owner",
    "contract": "None",
    "sections": ["demographics", "results", "problems"],
    "kit": {"ods": "RJ2", "type": "acute-trust"},
}


def collection(*resources: Json, kind: str = "collection") -> Json:
    return {"resourceType": "Bundle", "type": kind, "entry": [{"resource": one} for one in resources]}


def refused(*arguments: object) -> str:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert NHS not in err
    assert err.endswith(".\n")
    return err
