"""AllergyIntolerance, Condition, Observation, DiagnosticReport, Specimen."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from connectors.gp_connect.stu3 import translate
from tests.connectors.stu3.sent import about, json_of
from tests.connectors.stu3.test_medicines import ABSENT, STU3, one

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"


def test_the_statuses_of_an_allergy_are_concepts_of_the_same_code() -> None:
    made = one(about("AllergyIntolerance", assertedDate="2010-01-14T09:53:33.393+00:00"))
    clinical = {"system": f"{TERMINOLOGY}allergyintolerance-clinical", "code": "active"}
    verification = {"system": f"{TERMINOLOGY}allergyintolerance-verification", "code": "unconfirmed"}
    assert made["clinicalStatus"] == {"coding": [clinical]}
    assert made["verificationStatus"] == {"coding": [verification]}
    assert made["recordedDate"] == "2010-01-14T09:53:33.393+00:00"


@pytest.mark.parametrize("kind", ["AllergyIntolerance", "Condition"])
def test_what_was_entered_in_error_has_no_clinical_status(kind: str) -> None:
    done = translate([about(kind, verificationStatus="entered-in-error")])
    assert "clinicalStatus" not in done.resources[0]
    assert done.left_out == {f"{kind}.clinicalStatus": 1}


def test_a_clinical_status_that_r4_does_not_know_stays_as_an_extension() -> None:
    made = one(about("AllergyIntolerance", clinicalStatus="dormant"))
    kept = {"url": f"{STU3}AllergyIntolerance.clinicalStatus", "valueCode": "dormant"}
    assert made["clinicalStatus"] == {"extension": [kept]}


def test_the_encounter_of_an_allergy_is_r4s() -> None:
    url = "http://hl7.org/fhir/StructureDefinition/encounter-associatedEncounter"
    sent = {"url": url, "valueReference": {"reference": "Encounter/1"}}
    made = one(about("AllergyIntolerance", extension=[sent]))
    assert made["encounter"] == {"reference": "Encounter/1"}
    assert "extension" not in made
    odd = {"url": url, "valueString": "the one before"}
    assert one(about("AllergyIntolerance", extension=[odd]))["extension"] == [odd]


@pytest.mark.parametrize("capital", [True, False])
def test_the_description_of_a_code_is_uk_cores_however_it_is_spelt(capital: bool) -> None:
    names = ("DescriptionID", "DescriptionDisplay") if capital else ("descriptionId", "descriptionDisplay")
    parts = [{"url": names[0], "valueId": "123016"}, {"url": names[1], "valueString": "Peanut"}]
    url = "https://fhir.hl7.org.uk/STU3/StructureDefinition/Extension-coding-sctdescid"
    coding = {"extension": [{"url": url, "extension": parts}], "system": "http://snomed.info/sct", "code": "256349002"}
    made = one(about("AllergyIntolerance", code={"coding": [coding]}))
    (extension,) = made["code"]["coding"][0]["extension"]
    assert extension == {
        "url": "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-CodingSCTDescId",
        "extension": [
            {"url": "descriptionId", "valueIdentifier": {"system": "http://snomed.info/sct", "value": "123016"}},
            {"url": "descriptionDisplay", "valueString": "Peanut"},
        ],
    }


def test_a_problem_has_r4s_statuses_category_encounter_and_date() -> None:
    system = "https://fhir.hl7.org.uk/STU3/CodeSystem/CareConnect-ConditionCategory-1"
    made = one(
        about(
            "Condition",
            clinicalStatus="inactive",
            verificationStatus="confirmed",
            category=[
                {"coding": [{"system": system, "code": "problem-list-item"}, {"system": system, "code": "other"}]},
                {"text": "Of old"},
            ],
            context={"reference": "Encounter/1"},
            assertedDate="2010-01-14",
            abatementDateTime="2012-05-17",
            stage={"summary": {"text": "II"}},
        )
    )
    assert made["clinicalStatus"] == {"coding": [{"system": f"{TERMINOLOGY}condition-clinical", "code": "inactive"}]}
    assert made["verificationStatus"] == {
        "coding": [{"system": f"{TERMINOLOGY}condition-ver-status", "code": "confirmed"}]
    }
    known = {"system": f"{TERMINOLOGY}condition-category", "code": "problem-list-item"}
    assert made["category"] == [{"coding": [known, {"system": system, "code": "other"}]}, {"text": "Of old"}]
    assert made["encounter"] == {"reference": "Encounter/1"}
    assert (made["recordedDate"], made["abatementDateTime"]) == ("2010-01-14", "2012-05-17")
    assert made["stage"] == [{"summary": {"text": "II"}}]


def test_an_episode_of_care_as_context_stays_as_an_extension() -> None:
    context = {"reference": "EpisodeOfCare/1"}
    made = one(about("Condition", context=context))
    assert made["extension"] == [{"url": f"{STU3}Condition.context", "valueReference": context}]
    assert "encounter" not in made


@pytest.mark.parametrize(("said", "date"), [(True, {"extension": [ABSENT]}), (False, None)])
def test_a_bare_yes_or_no_to_whether_it_has_abated(said: bool, date: Any) -> None:
    done = translate([about("Condition", abatementBoolean=said)])
    assert done.resources[0].get("_abatementDateTime") == date
    assert done.left_out == {"Condition.abatementBoolean": 1}


def test_what_a_problem_is_linked_to_stays_linked_by_the_urls_that_it_came_with() -> None:
    url = "https://fhir.hl7.org.uk/STU3/StructureDefinition/Extension-CareConnect-ActualProblem-1"
    linked = {"url": url, "valueReference": {"reference": "Observation/1"}}
    assert one(about("Condition", extension=[linked]))["extension"] == [linked]


def test_a_result_keeps_its_digits_and_a_number_in_words_stays_words() -> None:
    quantity = {"value": Decimal("0.100"), "unit": "10*9/L"}
    made = one(about("Observation", valueQuantity=quantity))
    assert b'"value":0.100' in json_of(made)
    assert one(about("Observation", valueString="Ap 2.400"))["valueString"] == "Ap 2.400"


def test_an_observation_has_r4s_names_for_what_changed() -> None:
    made = one(
        about(
            "Observation",
            comment="Fasting",
            interpretation={"text": "HI - Above high reference limit"},
            context={"reference": "Encounter/1"},
            valueAttachment={"contentType": "application/pdf"},
            component=[
                {"code": {"text": "a"}, "interpretation": {"text": "LO"}, "valueString": "1"},
                {"code": {"text": "b"}, "valueAttachment": {"title": "x"}},
            ],
        )
    )
    assert made["note"] == [{"text": "Fasting"}]
    assert made["interpretation"] == [{"text": "HI - Above high reference limit"}]
    assert made["encounter"] == {"reference": "Encounter/1"}
    attachment = {"url": f"{STU3}Observation.valueAttachment", "valueAttachment": {"contentType": "application/pdf"}}
    assert made["extension"] == [attachment]
    assert made["component"][0]["interpretation"] == [{"text": "LO"}]
    part = {"url": f"{STU3}Observation.component.valueAttachment", "valueAttachment": {"title": "x"}}
    assert made["component"][1] == {"code": {"text": "b"}, "extension": [part]}


def test_each_relation_between_results_has_its_place() -> None:
    def related(number: int, kind: str | None) -> dict[str, Any]:
        target = {"target": {"reference": f"Observation/{number}"}}
        return target if kind is None else target | {"type": kind}

    kinds = ["has-member", "derived-from", "sequel-to", "replaces", "qualified-by", None]
    sent = [related(number, kind) for number, kind in enumerate(kinds)]
    done = translate([about("Observation", related=[*sent, {"type": "has-member"}])])
    made = done.resources[0]
    assert made["hasMember"] == [{"reference": "Observation/0"}]
    assert made["derivedFrom"] == [{"reference": "Observation/1"}]
    assert [(one["url"], one["valueReference"]["reference"]) for one in made["extension"]] == [
        ("http://hl7.org/fhir/StructureDefinition/observation-sequelTo", "Observation/2"),
        ("http://hl7.org/fhir/StructureDefinition/observation-replaces", "Observation/3"),
        (f"{STU3}Observation.related.qualified-by", "Observation/4"),
        (f"{STU3}Observation.related", "Observation/5"),
    ]
    assert done.left_out == {"Observation.related.type": 6}


def test_a_report_refers_to_its_performers_straight() -> None:
    made = one(
        about(
            "DiagnosticReport",
            category={"coding": [{"system": "http://hl7.org/fhir/v2/0074", "code": "PAT"}]},
            performer=[
                {"actor": {"reference": "Organization/1", "display": "A HOSPITAL"}, "role": {"text": "Lab"}},
                {"actor": {"reference": "Practitioner/1"}},
                {"role": {"text": "Nobody"}},
            ],
            codedDiagnosis=[{"text": "Anaemia"}],
            image=[{"comment": "left", "link": {"reference": "Media/1"}}],
            basedOn=[{"reference": "ReferralRequest/1"}],
            context={"reference": "Encounter/1"},
        )
    )
    assert made["category"] == [{"coding": [{"system": f"{TERMINOLOGY}v2-0074", "code": "PAT"}]}]
    role = {"url": f"{STU3}DiagnosticReport.performer.role", "valueCodeableConcept": {"text": "Lab"}}
    first = {"reference": "Organization/1", "display": "A HOSPITAL", "extension": [role]}
    nobody = {"extension": [role | {"valueCodeableConcept": {"text": "Nobody"}}]}
    assert made["performer"] == [first, {"reference": "Practitioner/1"}, nobody]
    assert made["conclusionCode"] == [{"text": "Anaemia"}]
    assert made["media"] == [{"comment": "left", "link": {"reference": "Media/1"}}]
    assert made["basedOn"] == [{"reference": "ServiceRequest/1"}]
    assert made["encounter"] == {"reference": "Encounter/1"}


def test_a_specimen_stays_what_it_is() -> None:
    sent = about("Specimen", type={"text": "VENOUS BLOOD"}, request=[{"reference": "ProcedureRequest/1"}])
    assert one(sent) == sent | {"request": [{"reference": "ServiceRequest/1"}]}
