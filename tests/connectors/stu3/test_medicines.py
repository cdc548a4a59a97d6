"""MedicationStatement, MedicationRequest, Medication: one medicine, as it was written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from connectors.gp_connect.stu3 import translate
from tests.connectors.stu3.sent import about, json_of, national
from tests.connectors.stu3.test_records import load_as_r4

STU3 = "http://hl7.org/fhir/3.0/StructureDefinition/extension-"
ABSENT = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}


def one(resource: dict[str, Any]) -> dict[str, Any]:
    done = translate([resource])
    assert [trace.reason for trace in done.traced if trace.reason] == []
    load_as_r4(done.resources[0])
    return done.resources[0]


def test_a_statement_keeps_its_link_to_the_plan_and_loses_the_unknown_taken() -> None:
    sent = about("MedicationStatement", basedOn=[{"reference": "MedicationRequest/plan"}])
    done = translate([sent])
    assert done.resources[0]["basedOn"] == [{"reference": "MedicationRequest/plan"}]
    assert "taken" not in done.resources[0]
    assert done.left_out == {"MedicationStatement.taken": 1}


@pytest.mark.parametrize(
    ("status", "taken", "became"),
    [
        ("active", "y", "active"),
        ("active", "unk", "active"),
        ("completed", "n", "not-taken"),
        ("entered-in-error", "n", "entered-in-error"),
    ],
)
def test_what_was_not_taken_says_so_in_its_status(status: str, taken: str, became: str) -> None:
    made = one(about("MedicationStatement", status=status, taken=taken))
    assert made["status"] == became
    if became == "not-taken":
        assert made["extension"] == [{"url": f"{STU3}MedicationStatement.status", "valueCode": status}]


@pytest.mark.parametrize("status", ["active", "entered-in-error", None])
def test_a_word_that_may_mean_not_taken_leaves_nothing_active(status: str | None) -> None:
    made = one(about("MedicationStatement", status=status, taken="No"))
    assert made.get("status") == ("entered-in-error" if status == "entered-in-error" else None)
    assert {"url": f"{STU3}MedicationStatement.taken", "valueCode": "No"} in made["extension"]
    if status == "active":
        was = {"url": f"{STU3}MedicationStatement.status", "valueCode": "active"}
        assert made["_status"] == {"extension": [ABSENT, was]}
    assert translate([about("MedicationStatement", taken=["n", "y"])]).broken.total() == 1


def test_why_it_was_not_taken_is_the_reason_of_the_status() -> None:
    reason = {"text": "Felt dizzy"}
    assert one(about("MedicationStatement", taken="n", reasonNotTaken=[reason]))["statusReason"] == [reason]


@pytest.mark.parametrize("kind", ["MedicationRequest", "MedicationStatement"])
def test_a_status_that_r4_demands_and_nobody_sent_is_absent_with_a_reason(kind: str) -> None:
    sent = about(kind)
    del sent["status"]
    assert one(sent)["_status"] == {"extension": [ABSENT]}


def test_a_status_that_r4_does_not_know_stays_beside_the_absent_one() -> None:
    made = one(about("MedicationRequest", status="paused-by-pharmacy"))
    kept = {"url": f"{STU3}MedicationRequest.status", "valueCode": "paused-by-pharmacy"}
    assert "status" not in made
    assert made["_status"] == {"extension": [ABSENT, kept]}


def test_doses_are_gathered_with_their_digits_and_words_stay() -> None:
    dose = {"value": Decimal("0.50"), "unit": "tablet"}
    rate = {"numerator": {"value": Decimal("1.0"), "unit": "ml"}, "denominator": {"value": 1, "unit": "h"}}
    dosage = {"text": "Half a tablet at night", "doseQuantity": dose, "rateRatio": rate, "asNeededBoolean": True}
    made = one(about("MedicationStatement", dosage=[dosage, {"text": "as before"}]))
    first, second = made["dosage"]
    assert first["doseAndRate"] == [{"doseQuantity": dose, "rateRatio": rate}]
    assert (first["text"], first["asNeededBoolean"]) == ("Half a tablet at night", True)
    assert second == {"text": "as before"}
    assert b'"value":0.50' in json_of(made)


def test_the_requester_and_on_whose_behalf_are_one_reference() -> None:
    agent, behalf = {"reference": "Practitioner/1"}, {"reference": "Organization/2"}
    made = one(about("MedicationRequest", requester={"agent": agent, "onBehalfOf": behalf}))
    extension = {"url": f"{STU3}MedicationRequest.requester.onBehalfOf", "valueReference": behalf}
    assert made["requester"] == agent | {"extension": [extension]}


def test_an_unknown_part_of_the_requester_is_counted() -> None:
    done = translate([about("MedicationRequest", requester={"who": "me"})])
    assert done.left_out == {"MedicationRequest.requester.who": 1}
    assert "requester" not in done.resources[0]


def test_a_request_has_r4s_names_for_what_changed() -> None:
    made = one(
        about(
            "MedicationRequest",
            category={"coding": [{"system": "http://hl7.org/fhir/medication-request-category", "code": "community"}]},
            context={"reference": "Encounter/1"},
            substitution={"allowed": False},
            definition=[{"reference": "PlanDefinition/1"}],
            basedOn=[{"reference": "ProcedureRequest/9"}],
        )
    )
    coding = {"system": "http://terminology.hl7.org/CodeSystem/medicationrequest-category", "code": "community"}
    assert made["category"] == [{"coding": [coding]}]
    assert made["encounter"] == {"reference": "Encounter/1"}
    assert made["substitution"] == {"allowedBoolean": False}
    assert made["basedOn"] == [{"reference": "ServiceRequest/9"}]
    plan = {"url": f"{STU3}MedicationRequest.definition", "valueReference": {"reference": "PlanDefinition/1"}}
    assert made["extension"] == [plan]


def test_why_a_prescription_stopped_is_r4s_reason_and_the_date_stays() -> None:
    reason = {"url": "statusReason", "valueCodeableConcept": {"text": "Prescribing error"}}
    when = {"url": "statusChangeDate", "valueDateTime": "2010-01-14T10:38:27.007+00:00"}
    made = one(about("MedicationRequest", extension=[national("MedicationStatusReason", extension=[reason, when])]))
    assert made["statusReason"] == {"text": "Prescribing error"}
    assert made["extension"] == [national("MedicationStatusReason", extension=[when])]


def test_a_reason_alone_leaves_no_extension_and_an_unreadable_one_stays() -> None:
    reason = {"url": "statusReason", "valueCodeableConcept": {"text": "Allergy"}}
    alone = one(about("MedicationRequest", extension=[national("MedicationStatusReason", extension=[reason])]))
    assert "extension" not in alone
    odd = national("MedicationStatusReason", extension=[{"url": "statusReason", "valueString": "Allergy"}])
    assert one(about("MedicationRequest", extension=[odd]))["extension"] == [odd]


def test_repeat_or_acute_is_told_where_r4_looks_for_it() -> None:
    repeat = {
        "coding": [{"system": "https://fhir.nhs.uk/STU3/CodeSystem/CareConnect-PrescriptionType-1", "code": "repeat"}]
    }
    sent = [national("PrescriptionType", valueCodeableConcept=repeat)]
    made = one(about("MedicationRequest", extension=sent))
    assert made["courseOfTherapyType"] == repeat
    twice = one(about("MedicationRequest", extension=sent * 2))
    assert twice["extension"] == sent


def test_what_uk_core_calls_otherwise_is_called_so() -> None:
    agency = {
        "coding": [
            {
                "system": "https://fhir.nhs.uk/STU3/CodeSystem/CareConnect-PrescribingAgency-1",
                "code": "prescribed-at-gp-practice",
            }
        ]
    }
    made = one(
        about(
            "MedicationStatement",
            extension=[
                national("PrescribingAgency", valueCodeableConcept=agency),
                national("MedicationStatementLastIssueDate", valueDateTime="2016-09-11"),
            ],
        )
    )
    prefix = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-"
    assert [extension["url"] for extension in made["extension"]] == [
        f"{prefix}MedicationPrescribingOrganizationType",
        f"{prefix}MedicationStatementLastIssueDate",
    ]
    (coding,) = made["extension"][0]["valueCodeableConcept"]["coding"]
    assert coding["system"] == "https://fhir.hl7.org.uk/CodeSystem/UKCore-MedicationPrescribingOrganizationType"


def test_both_codes_of_a_medicine_stay_and_its_packet_is_an_extension() -> None:
    code = {
        "coding": [
            {"system": "https://fhir.hl7.org.uk/Id/emis-drug-codes", "code": "FLTA4941", "userSelected": True},
            {"system": "http://snomed.info/sct", "code": "321945000", "display": "Fluvoxamine 50mg tablets"},
        ]
    }
    ratio = {"numerator": {"value": 50, "unit": "mg"}, "denominator": {"value": 1, "unit": "tablet"}}
    package = {
        "container": {"text": "Blister"},
        "content": [{"itemReference": {"reference": "#a"}, "amount": {"value": 28, "unit": "tablet"}}],
        "batch": [{"lotNumber": "A1", "expirationDate": "2024-01"}, {"lotNumber": "A2"}],
    }
    ingredient = {"itemCodeableConcept": {"text": "Fluvoxamine"}, "amount": ratio}
    made = one(
        {"resourceType": "Medication", "id": "m", "code": code, "isBrand": False, "package": package}
        | {"ingredient": [ingredient], "isOverTheCounter": True, "image": [{"url": "https://example.org/1"}]}
    )
    assert made["code"] == code
    assert made["ingredient"] == [{"itemCodeableConcept": {"text": "Fluvoxamine"}, "strength": ratio}]
    assert made["batch"] == {"lotNumber": "A1", "expirationDate": "2024-01"}
    by_url = {extension["url"].removeprefix(STU3): extension for extension in made["extension"]}
    assert by_url["Medication.isBrand"]["valueBoolean"] is False
    assert by_url["Medication.isOverTheCounter"]["valueBoolean"] is True
    assert by_url["Medication.image"]["valueAttachment"] == {"url": "https://example.org/1"}
    assert [part["url"] for part in by_url["Medication.package"]["extension"]] == ["container", "content", "batch"]


def test_a_batch_alone_needs_no_extension() -> None:
    made = one({"resourceType": "Medication", "id": "m", "package": {"batch": [{"lotNumber": "A1"}]}})
    assert made == {"resourceType": "Medication", "id": "m", "batch": {"lotNumber": "A1"}}
