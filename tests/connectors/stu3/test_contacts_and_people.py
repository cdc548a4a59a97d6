"""Encounter, Appointment, Immunization, Patient, and the parties."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.gp_connect.stu3 import translate
from tests.connectors.stu3.sent import about, national, patient
from tests.connectors.stu3.test_medicines import ABSENT, STU3, one

UK_CORE = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("GP Surgery", "AMB"),
        ("Face to face consultation", "AMB"),
        ("Telephone call to a patient", "VR"),
        ("Telephone consultation", "VR"),
        ("Video consultation", "VR"),
        ("E-consultation", "VR"),
        ("Home visit note", "HH"),
        ("Children's home visit note", "HH"),
        ("Residential home visit note", "HH"),
        ("Nursing home visit note", "HH"),
        ("Administration note", None),
        ("Inbound Referral", None),
        ("Other", None),
        ("Telephone surgery", None),  # two at once: nobody guesses
        ("Homeopathy", None),
        ("Did not attend clinic", None),
        ("Failed telephone encounter", None),
        ("Home visit cancelled", None),
        ("Letter from clinic", None),
        ("Surgery administration", None),
        ("Text message to mobile phone", None),
        ("Postnatal clinic", "AMB"),
    ],
)
@pytest.mark.parametrize("coded", [True, False])
def test_the_class_of_an_encounter_is_told_by_the_words_of_its_type(words: str, code: str | None, coded: bool) -> None:
    kind = {"coding": [{"display": words}]} if coded else {"text": words}
    made = one(about("Encounter", type=[kind]))
    if code is None:
        assert made["class"] == {"extension": [ABSENT]}
    else:
        assert (made["class"]["system"], made["class"]["code"]) == (f"{TERMINOLOGY}v3-ActCode", code)


def test_an_encounter_without_a_type_and_one_with_a_class() -> None:
    assert one(about("Encounter"))["class"] == {"extension": [ABSENT]}
    sent = {"system": "http://hl7.org/fhir/v3/ActCode", "code": "EMER"}
    made = one(about("Encounter", **{"class": sent}))
    assert made["class"] == {"system": f"{TERMINOLOGY}v3-ActCode", "code": "EMER"}


def test_an_encounter_has_r4s_names_for_what_changed() -> None:
    diagnosis = {"condition": {"reference": "Condition/1"}, "rank": 1}
    made = one(
        about(
            "Encounter",
            reason=[{"text": "Cough"}],
            appointment={"reference": "Appointment/1"},
            incomingReferral=[{"reference": "ReferralRequest/1"}],
            diagnosis=[diagnosis | {"role": {"text": "Billing"}}],
        )
    )
    assert made["reasonCode"] == [{"text": "Cough"}]
    assert made["appointment"] == [{"reference": "Appointment/1"}]
    assert made["basedOn"] == [{"reference": "ServiceRequest/1"}]
    assert made["diagnosis"] == [diagnosis | {"use": {"text": "Billing"}}]


def appointment(**more: Any) -> dict[str, Any]:
    participant = [{"actor": {"reference": "Patient/p"}, "status": "accepted"}]
    return {"resourceType": "Appointment", "id": "a", "status": "booked", "participant": participant, **more}


def test_an_appointment_has_r4s_names_and_carries_its_booking_organisation_inside() -> None:
    organisation = {"resourceType": "Organization", "id": "1", "name": "A practice"}
    gpc = "https://fhir.nhs.uk/STU3/StructureDefinition/Extension-GPConnect-"
    done = translate(
        [
            appointment(
                contained=[organisation],
                serviceCategory={"text": "General"},
                reason=[{"text": "Review"}],
                indication=[{"reference": "Condition/1"}],
                incomingReferral=[{"reference": "ReferralRequest/1"}],
                extension=[
                    {"url": f"{gpc}BookingOrganisation-1", "valueReference": {"reference": "#1"}},
                    {"url": f"{gpc}DeliveryChannel-2", "valueCode": "Telephone"},
                    {"url": f"{gpc}AppointmentCancellationReason-1", "valueString": "Moved away"},
                ],
            )
        ]
    )
    (made,) = done.resources
    assert [(one.key, one.became) for one in done.traced] == [
        ("Appointment/a", ("Appointment/a",)),
        ("Appointment/a#1", ("Appointment/a",)),
    ]
    assert made["contained"] == [organisation]
    assert made["serviceCategory"] == [{"text": "General"}]
    assert made["reasonCode"] == [{"text": "Review"}]
    assert made["reasonReference"] == [{"reference": "Condition/1"}]
    assert made["basedOn"] == [{"reference": "ServiceRequest/1"}]
    assert made["cancelationReason"] == {"text": "Moved away"}
    channel = {"system": "https://fhir.hl7.org.uk/CodeSystem/UKCore-DeliveryChannel", "code": "Telephone"}
    assert made["extension"] == [
        {"url": f"{UK_CORE}BookingOrganization", "valueReference": {"reference": "#1"}},
        {"url": f"{UK_CORE}DeliveryChannel", "valueCodeableConcept": {"coding": [channel]}},
    ]


def test_a_reason_for_cancelling_that_is_no_text_stays_an_extension() -> None:
    odd = {
        "url": "https://fhir.nhs.uk/STU3/StructureDefinition/Extension-GPConnect-AppointmentCancellationReason-1",
        "valueCode": "x",
    }
    assert one(appointment(extension=[odd]))["extension"] == [odd]


def test_an_immunisation_without_a_date_says_that_it_has_none() -> None:
    made = one(about("Immunization"))
    assert made["_occurrenceDateTime"] == {"extension": [ABSENT]}
    dated = one(about("Immunization", date="2020-10"))
    assert dated["occurrenceDateTime"] == "2020-10"
    assert "_occurrenceDateTime" not in dated


@pytest.mark.parametrize(
    ("status", "not_given", "became"),
    [
        ("completed", False, "completed"),
        ("completed", True, "not-done"),
        ("entered-in-error", True, "entered-in-error"),
        (None, True, "not-done"),
    ],
)
def test_what_was_not_given_is_not_done(status: str | None, not_given: bool, became: str) -> None:
    sent = about("Immunization", date="2020", notGiven=not_given)
    sent = {name: value for name, value in sent.items() if name != "status"} | ({"status": status} if status else {})
    made = one(sent)
    assert made["status"] == became
    kept = {extension["url"].removeprefix(STU3) for extension in made.get("extension", [])}
    if not_given and status:
        assert kept == {"Immunization.status" if became == "not-done" else "Immunization.notGiven"}


@pytest.mark.parametrize("name", ["reasonNotGiven", "notGivenReason"])
def test_why_it_was_not_given_is_the_reason_of_the_status(name: str) -> None:
    reasons = [{"text": "Unwell"}, {"text": "Declined"}]
    made = one(about("Immunization", notGiven=True, explanation={name: reasons, "reason": [{"text": "Due"}]}))
    assert made["statusReason"] == {"text": "Unwell"}
    assert made["reasonCode"] == [{"text": "Due"}]
    second = {
        "url": f"{STU3}Immunization.explanation.reasonNotGiven",
        "valueCodeableConcept": {"text": "Declined"},
    }
    assert second in made["extension"]


@pytest.mark.parametrize("given", [{}, {"notGiven": False}])
def test_a_vaccine_with_a_reason_for_not_giving_it_is_not_shown_as_given(given: dict[str, Any]) -> None:
    sent = about("Immunization", explanation={"reasonNotGiven": [{"text": "Declined"}]})
    del sent["notGiven"]
    made = one(sent | given)
    assert "status" not in made
    was = {"url": f"{STU3}Immunization.status", "valueCode": "completed"}
    assert made["_status"] == {"extension": [ABSENT, was]}
    assert made["statusReason"] == {"text": "Declined"}


def test_an_immunisation_has_r4s_names_for_what_changed() -> None:
    made = one(
        about(
            "Immunization",
            date="2019-06-28",
            practitioner=[{"actor": {"reference": "Practitioner/1"}, "role": {"coding": [{"code": "AP"}]}}],
            vaccinationProtocol=[
                {"doseSequence": 1, "seriesDoses": 3, "targetDisease": [{"text": "Hepatitis A"}]}
                | {"doseStatus": {"text": "Counts"}, "description": "first"},
                {"targetDisease": [{"text": "Hepatitis B"}]},
            ],
            extension=[
                national("DateRecorded", valueDateTime="2019-06-28T10:00:00+01:00"),
                national("ParentPresent", valueBoolean=True),
            ],
        )
    )
    performer = {"actor": {"reference": "Practitioner/1"}, "function": {"coding": [{"code": "AP"}]}}
    assert made["performer"] == [performer]
    assert made["recorded"] == "2019-06-28T10:00:00+01:00"
    assert made["extension"] == [{"url": f"{UK_CORE}ParentPresent", "valueBoolean": True}]
    first, second = made["protocolApplied"]
    assert (first["doseNumberPositiveInt"], first["seriesDosesPositiveInt"]) == (1, 3)
    assert [extension["url"].rpartition(".")[2] for extension in first["extension"]] == ["description", "doseStatus"]
    assert second["_doseNumberPositiveInt"] == {"extension": [ABSENT]}


def language(**more: Any) -> dict[str, Any]:
    return {"url": "language", "valueCodeableConcept": {"coding": [{"code": "gd"}]}, **more}


def test_the_language_of_a_patient_is_r4s_communication() -> None:
    parts = [
        language(),
        {"url": "preferred", "valueBoolean": True},
        {"url": "modeOfCommunication", "valueCodeableConcept": {"coding": [{"code": "RSP"}]}},
        {"url": "communicationProficiency", "valueCodeableConcept": {"coding": [{"code": "E"}]}},
        {"url": "interpreterRequired", "valueBoolean": True},
    ]
    made = one(patient(extension=[national("NHSCommunication", extension=parts)]))
    hl7 = "http://hl7.org/fhir/StructureDefinition/patient-"
    assert made["communication"] == [
        {
            "language": {"coding": [{"code": "gd"}]},
            "preferred": True,
            "extension": [
                {"url": f"{hl7}proficiency", "extension": [{"url": "type", "valueCoding": {"code": "RSP"}}]},
                {"url": f"{hl7}proficiency", "extension": [{"url": "level", "valueCoding": {"code": "E"}}]},
            ],
        }
    ]
    assert made["extension"] == [{"url": f"{hl7}interpreterRequired", "valueBoolean": True}]


@pytest.mark.parametrize(
    "parts",
    [
        [{"url": "preferred", "valueBoolean": True}],
        [language(), language()],
        [language(), {"url": "preferred", "valueString": "yes"}],
        [language(), {"url": "signs", "valueBoolean": True}],
        [language(), {"url": "modeOfCommunication", "valueCodeableConcept": {"text": "spoken"}}],
        [{"url": "language", "valueString": "Gaelic"}],
    ],
)
def test_a_language_that_r4_can_not_hold_whole_stays_an_extension(parts: list[dict[str, Any]]) -> None:
    sent = national("NHSCommunication", extension=parts)
    made = one(patient(extension=[sent]))
    assert made["extension"] == [sent]
    assert "communication" not in made


def test_the_verification_of_the_nhs_number_is_uk_cores() -> None:
    system = "https://fhir.nhs.uk/STU3/CodeSystem/CareConnect-NHSNumberVerificationStatus-1"
    concept = {"coding": [{"system": system, "code": "01", "display": "Number present and verified"}]}
    number = {
        "extension": [national("NHSNumberVerificationStatus", valueCodeableConcept=concept)],
        "system": "https://fhir.nhs.uk/Id/nhs-number",
        "value": "9990000018",
    }
    (made,) = one(patient(identifier=[number]))["identifier"]
    assert made["value"] == "9990000018"
    (extension,) = made["extension"]
    assert extension["url"] == f"{UK_CORE}NHSNumberVerificationStatus"
    (coding,) = extension["valueCodeableConcept"]["coding"]
    assert coding["system"] == "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatusEngland"
    assert (coding["code"], coding["display"]) == ("01", "Number present and verified")


def test_registration_details_stay_as_they_came_and_an_animal_does_not() -> None:
    details = national(
        "RegistrationDetails", extension=[{"url": "registrationPeriod", "valuePeriod": {"start": "1962"}}]
    )
    done = translate([patient(extension=[details], animal={"species": {"text": "Dog"}})])
    assert done.resources[0]["extension"] == [details]
    assert done.left_out == {"Patient.animal": 1}


def test_extensions_of_a_birth_date_go_where_the_date_goes_and_of_a_status_nowhere() -> None:
    time = {
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": "2000"}]
    }
    assert one(patient(birthDate="2000-01-01", _birthDate=time))["_birthDate"] == time
    done = translate([about("Condition", _assertedDate=time, _clinicalStatus=time)])
    assert done.resources[0]["_recordedDate"] == time
    assert done.left_out == {"Condition._clinicalStatus": 1}


def test_a_location_may_have_several_types() -> None:
    sent = {"resourceType": "Location", "id": "l", "type": {"text": "Branch Surgery"}}
    assert one(sent)["type"] == [{"text": "Branch Surgery"}]
