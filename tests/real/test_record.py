"""A record that comes from a HAPI server, for somebody who signed in at Keycloak."""

from __future__ import annotations

import os
import signal
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from connectors.fhir_r4.sandbox import holdings
from tests.real.client import Client
from tests.real.conftest import TRUST, World
from tests.real.hapi import PAGE

ELSIE, GRACE, HAROLD = "9990000964", "9990000409", "9990001030"
_CLINICAL = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
EXACT = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


@pytest.fixture(scope="module")
def doctor(world: World) -> Client:
    client = world.signed_in("hospital-doctor")
    for nhs_number in (ELSIE, GRACE, HAROLD):
        assert client.agree(nhs_number).status_code == 201
    return client


@pytest.mark.parametrize("kind", ["Observation", "MedicationRequest", "AllergyIntolerance", "Encounter", "Appointment"])
def test_as_many_come_as_hapi_counts_itself(world: World, doctor: Client, kind: str) -> None:
    held = world.hapi.count(kind, ELSIE)
    found = doctor.search(kind, ELSIE, _count="7")
    assert len({one["id"] for one in found}) == len(found) == held
    first = doctor.get(f"/fhir/R4/{kind}", patient=ELSIE, _summary="count").json()
    assert first["total"] == held


def test_hapis_own_pages_are_turned_to_the_last(world: World, doctor: Client) -> None:
    held = world.hapi.count("Observation", ELSIE)
    assert held > 2 * PAGE, "the record must take HAPI several pages"
    answer = doctor.get(f"/fhir/R4/Patient/{ELSIE}/$everything")
    assert answer.status_code == 200
    assert answer.headers["Connect-Care-Sources"].startswith(TRUST)
    kinds = [entry["resource"]["resourceType"] for entry in answer.json()["entry"]]
    assert kinds.count("Observation") == held


def test_ids_are_sealed_stable_and_lead_back_to_the_same_item(world: World, doctor: Client) -> None:
    first, again = (doctor.search("Observation", ELSIE, _count="50") for _ in range(2))
    ids = [one["id"] for one in first]
    assert ids == [one["id"] for one in again]
    assert not set(ids) & {stored.id for stored in holdings(TRUST).by_key.values()}
    read = doctor.get(f"/fhir/R4/Observation/{ids[0]}")
    assert read.status_code == 200
    assert read.json()["code"] == first[0]["code"]
    assert world.hapi.base not in read.text
    assert doctor.get(f"/fhir/R4/Observation/{ids[0]}/").status_code in (200, 404)


def test_every_digit_survives_hapi_and_the_gateway(doctor: Client) -> None:
    sent = [EXACT.decode(one.body) for one in holdings(TRUST).by_type["Observation"]]
    written = {str(one["valueQuantity"]["value"]) for one in sent if "valueQuantity" in one}
    answer = doctor.get("/fhir/R4/Observation", patient=GRACE, _count="100")
    shown = [entry["resource"] for entry in EXACT.decode(answer.content)["entry"]]
    values = {str(one["valueQuantity"]["value"]) for one in shown if "valueQuantity" in one}
    assert any(value.endswith("0") and "." in value for value in values)
    assert values <= written


def test_what_was_recorded_this_moment_is_in_the_next_answer(world: World, doctor: Client) -> None:
    before = doctor.search("AllergyIntolerance", HAROLD)
    allergy = {
        "resourceType": "AllergyIntolerance",
        "id": "recorded-just-now",
        "clinicalStatus": {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}
            ]
        },
        "code": {"text": "Latex"},
        "patient": {"reference": f"Patient/{world.hapi.patient_id(HAROLD)}"},
    }
    world.hapi.put(allergy)
    after = doctor.search("AllergyIntolerance", HAROLD)
    assert len(after) == len(before) + 1
    assert "Latex" in [one["code"].get("text") for one in after]


def test_a_hung_hapi_is_told_as_missing_never_as_nothing_recorded(world: World, doctor: Client) -> None:
    os.kill(world.hapi.pid, signal.SIGSTOP)
    try:
        answer = doctor.get("/fhir/R4/AllergyIntolerance", patient=ELSIE)
    finally:
        os.kill(world.hapi.pid, signal.SIGCONT)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert answer.json()["resourceType"] == "OperationOutcome"
