"""Which answers are this patient's, one rule at a time."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.sdk.bundle import MAX_DEPTH, MAX_ENTRIES
from connectors.sdk.model import NHS_NUMBER_SYSTEM, Answer, Gap, Item, Outcome, Resource, Section, SourceWarning
from gateway.guard import NO_PATIENT, TOLD_DROPPED, TOLD_QUARANTINED, TOO_MUCH, UNREADABLE, WRONG_PATIENT, Guarded
from tests.unit.pipeline import (
    EVERYTHING,
    NHS,
    OTHER,
    PRACTICE,
    TRUST,
    address_of,
    an_item,
    answered,
    gap_everywhere,
    guarded,
    patient,
    resource,
)

BASE = address_of(TRUST)
ANOTHERS = {"system": NHS_NUMBER_SYSTEM, "value": OTHER}
ONES_OWN = {"system": NHS_NUMBER_SYSTEM, "value": NHS}


def kept(*bodies: Resource, **more: Any) -> list[str]:
    """The ids of what passes, beside the patient, of an answer that raises no alarm."""
    result = guarded(answered(TRUST, patient(), *bodies, **more))
    assert not result.alarms
    assert result.answers[0].outcome is Outcome.ANSWERED
    assert not result.answers[0].gaps
    return [item.original_id for item in result.answers[0].items[1:]]


def assert_quarantined(result: Guarded, kind: str = WRONG_PATIENT, count: int | None = None) -> None:
    (answer,) = result.answers
    (alarm,) = result.alarms
    assert (answer.items, answer.warnings, answer.outcome) == ([], [], Outcome.FAILED)
    assert answer.gaps == dict.fromkeys(EVERYTHING, Gap.IDENTITY_ALARM)
    assert answer.told == TOLD_QUARANTINED
    assert (alarm.source, alarm.kind) == (TRUST, kind)
    assert alarm.count == count if count else alarm.count >= 1
    assert NHS not in answer.detail
    assert OTHER not in answer.detail


def assert_dropped(result: Guarded, section: Section | None) -> None:
    (answer,) = result.answers
    assert [item.original_id for item in answer.items] == ["p1", "good"]
    assert [(alarm.kind, alarm.count) for alarm in result.alarms] == [(NO_PATIENT, 1)]
    if section is None:
        assert (answer.outcome, answer.gaps) == (Outcome.ANSWERED, {})
    else:
        assert (answer.outcome, answer.gaps) == (Outcome.PARTIAL, {section: Gap.HELD_BACK})
        assert answer.told == TOLD_DROPPED


GOOD = "good"


def beside_a_good_one(bad: Resource) -> Guarded:
    return guarded(answered(TRUST, patient(), resource("Condition", GOOD), bad))


@pytest.mark.parametrize(
    "reference",
    ["Patient/p1", "Patient/p1/_history/7", f"{BASE}/Patient/p1", f"{BASE}/Patient/p1/_history/7"],
)
def test_a_source_may_name_its_patient_in_each_way_that_fhir_has(reference: str) -> None:
    assert kept(resource("Observation", "o1", reference), resource("Appointment", "a1", reference)) == ["o1", "a1"]


@pytest.mark.parametrize(
    "url", ["urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7", "urn:oid:1.2.3", "http://inside/Patient/p1"]
)
def test_the_entrys_own_address_names_the_patient(url: str) -> None:
    items = [an_item(TRUST, patient(), full_url=url), an_item(TRUST, resource("Observation", "o1", url))]
    result = guarded(Answer(TRUST, Outcome.ANSWERED, items))
    assert not result.alarms
    assert len(result.answers[0].items) == 2


@pytest.mark.parametrize("url", ["Patient/p2", "http://inside/Patient/p2", "https://other.example/fhir/Patient/p2"])
def test_an_entrys_address_that_is_not_its_own_names_nobody(url: str) -> None:
    items = [an_item(TRUST, patient(), full_url=url), an_item(TRUST, resource("Observation", "o1", url))]
    assert_quarantined(guarded(Answer(TRUST, Outcome.ANSWERED, items)))


def test_the_subject_may_be_named_by_nhs_number_alone() -> None:
    logical = {"type": "Patient", "identifier": ONES_OWN, "display": "Elsie"}
    assert kept(
        resource("Observation", "o1", None, subject=logical),
        resource("Observation", "o2", None, subject={"identifier": ONES_OWN}),
        resource("Appointment", "a1", None, participant=[{"actor": logical, "status": "accepted"}]),
    ) == ["o1", "o2", "a1"]


def test_the_subject_may_be_a_contained_patient_with_the_number() -> None:
    assert kept(resource("Observation", "o1", "#me", contained=[patient("me")])) == ["o1"]


def test_every_type_says_whom_it_is_about_in_its_own_element() -> None:
    kinds = [
        "AllergyIntolerance", "MedicationStatement", "MedicationRequest", "Encounter", "Appointment", "Observation",
        "DiagnosticReport", "Condition", "Immunization", "CareTeam",
    ]  # fmt: skip
    assert kept(*(resource(kind, kind) for kind in kinds)) == kinds


def test_supporting_resources_need_no_patient() -> None:
    kinds = ["Medication", "Practitioner", "PractitionerRole", "Organization", "Location", "Device", "Specimen"]
    assert kept(*(resource(kind, kind) for kind in kinds)) == kinds


def test_other_references_in_every_spelling_are_nobodys_patient() -> None:
    others = [
        "Practitioner/1", "Location/Outpatient Clinic A", "Location/Clinic%20A", "Organization/x_y",
        "https://x.nhs.uk/patient/fhir/Device/9",
        "urn:uuid:00000000-0000-0000-0000-000000000000", "Observation/Patient", "#", "Encounter/1/_history/2",
        "https://fhir.example/Outpatients/Practitioner/7", "Inpatient", "",
    ]  # fmt: skip
    assert kept(resource("Observation", "o1", performer=[{"reference": one} for one in others])) == ["o1"]


def test_a_number_as_people_write_it_is_the_same_number() -> None:
    written = f"{NHS[:3]} {NHS[3:6]} {NHS[6:]}"
    identifier = {"system": "https://trust.example/nhs-number", "value": written}
    assert kept(resource("Observation", "o1", identifier=[identifier])) == ["o1"]


def test_an_identifier_without_a_value_is_nobodys_number() -> None:
    assert kept(resource("Observation", "o1", identifier=[{"system": NHS_NUMBER_SYSTEM}])) == ["o1"]


@pytest.mark.parametrize(
    "identifiers",
    [
        [],
        [ANOTHERS],
        [{"system": "https://trust.example/mrn", "value": NHS}],
        [{"system": "https://trust.example/mothers-nhs-number", "value": NHS}],
        [{"value": NHS}],
        [{"system": NHS_NUMBER_SYSTEM}],
        [ONES_OWN, ANOTHERS],
        [ONES_OWN, {"system": "urn:oid:2.16.840.1.113883.2.1.4.1", "value": OTHER}],
    ],
)
def test_a_patient_without_just_this_number_is_somebody_else(identifiers: list[dict[str, Any]]) -> None:
    stranger = {"resourceType": "Patient", "id": "p1", "identifier": identifiers}
    assert_quarantined(guarded(answered(TRUST, stranger, resource("Observation", "o1"))))


def test_a_patient_without_any_identifier_is_somebody_else() -> None:
    assert_quarantined(guarded(answered(TRUST, {"resourceType": "Patient", "id": "p1"})))


@pytest.mark.parametrize(
    "system",
    [
        NHS_NUMBER_SYSTEM, f"{NHS_NUMBER_SYSTEM}/", "http://fhir.nhs.uk/Id/nhs-number", "https://fhir.nhs.uk/id/NHS-Number",
        "http://fhir.nhs.net/Id/nhs-number", "urn:oid:2.16.840.1.113883.2.1.4.1", "2.16.840.1.113883.2.1.4.1",
        "https://trust.example/nhs_number", "NHS No",
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["identifier", "subject", "extension", "contained", "supporting"])
def test_another_persons_number_anywhere_under_any_spelling_empties_the_source(system: str, where: str) -> None:
    number = {"system": system, "value": OTHER}
    bad = {
        "identifier": resource("Observation", "o1", identifier=[number]),
        "subject": resource("Observation", "o1", None, subject={"reference": "Patient/p1", "identifier": number}),
        "extension": resource(
            "Observation", "o1", extension=[{"url": "x", "extension": [{"url": "y", "valueIdentifier": number}]}]
        ),
        "contained": resource(
            "Observation", "o1", contained=[{"resourceType": "RelatedPerson", "id": "r", "identifier": [number]}]
        ),
        "supporting": resource("Practitioner", "d1", identifier=[number]),
    }[where]
    assert_quarantined(guarded(answered(TRUST, patient(), bad, warnings=[SourceWarning(None, "x", "y")])), count=1)


def test_a_patient_without_a_number_is_found_however_deep_it_is_contained() -> None:
    stranger = {"resourceType": "Patient", "id": "x"}
    nested = {"resourceType": "List", "id": "l", "contained": [{"resourceType": "List", "contained": [stranger]}]}
    for contained in ([stranger], [nested], [patient("own"), nested]):
        assert_quarantined(guarded(answered(TRUST, patient(), resource("Observation", "o1", contained=contained))))


def test_two_patients_with_the_same_number_are_nobody() -> None:
    assert_quarantined(guarded(answered(TRUST, patient("p1"), patient("p2"), resource("Observation", "o1"))), count=3)


def test_the_same_patient_by_two_searches_is_one() -> None:
    assert kept(patient(), resource("Observation", "o1")) == ["p1", "o1"]


def test_each_copy_of_the_patient_must_carry_the_number() -> None:
    second = {"resourceType": "Patient", "id": "p1", "name": [{"family": "Somebody"}]}
    assert_quarantined(guarded(answered(TRUST, patient(), second)), count=1)


def test_a_merged_record_is_still_this_patients_and_its_links_go_no_further() -> None:
    linked = patient(link=[{"type": "replaces", "other": {"reference": "Patient/p2"}}])
    done = guarded(answered(TRUST, linked))
    assert not done.alarms
    assert [item.type for item in done.answers[0].items] == ["Patient"]
    assert "link" not in done.answers[0].items[0].resource


def test_an_answer_without_a_patient_proves_nothing() -> None:
    assert_quarantined(guarded(answered(TRUST, resource("Condition", "c1", "Patient/p1"))), WRONG_PATIENT)
    assert_quarantined(guarded(answered(TRUST, resource("Practitioner", "d1"))), NO_PATIENT, 1)
    assert_quarantined(guarded(Answer(TRUST, Outcome.ANSWERED)), NO_PATIENT, 1)
    assert_quarantined(guarded(Answer(TRUST, Outcome.PARTIAL, gaps={Section.RESULTS: Gap.FAILED})), NO_PATIENT, 1)


@pytest.mark.parametrize("outcome", [one for one in Outcome if one not in (Outcome.ANSWERED, Outcome.PARTIAL)])
def test_an_answer_that_brings_nothing_has_nothing_to_guard(outcome: Outcome) -> None:
    gaps = {} if outcome is Outcome.NO_RECORD else gap_everywhere(Gap.FAILED)
    result = guarded(Answer(TRUST, outcome, gaps=dict(gaps), told="as it was"))
    assert not result.alarms
    assert (result.answers[0].outcome, result.answers[0].gaps, result.answers[0].told) == (outcome, gaps, "as it was")


def test_one_bad_source_does_not_touch_another() -> None:
    bad = answered(TRUST, patient(number=OTHER))
    good = answered(PRACTICE, patient("own"), resource("Observation", "o1", "Patient/own"))
    result = guarded(bad, good)
    assert [alarm.source for alarm in result.alarms] == [TRUST]
    assert (result.answers[0].items, len(result.answers[1].items)) == ([], 2)
    assert result.answers[1].outcome is Outcome.ANSWERED


def test_the_absolute_address_of_one_source_means_nobody_at_another() -> None:
    there = resource("Observation", "o1", f"{address_of(PRACTICE)}/Patient/p1")
    assert_quarantined(guarded(answered(TRUST, patient(), there)))


@pytest.mark.parametrize(
    "bad",
    [
        resource("Observation", "o1", None),
        resource("Observation", "o1", None, subject={"display": "Elsie"}),
        resource("Observation", "o1", None, subject={"identifier": {"system": "https://x/mrn", "value": "7"}}),
        resource("Observation", "o1", None, subject={"type": "Patient", "display": "Mrs Other"}),
        resource("Observation", "o1", "Group/ward-3"),
        resource("Observation", "o1", "Device/1"),
        resource("Observation", "o1", "Location/1"),
        resource("Observation", "o1", "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7"),
        resource("Observation", "o1", "#nobody"),
        resource("Observation", "o1", "#"),
        resource("Observation", "o1", ""),
        resource("Observation", "o1", "p1"),
        resource("Observation", "o1", "#r", contained=[{"resourceType": "RelatedPerson", "id": "r"}]),
        resource("Observation", "o1", "#r", contained=[patient("own"), {"resourceType": "RelatedPerson", "id": "r"}]),
        resource("Observation", "o1", focus=[{"reference": "RelatedPerson/mother"}]),
        resource("Observation", "o1", focus=[{"reference": "Device/1"}, {"reference": "Group/family"}]),
        resource("Observation", "o1", focus=[{"reference": "#r"}]),
        resource("Observation", "o1", focus=[{"display": "the donor"}]),
        resource("Observation", "o1", focus=[{"reference": "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7"}]),
        resource("Observation", "o1", performer=[{"type": "Patient", "identifier": {"system": "mrn", "value": "9"}}]),
        resource(
            "Observation",
            "o1",
            contained=[{"resourceType": "Condition", "id": "c", "subject": {"identifier": {"value": "9"}}}],
        ),
        resource("Observation", ""),
    ],
)  # fmt: skip
def test_what_does_not_say_that_it_is_about_the_patient_is_dropped_alone(bad: Resource) -> None:
    assert_dropped(beside_a_good_one(bad), Section.RESULTS)


def test_a_resource_about_the_patient_under_another_element_is_dropped() -> None:
    misplaced = resource("AllergyIntolerance", "a1", None, subject={"reference": "Patient/p1"})
    assert_dropped(beside_a_good_one(misplaced), Section.ALLERGIES)


@pytest.mark.parametrize(
    "bad",
    [
        resource("Specimen", "s1", subject={"reference": "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7"}),
        resource("Specimen", "s1", subject={"reference": "Group/1"}),
        resource("Device", "d1", patient={"identifier": {"system": "mrn", "value": "9"}}),
        resource("RelatedPerson", "r1"),
        resource("List", "l1"),
        resource("Bundle", "b1"),
    ],
)
def test_a_supporting_resource_of_another_kind_or_person_is_dropped(bad: Resource) -> None:
    assert_dropped(beside_a_good_one(bad), None)


def test_supporting_resources_that_belong_to_the_patient_or_a_thing_stay() -> None:
    assert kept(
        resource("Specimen", "s1", subject={"reference": "Patient/p1"}),
        resource("Specimen", "s2", subject={"reference": f"{BASE}/Device/7/_history/1"}),
        resource("Device", "d1", patient={"identifier": ONES_OWN}),
    ) == ["s1", "s2", "d1"]


def test_an_observation_may_focus_on_the_patient_or_a_thing() -> None:
    focus = [{"reference": "Patient/p1"}, {"reference": "Device/1"}, {"reference": f"{BASE}/Specimen/2"}]
    assert kept(resource("Observation", "o1", focus=focus)) == ["o1"]


def test_contained_resources_about_the_patient_stay() -> None:
    inside = [
        {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p1"}},
        {"resourceType": "Observation", "id": "o"},
        {"resourceType": "Medication", "id": "m"},
    ]
    assert kept(resource("Observation", "o1", contained=inside)) == ["o1"]


def test_a_connector_can_not_smuggle_a_type_into_another_section() -> None:
    body = resource("Condition", "c1")
    for section in (None, Section.RESULTS):
        good = an_item(TRUST, resource("Condition", GOOD))
        items = [an_item(TRUST, patient()), good, Item(TRUST, body, section, "c1")]
        assert_dropped(guarded(Answer(TRUST, Outcome.ANSWERED, items)), Section.PROBLEMS)
    hidden = Item(TRUST, patient("p2", OTHER), None, "p2")
    assert_quarantined(guarded(Answer(TRUST, Outcome.ANSWERED, [an_item(TRUST, patient()), hidden])))


def test_a_gap_that_is_known_already_keeps_its_reason() -> None:
    answer = answered(TRUST, patient(), resource("Observation", "o1", None), outcome=Outcome.PARTIAL, told="in part")
    answer.gaps[Section.RESULTS] = Gap.TIMED_OUT
    result = guarded(answer)
    assert (answer.gaps, answer.told) == ({Section.RESULTS: Gap.TIMED_OUT}, "in part")
    assert len(result.alarms) == 1


def test_an_appointment_with_another_patient_empties_the_source() -> None:
    people = [{"actor": {"reference": one}, "status": "accepted"} for one in ("Patient/p1", "Patient/p2")]
    assert_quarantined(guarded(answered(TRUST, patient(), resource("Appointment", "a1", None, participant=people))))


def test_an_appointment_with_a_patient_who_is_not_numbered_is_dropped() -> None:
    other = {"actor": {"type": "Patient", "identifier": {"system": "mrn", "value": "9"}}, "status": "accepted"}
    mine = {"actor": {"reference": "Patient/p1"}, "status": "accepted"}
    assert_dropped(beside_a_good_one(resource("Appointment", "a1", None, participant=[mine, other])), Section.CONTACTS)
    assert_dropped(beside_a_good_one(resource("Appointment", "a1", None)), Section.CONTACTS)


@pytest.mark.parametrize(
    "broken",
    [
        {"resourceType": "Patient", "id": "p1", "identifier": [None]},
        {"resourceType": "Patient", "id": "p1", "identifier": "x"},
        {"resourceType": "Observation", "id": "o1", "subject": "Patient/p1"},
        {"resourceType": "Observation", "id": "o1", "subject": [{"reference": "Patient/p1"}]},
        {"resourceType": "Observation", "id": "o1", "subject": {"identifier": 5}},
        {"resourceType": "Observation", "id": "o1", "subject": {"reference": "#x"}, "contained": 5},
        {"resourceType": "Appointment", "id": "a1", "participant": [None]},
    ],
)
def test_a_shape_that_nobody_foresaw_costs_that_source_alone(broken: Resource) -> None:
    bad = answered(TRUST, patient(), broken)
    good = answered(PRACTICE, patient("own"))
    result = guarded(bad, good)
    assert (bad.items, bad.outcome) == ([], Outcome.FAILED)
    assert bad.gaps == dict.fromkeys(EVERYTHING, Gap.IDENTITY_ALARM)
    assert [(alarm.source, alarm.kind) for alarm in result.alarms] in ([(TRUST, UNREADABLE)], [(TRUST, WRONG_PATIENT)])
    assert (good.outcome, len(good.items)) == (Outcome.ANSWERED, 1)


def test_a_resource_without_a_type_is_unreadable() -> None:
    item = Item(TRUST, {"id": "x"}, None, "x")
    result = guarded(Answer(TRUST, Outcome.ANSWERED, [an_item(TRUST, patient()), item]))
    assert [alarm.kind for alarm in result.alarms] == [UNREADABLE]
    assert result.answers[0].items == []


def test_more_than_can_be_checked_is_not_shown() -> None:
    many = [an_item(TRUST, patient())] * (2 * MAX_ENTRIES + 1)
    result = guarded(Answer(TRUST, Outcome.ANSWERED, many))
    (answer,) = result.answers
    assert (answer.items, answer.outcome) == ([], Outcome.FAILED)
    assert answer.gaps == dict.fromkeys(EVERYTHING, Gap.TOO_MUCH)
    assert [(alarm.kind, alarm.count) for alarm in result.alarms] == [(TOO_MUCH, 2 * MAX_ENTRIES + 1)]


def test_nesting_beyond_the_cap_is_not_shown() -> None:
    nested: dict[str, Any] = {}
    for _ in range(MAX_DEPTH + 1):
        nested = {"extension": [nested]}
    result = guarded(answered(TRUST, patient(), resource("Observation", "o1", **nested)))
    assert result.answers[0].gaps == dict.fromkeys(EVERYTHING, Gap.TOO_MUCH)
    assert [alarm.kind for alarm in result.alarms] == [TOO_MUCH]
