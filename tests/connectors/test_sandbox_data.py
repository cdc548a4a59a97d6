"""The invented patients: valid R4, whole, safe, and telling the stories that they are there to tell."""

from __future__ import annotations

import copy
import functools
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B import get_fhir_model_class

from connectors.fhir_r4 import sandbox
from connectors.fhir_r4.sandbox import generate
from connectors.fhir_r4.sandbox.flavours import FLAVOURS
from connectors.fhir_r4.sandbox.holdings import hold
from connectors.kit.canaries import PATTERN
from connectors.sdk.model import NHS_NUMBER_SYSTEM, ODS_SYSTEM, SECTION_OF_TYPE, SUPPORTING_TYPES, Section
from connectors.sdk.nhs_number import is_nhs_number

ORGANISATIONS = ("703", "709", "G83021", "G85004", "G85005", "RJ2", "RPG")
DATA = Path(sandbox.__file__).parent / "data"
holdings = functools.cache(sandbox.holdings)
decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


@pytest.fixture(scope="module", params=ORGANISATIONS)
def held(request: pytest.FixtureRequest) -> Any:
    return holdings(request.param)


def of_person(ods: str, name: str, kind: str) -> list[dict[str, Any]]:
    number = next(person["nhsNumber"] for person in sandbox.people() if person["name"] == name)
    held = holdings(ods)
    patients = held.patient_ids.get((NHS_NUMBER_SYSTEM, number), [])
    return [decode(stored.body) for patient in patients for stored in held.of_patient(patient, kind)]


def codes(resource: dict[str, Any], element: str = "code") -> set[str]:
    return {coding["code"] for coding in resource[element]["coding"]}


def with_lawful_ids(resource: dict[str, Any]) -> dict[str, Any]:
    """A copy whose id obeys FHIR's rule; everything else as it is. One practice's ids break the rule on purpose."""
    lawful = copy.deepcopy(resource)
    lawful["id"] = re.sub(r"[^A-Za-z0-9.-]", "-", lawful["id"])[:64]
    return lawful


def test_every_organisation_of_the_first_year_has_data() -> None:
    assert sandbox.organisations() == ORGANISATIONS
    assert set(FLAVOURS) == set(ORGANISATIONS)


def test_every_resource_is_valid_r4_and_of_a_type_that_the_server_serves(held: Any) -> None:
    assert len(held.by_key) >= 7
    for stored in held.by_key.values():
        resource = with_lawful_ids(json.loads(stored.body))
        get_fhir_model_class(stored.type).model_validate(resource)
        assert stored.type in FLAVOURS[held.ods].types
        assert stored.type in SECTION_OF_TYPE or stored.type in SUPPORTING_TYPES


def test_every_resource_stays_valid_with_its_canary() -> None:
    for ods in ORGANISATIONS:
        for stored in holdings(ods, canaries=True).by_key.values():
            get_fhir_model_class(stored.type).model_validate(with_lawful_ids(json.loads(stored.body)))


def test_every_reference_resolves_inside_the_source(held: Any) -> None:
    missing = [key for stored in held.by_key.values() for key in stored.refers_to if key not in held.by_key]
    assert missing == []


def test_every_clinical_resource_belongs_to_exactly_one_patient_held_here(held: Any) -> None:
    for stored in held.by_key.values():
        expected = 1 if stored.type in SECTION_OF_TYPE else 0
        assert len(stored.patients) == expected, stored.type
        assert all(f"Patient/{patient}" in held.by_key for patient in stored.patients)


def test_every_patient_carries_what_identifies_a_person(held: Any) -> None:
    known = {person["nhsNumber"]: person for person in sandbox.people()}
    for stored in held.by_type["Patient"]:
        patient = decode(stored.body)
        number = next(one for one in patient["identifier"] if one["system"] == NHS_NUMBER_SYSTEM)
        assert number["extension"][0]["url"].endswith("Extension-UKCore-NHSNumberVerificationStatus")
        assert patient["birthDate"] == known[number["value"]]["birthDate"]
        assert patient["generalPractitioner"][0]["identifier"]["system"] == ODS_SYSTEM
        assert patient["name"][0]["family"] in known[number["value"]]["name"]
        assert patient["gender"]
        assert patient["address"][0]["postalCode"]
        assert patient["telecom"]


def test_every_resource_says_when_it_was_last_changed(held: Any) -> None:
    """Councils' systems send whole seconds or tenths; all others send milliseconds."""
    for stored in held.by_key.values():
        digits = r"(\.\d)?" if held.ods in ("709", "703") else r"\.\d{3}"
        assert re.fullmatch(
            rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d{digits}(Z|[+]\d\d:\d\d)", decode(stored.body)["meta"]["lastUpdated"]
        )


def test_people_are_of_the_synthetic_range_and_each_has_a_story() -> None:
    people = sandbox.people()
    assert len(people) >= 8
    assert len({person["nhsNumber"] for person in people}) == len(people)
    for person in people:
        assert person["nhsNumber"].startswith("999")
        assert is_nhs_number(person["nhsNumber"])
        assert person["story"].endswith(".")


def test_no_number_outside_the_synthetic_range_is_anywhere_in_the_data() -> None:
    for file in [*DATA.glob("*/*.json"), DATA.parent / "people.json"]:
        for number in re.findall(r"(?<!\d)\d{10}(?!\d)", file.read_text()):
            assert number.startswith("999") or not is_nhs_number(number), file.name


def test_digits_leave_as_they_stand_in_the_files() -> None:
    for ods in ORGANISATIONS:
        written = "".join(file.read_text() for file in (DATA / ods).glob("*.json"))
        held = holdings(ods, canaries=True)
        sent = [b.decode() for stored in held.by_key.values() if stored.id in written for b in [stored.body]]
        for pattern in (r'"value": ?(-?[0-9][0-9.eE+-]*)', r'"(\d{4}-\d\d-\d\dT[^"]+)"'):
            assert sorted(re.findall(pattern, written)) == sorted(re.findall(pattern, "".join(sent)))


def test_bytes_are_the_files_own_when_no_canary_is_planted() -> None:
    text = b'{ "resourceType": "Observation",\n "id": "x", "valueQuantity": {"value": 0.10, "unit": "1e2"}, "n": 4.50}'
    held = hold("RJ2", [text], canaries=False)
    expected = b'{"resourceType":"Observation","id":"x","valueQuantity":{"value":0.10,"unit":"1e2"},"n":4.50}'
    assert held.by_key["Observation/x"].body == expected


def test_awkward_numbers_and_instants_are_there_to_be_kept() -> None:
    everything = b"".join(s.body for ods in ORGANISATIONS for s in holdings(ods).by_key.values())
    for digits in (b'"value":0.10,', b'"value":4.50,', b'"value":1.0,', b".120+01:00", b".000Z", b".009+00:00"):
        assert digits in everything


def test_every_resource_has_a_canary_of_its_own_and_it_is_always_the_same() -> None:
    marks: list[str] = []
    for ods in ORGANISATIONS:
        held = holdings(ods, canaries=True)
        assert held.canaries == sandbox.holdings(ods, canaries=True).canaries
        for stored, mark in zip(held.by_key.values(), held.canaries, strict=True):
            assert PATTERN.findall(stored.body.decode()) == [mark]
            assert mark.startswith(f"CANARY-{ods}-")
        marks += held.canaries
    assert len(marks) == len(set(marks)) > 600


def test_without_canaries_there_is_none(held: Any) -> None:
    assert held.canaries == []
    assert not any(b"CANARY" in stored.body for stored in held.by_key.values())


def test_the_generated_record_is_long_spread_over_three_sources_and_always_the_same() -> None:
    assert [list(generate.resources(ods)) for ods in ("G85005", "RJ2", "RPG")] == [
        list(generate.resources(ods)) for ods in ("G85005", "RJ2", "RPG")
    ]
    sizes = [len(text) for ods in ORGANISATIONS for text in generate.resources(ods)]
    assert 280 <= len(sizes) <= 320
    assert 300_000 <= sum(sizes) <= 450_000


def test_grace_has_one_medicine_at_two_doses_under_two_systems() -> None:
    at_practice = next(m for m in of_person("G85005", "Grace Adebayo", "MedicationStatement") if "319283006" in str(m))
    in_hospital = next(m for m in of_person("RJ2", "Grace Adebayo", "MedicationRequest") if "319283006" in str(m))
    assert at_practice["medicationCodeableConcept"]["coding"][0]["system"] == "http://snomed.info/sct"
    assert in_hospital["medicationCodeableConcept"]["coding"][0]["system"] == "https://dmd.nhs.uk"
    assert at_practice["dosage"][0]["doseAndRate"][0]["doseQuantity"]["value"] == 5
    assert in_hospital["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"] == 10


def test_grace_has_one_medicine_stopped_in_hospital_and_active_at_the_practice() -> None:
    status = {
        ods: next(m["status"] for m in of_person(ods, "Grace Adebayo", "MedicationStatement") if "317919004" in str(m))
        for ods in ("G85005", "RJ2")
    }
    assert status == {"G85005": "active", "RJ2": "stopped"}


def test_grace_has_an_allergy_at_the_practice_and_none_known_in_hospital() -> None:
    practice, hospital = (of_person(ods, "Grace Adebayo", "AllergyIntolerance") for ods in ("G85005", "RJ2"))
    assert "91936005" in codes(practice[0])
    assert practice[0]["reaction"][0]["severity"] == "moderate"
    assert [codes(allergy) for allergy in hospital] == [{"716186003"}]


@pytest.mark.parametrize("test", ["999791000000106", "1000731000000107", "1000651000000109", "1022431000000105"])
def test_grace_has_results_with_a_trend_and_a_range(test: str) -> None:
    found = [o for ods in ("G85005", "RJ2") for o in of_person(ods, "Grace Adebayo", "Observation") if test in str(o)]
    years = {observation["effectiveDateTime"][:4] for observation in found}
    assert len(found) >= 7
    assert len(years) >= 3
    assert all(observation["referenceRange"] for observation in found)


def test_grace_has_past_contacts_and_future_appointments() -> None:
    classes = {e["class"]["code"] for e in of_person("RJ2", "Grace Adebayo", "Encounter")}
    assert {"EMER", "IMP", "AMB"} <= classes
    starts = [
        a["start"] for ods in ("G85005", "RJ2", "RPG", "709") for a in of_person(ods, "Grace Adebayo", "Appointment")
    ]
    assert sum(start > "2027" for start in starts) >= 5
    encounter = of_person("RJ2", "Grace Adebayo", "Encounter")[0]
    assert {"class", "type", "reasonCode", "participant", "period", "location", "serviceProvider"} <= set(encounter)


def test_tomasz_is_said_to_have_no_allergy_by_two_sources_and_the_third_is_silent() -> None:
    said = {ods: of_person(ods, "Tomasz Kowalski", "AllergyIntolerance") for ods in ("G85004", "RJ2", "RPG")}
    assert codes(said["G85004"][0]) == codes(said["RJ2"][0]) == {"716186003"}
    assert said["RPG"] == []
    assert of_person("RPG", "Tomasz Kowalski", "Patient")


def test_aaliyah_is_known_to_her_practice_only() -> None:
    assert [ods for ods in ORGANISATIONS if of_person(ods, "Aaliyah Hussain", "Patient")] == ["G83021"]


def test_daniel_has_sensitive_items_of_every_kind_by_code_by_label_and_by_neither_alone() -> None:
    kinds = ("Condition", "MedicationStatement", "MedicationRequest", "Observation", "DiagnosticReport", "Encounter")
    items = [
        item for ods in ("G83021", "RJ2", "RPG") for kind in kinds for item in of_person(ods, "Daniel Okafor", kind)
    ]
    text = json.dumps(items, default=str)
    for code in ("86406008", "713464000", "20447-9", "394808002", "66590003", "387286002"):
        assert f'"{code}"' in text
    labels = {label["code"] for item in items for label in item["meta"].get("security", [])}
    assert labels == {"R", "HIV", "SUD", "TEAM-7"}
    assert any("86406008" in str(item) and "security" not in item["meta"] for item in items)


def test_mental_health_a_child_a_move_and_a_death_are_told() -> None:
    doses = {
        m["dosage"][0]["doseAndRate"][0]["doseQuantity"]["value"]
        for ods in ("G83021", "RPG")
        for m in of_person(ods, "Siobhan Murphy", "MedicationStatement")
        if "565011000001106" in str(m)
    }
    assert doses == {600, 800}
    assert len(of_person("G83021", "Mia Nguyen", "Immunization")) == 5
    assert of_person("703", "Mia Nguyen", "CareTeam")
    old, new = (of_person(ods, "Rajesh Patel", "Patient")[0] for ods in ("G85004", "G85005"))
    assert old["generalPractitioner"][0]["identifier"]["value"] == "G85004"
    assert new["generalPractitioner"][0]["identifier"]["value"] == "G85005"
    assert old["address"] != new["address"]
    assert of_person("RJ2", "Harold Bennett", "Patient")[0]["deceasedDateTime"].startswith("2026-07-02")


def test_one_practice_has_ids_that_break_fhirs_rule_and_a_trust_has_uuids() -> None:
    odd = [stored.id for stored in holdings("G85004").by_key.values()]
    assert all("_" in one and "~" in one for one in odd)
    assert any(len(one) > 64 for one in odd)
    assert all(len(stored.id) == 36 for stored in holdings("RJ2").by_key.values())


def test_a_council_holds_contacts_and_care_team_only() -> None:
    sections = {SECTION_OF_TYPE[kind] for kind in holdings("709").by_type if kind in SECTION_OF_TYPE}
    assert sections == {Section.DEMOGRAPHICS, Section.CONTACTS, Section.CARE_TEAM}


def test_an_id_that_stands_twice_stops_the_sandbox_without_saying_whose() -> None:
    text = b'{"resourceType":"Patient","id":"9990000409"}'
    with pytest.raises(ValueError, match="stands twice") as caught:
        hold("RJ2", [text, text], canaries=False)
    assert "9990000409" not in str(caught.value)


def test_an_organisation_without_data_is_refused_with_a_remedy() -> None:
    with pytest.raises(LookupError, match=r"no sandbox data for RV5\. Add RV5/"):
        sandbox.create_app("RV5")
