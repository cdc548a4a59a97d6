"""Same-as groups: who is grouped, why, what conflicts, and what never is."""

from __future__ import annotations

import os
import subprocess
import sys
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B.linkage import Linkage

from connectors.sdk.bundle import read_resource
from connectors.sdk.model import ODS_SYSTEM, Item, Resource, Section
from gateway.compared import OF_ENTRIES
from gateway.merge import Record
from gateway.same_as import Group, as_linkage, same_as
from tests.unit.pipeline import (
    COUNCIL,
    DMD,
    NHS,
    PRACTICE,
    SNOMED,
    TRUST,
    an_item,
    answered,
    coded,
    merged,
    patient,
    resource,
    sealed,
)

RAMIPRIL, RAMIPRIL_DMD, ASPIRIN = (SNOMED, "318906001"), (DMD, "318906001"), (SNOMED, "319773006")
NO_KNOWN = coded((SNOMED, "716186003"))
NO_KNOWN_DRUG = coded((SNOMED, "409137002"))
PENICILLIN, PEANUT = coded((SNOMED, "91936005")), coded((SNOMED, "91935009"))


def medicine(id_: str, *codes: tuple[str, str], kind: str = "MedicationStatement", **more: Any) -> Resource:
    return resource(kind, id_, **({"status": "active", "medicationCodeableConcept": coded(*codes)} | more))


def groups(by_source: dict[str, list[Resource]], **details: Resource) -> list[Group]:
    """The groups of one record; `details` are more of the Patient at a source."""
    answers = [
        answered(source, details.get(source, patient()), *deepcopy(bodies)) for source, bodies in by_source.items()
    ]
    return of(merged(*answers))


def of(record: Record) -> list[Group]:
    return same_as(record.items, lambda reference: record.index.get(reference.get("reference", "")))


def pair(here: Resource, there: Resource) -> list[Group]:
    return groups({PRACTICE: [here], TRUST: [there]})


def conflicts(group: Group) -> dict[str, set[str]]:
    return {conflict.element: set(conflict.values.values()) for conflict in group.conflicts}


# --- Who is grouped --------------------------------------------------------------------------------------------------


def test_the_same_medicine_at_two_sources_is_a_group_with_its_reason() -> None:
    (group,) = pair(medicine("1", RAMIPRIL), medicine("2", RAMIPRIL))
    assert (group.section, group.reason) == (Section.MEDICINES, "The same code in each: SNOMED CT or dm+d 318906001")
    assert [(item.source, item.original_id) for item in group.members] == [(PRACTICE, "1"), (TRUST, "2")]
    assert group.conflicts == ()


def test_dmd_and_snomed_are_one_system() -> None:
    (group,) = pair(medicine("1", RAMIPRIL), medicine("2", RAMIPRIL_DMD, kind="MedicationRequest"))
    assert len(group.members) == 2


def on(*plans: str) -> dict[str, Any]:
    return {"basedOn": [{"reference": f"MedicationRequest/{plan}"} for plan in plans]}


def test_a_medicine_with_its_plan_and_issues_is_one_member() -> None:
    statement = medicine("s", RAMIPRIL, **on("plan"))
    plan = medicine("plan", RAMIPRIL, kind="MedicationRequest", intent="plan")
    finished = medicine("issue", RAMIPRIL, kind="MedicationRequest", intent="order", status="completed", **on("plan"))
    (group,) = groups({PRACTICE: [finished, plan, statement], TRUST: [medicine("2", RAMIPRIL)]})
    assert [(item.source, item.original_id) for item in group.members] == [(PRACTICE, "s"), (TRUST, "2")]
    assert group.conflicts == ()


def test_a_prescription_that_no_statement_rests_on_speaks_for_itself() -> None:
    plan = medicine("plan", RAMIPRIL, kind="MedicationRequest", intent="plan")
    issue = medicine("issue", RAMIPRIL, kind="MedicationRequest", intent="order", **on("plan"))
    other = medicine("s", ASPIRIN, **on("another"))
    (group,) = groups({PRACTICE: [plan, issue, other], TRUST: [medicine("2", RAMIPRIL)]})
    assert len(group.members) == 3


def test_what_a_medicine_rests_on_may_have_any_shape() -> None:
    statements = [medicine(str(place), RAMIPRIL, basedOn=odd) for place, odd in enumerate((3, "x", ["y"], [{}], None))]
    (group,) = groups({PRACTICE: statements, TRUST: [medicine("2", RAMIPRIL)]})
    assert len(group.members) == 6


@pytest.mark.parametrize(
    ("here", "there"),
    [
        (coded(RAMIPRIL), coded(ASPIRIN)),
        (coded(("https://local.example", "1")), coded(("https://local.example", "1"))),
        (coded(("http://terminology.hl7.org/CodeSystem/data-absent-reason", "unknown")),) * 2,
        (coded(("http://read.info/readv2", "bd35.")),) * 2,
        (coded((SNOMED, "318906001")), coded(("http://snomed.info/SCT", "318906001"))),
        (coded(text="Ramipril"), coded(text="Ramipril")),
        ({"coding": [{"code": "318906001"}]},) * 2,
        ({"coding": [{"system": SNOMED}]},) * 2,
        ({}, {}),
    ],
)
def test_nothing_else_is_taken_for_the_same(here: dict[str, Any], there: dict[str, Any]) -> None:
    assert pair(medicine("1", medicationCodeableConcept=here), medicine("2", medicationCodeableConcept=there)) == []


def test_two_of_one_source_are_no_group() -> None:
    assert groups({PRACTICE: [medicine("1", RAMIPRIL), medicine("2", RAMIPRIL)], TRUST: []}) == []


def test_all_that_one_source_says_of_the_medicine_joins_the_group() -> None:
    plan, issue = (medicine(id_, RAMIPRIL, kind="MedicationRequest") for id_ in ("plan", "issue"))
    (group,) = groups({PRACTICE: [medicine("1", RAMIPRIL), plan, issue], TRUST: [medicine("2", RAMIPRIL)]})
    assert len(group.members) == 4


def test_the_same_code_in_different_sections_is_no_group() -> None:
    problem = resource("Condition", "c", code=coded((SNOMED, "91936005")))
    assert pair(problem, resource("AllergyIntolerance", "a", code=PENICILLIN)) == []


def test_two_shared_codes_are_one_group_of_the_same_members() -> None:
    both = (RAMIPRIL, (SNOMED, "386872004"))
    (group,) = pair(medicine("1", *both), medicine("2", *reversed(both)))
    assert group.reason.endswith("318906001")


def test_a_bridge_of_two_codes_does_not_join_different_medicines() -> None:
    bridge = medicine("2", RAMIPRIL, ASPIRIN)
    found = groups({PRACTICE: [medicine("1", RAMIPRIL)], TRUST: [bridge], COUNCIL: []})
    assert [[item.original_id for item in group.members] for group in found] == [["1", "2"]]
    found = groups({PRACTICE: [medicine("1", RAMIPRIL), medicine("3", ASPIRIN)], TRUST: [bridge]})
    assert sorted(sorted(item.original_id for item in group.members) for group in found) == [["1", "2"], ["2", "3"]]


def test_a_medicine_by_reference_is_grouped_by_the_code_of_what_it_refers_to() -> None:
    by_reference = resource(
        "MedicationRequest", "1", status="active", medicationReference={"reference": "Medication/m"}
    )
    contained = resource(
        "MedicationRequest",
        "2",
        status="active",
        medicationReference={"reference": "#m"},
        contained=[
            {"resourceType": "Organization", "id": "o"},
            {"resourceType": "Medication", "id": "m", "code": coded(RAMIPRIL_DMD)},
        ],
    )
    stored = resource("Medication", "m", code=coded(RAMIPRIL))
    (group,) = groups({PRACTICE: [by_reference, stored], TRUST: [contained], COUNCIL: []})
    assert {item.original_id for item in group.members} == {"1", "2"}


@pytest.mark.parametrize(
    "reference", [{"reference": "Medication/gone"}, {"reference": "#gone"}, {"display": "Ramipril"}, {}]
)
def test_a_medicine_that_can_not_be_found_is_not_grouped(reference: dict[str, Any]) -> None:
    unknown = resource("MedicationRequest", "1", status="active", medicationReference=reference)
    bare = resource("Medication", "m")
    assert groups({PRACTICE: [unknown, bare], TRUST: [medicine("2", RAMIPRIL)]}) == []
    no_code = resource("MedicationRequest", "1", status="active", medicationReference={"reference": "Medication/m"})
    assert groups({PRACTICE: [no_code, bare], TRUST: [medicine("2", RAMIPRIL)]}) == []


def vaccination(id_: str, when: dict[str, Any], status: str = "completed") -> Resource:
    return resource("Immunization", id_, vaccineCode=coded((SNOMED, "1119349007")), status=status, **when)


def test_immunisations_are_the_same_only_on_the_same_day() -> None:
    (group,) = pair(
        vaccination("1", {"occurrenceDateTime": "2021-03-01"}),
        vaccination("2", {"occurrenceDateTime": "2021-03-01T10:00:00Z"}, status="not-done"),
    )
    assert group.reason == "The same code in each: SNOMED CT or dm+d 1119349007, given on 2021-03-01"
    assert conflicts(group) == {"status": {"completed", "not-done"}}
    for when in ({"occurrenceDateTime": "2021-03-02"}, {"occurrenceDateTime": "2021"}, {"occurrenceString": "spring"}):
        assert pair(vaccination("1", {"occurrenceDateTime": "2021-03-01"}), vaccination("2", when)) == []
    for when in ({"occurrenceDateTime": "2021-03"}, {"occurrenceString": "spring"}):
        assert pair(vaccination("1", when), vaccination("2", when)) == []


# --- What conflicts --------------------------------------------------------------------------------------------------


def dose(value: Any, unit: str = "mg", **timing: Any) -> dict[str, Any]:
    repeat = {"timing": {"repeat": timing}} if timing else {}
    return {"doseAndRate": [{"doseQuantity": {"value": value, "unit": unit}}], **repeat}


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        ({"status": "active"}, {"status": "stopped"}, {"status": {"active", "stopped"}}),
        (
            {"dosage": [{"text": "One a day"}]},
            {"dosage": [{"text": "Two a day"}]},
            {"dosage": {"One a day", "Two a day"}},
        ),
        ({"dosage": [{"text": "ONE  a day "}]}, {"dosage": [{"text": "One a day"}]}, {}),
        ({"dosage": [{"text": "One a day"}]}, {}, {}),
        (
            {"dosage": [dose(Decimal("2.50"))]},
            {"dosage": [dose(5)]},
            {"dosage": {"2.50 mg", "5 mg"}, "dose": {"2.50 mg", "5 mg"}},
        ),
        (
            {"dosage": [dose(5, frequency=1, period=1, periodUnit="d")]},
            {"dosage": [dose(5, frequency=2, period=1, periodUnit="d")]},
            {
                "dosage": {"5 mg, 1 per 1 d", "5 mg, 2 per 1 d"},
                "dose": {"5 mg, 1 per 1 d", "5 mg, 2 per 1 d"},
            },
        ),
        (
            {"dosage": [{"text": "as directed", **dose(5)}]},
            {"dosage": [{"text": "as directed", **dose(10)}]},
            {"dose": {"5 mg", "10 mg"}},
        ),
        (
            {"dosage": [dose(5) | {"asNeededBoolean": True}]},
            {"dosage": [dose(5)]},
            {
                "dosage": {"5 mg, as needed", "5 mg"},
                "dose": {"5 mg, as needed", "5 mg"},
            },
        ),
    ],
)
def test_conflicts_are_named_with_each_ones_own_words(
    here: dict[str, Any], there: dict[str, Any], expected: dict[str, set[str]]
) -> None:
    (group,) = pair(medicine("1", RAMIPRIL, **here), medicine("2", RAMIPRIL, **there))
    assert conflicts(group) == expected


def test_the_dose_of_a_statement_is_compared_with_that_of_an_order() -> None:
    order = medicine("2", RAMIPRIL, kind="MedicationRequest", dosageInstruction=[{"text": "Two a day"}])
    (group,) = pair(medicine("1", RAMIPRIL, dosage=[{"text": "One a day"}]), order)
    (conflict,) = group.conflicts
    assert conflict.values == {
        sealed(PRACTICE, "MedicationStatement", "1"): "One a day",
        sealed(TRUST, "MedicationRequest", "2"): "Two a day",
    }


def test_an_order_not_to_give_a_medicine_is_in_conflict_with_giving_it() -> None:
    order = medicine("2", RAMIPRIL, kind="MedicationRequest", doNotPerform=True)
    (group,) = pair(medicine("1", RAMIPRIL), order)
    assert conflicts(group) == {"doNotPerform": {"to be given", "not to be given"}}


def test_one_sources_own_history_is_no_conflict() -> None:
    finished = medicine("0", RAMIPRIL, kind="MedicationRequest", status="completed")
    both = [medicine("1", RAMIPRIL), finished]
    (group,) = groups({PRACTICE: both, TRUST: [medicine("2", RAMIPRIL), {**finished, "id": "9"}]})
    assert group.conflicts == ()
    (group,) = groups({PRACTICE: both, TRUST: [medicine("2", RAMIPRIL)]})
    assert conflicts(group) == {"status": {"active", "completed"}}


def test_every_structured_part_of_a_dose_is_compared() -> None:
    rich = {
        "doseAndRate": [
            {"doseRange": {"low": {"value": 1, "unit": "tablet"}, "high": {"value": 2, "unit": "tablet"}}},
            {"rateQuantity": {"value": Decimal("0.10"), "code": "ml/h"}},
            {"doseQuantity": {"value": 1}, "rateRange": {"low": {"value": 2}}},
            {},
        ],
        "timing": {
            "code": {"coding": [{"code": "BID"}]},
            "repeat": {"when": ["MORN", "NIGHT"], "timeOfDay": ["08:00"]},
        },
        "asNeededCodeableConcept": {"text": "pain"},
    }
    (group,) = pair(
        medicine("1", RAMIPRIL, dosage=[rich, {"timing": {"code": {"text": "weekly"}}}]),
        medicine("2", RAMIPRIL, dosage=[{}, dose(1)]),
    )
    words = "1 tablet to 2 tablet, 0.10 ml/h, 1 at 2, BID, MORN, NIGHT, 08:00, as needed; weekly"
    assert conflicts(group) == {"dosage": {words, "1 mg"}, "dose": {words, "1 mg"}}


@pytest.mark.parametrize("digits", ["0.10", "4.50", "0.0000001", "0.00000010", "100", "12345678901234567890.10"])
def test_digits_in_a_conflict_are_those_that_the_source_sent(digits: str) -> None:
    def statement(value: str) -> Resource:
        raw = (
            f'{{"resourceType":"MedicationStatement","id":"1","status":"active","subject":{{"reference":"Patient/p1"}},'
            f'"medicationCodeableConcept":{{"coding":[{{"system":"{SNOMED}","code":"318906001"}}]}},'
            f'"dosage":[{{"doseAndRate":[{{"doseQuantity":{{"value":{value},"unit":"mg"}}}}]}}]}}'
        )
        return read_resource(raw.encode())[0]

    (group,) = pair(statement(digits), statement("999"))
    assert conflicts(group)["dosage"] == {f"{digits} mg", "999 mg"}


def test_statuses_of_problems_and_allergies_are_compared_by_code_in_any_order() -> None:
    def status(*codes: str) -> dict[str, Any]:
        return coded(*(("s", code) for code in codes))

    here = resource(
        "AllergyIntolerance", "1", code=PENICILLIN, clinicalStatus=status("active", "x"), criticality="high"
    )
    there = resource(
        "AllergyIntolerance", "2", code=PENICILLIN, clinicalStatus=status("x", "active"), criticality="low"
    )
    (group,) = pair(here, there)
    assert conflicts(group) == {"criticality": {"high", "low"}}
    there = resource("AllergyIntolerance", "2", code=PENICILLIN, verificationStatus=status("refuted"))
    here = resource("AllergyIntolerance", "1", code=PENICILLIN, verificationStatus=status("confirmed"))
    (group,) = pair(here, there)
    assert conflicts(group) == {"verificationStatus": {"confirmed", "refuted"}}


# --- Patients --------------------------------------------------------------------------------------------------------


def test_patients_that_differ_are_a_group_that_says_how() -> None:
    here = patient(
        name=[{"use": "old", "family": "Jones"}, {"use": "official", "family": "SMITH", "given": ["Elsie", "May"]}],
        birthDate="1950-01-01",
        gender="female",
        deceasedBoolean=False,
    )
    there = patient(
        name=[{"family": "Smith", "given": ["Elsie"]}], birthDate="1950-10-01", gender="female", deceasedDateTime="2024"
    )
    record = merged(answered(PRACTICE, here), answered(TRUST, there))
    (group,) = of(record)
    assert (group.section, group.reason) == (Section.DEMOGRAPHICS, "The same NHS number in each")
    assert conflicts(group) == {
        "name.given": {"Elsie May", "Elsie"},
        "birthDate": {"1950-01-01", "1950-10-01"},
        "deceased": {"living", "deceased"},
    }
    carrier, other = record.patients
    assert list(group.conflicts[0].values) == [f"Patient/{NHS}", f"Patient/{other.sealed_id}"]
    assert carrier.sealed_id == NHS


def test_patients_that_agree_or_say_nothing_are_no_group() -> None:
    known = patient(name=[{"family": "Smith"}], birthDate="1950-01-01", deceasedBoolean=True)
    assert groups({PRACTICE: [], TRUST: []}, **{PRACTICE: known}) == []
    assert groups({PRACTICE: [], TRUST: []}, **{PRACTICE: known, TRUST: dict(known)}) == []


def test_a_name_with_a_null_in_it_is_compared_by_the_rest() -> None:
    """R4 allows `given: [null, "Grace"]`, where `_given` says why the first is absent."""
    here = patient(name=[{"family": "Smith", "given": [None, "Grace"], "_given": [{"extension": []}, None]}])
    (group,) = groups({PRACTICE: [], TRUST: []}, **{PRACTICE: here, TRUST: patient(name=[{"given": ["Anna"]}])})
    assert conflicts(group) == {"name.given": {"Grace", "Anna"}}


def test_times_of_day_with_a_null_among_them_are_told_without_it() -> None:
    timing = {"repeat": {"when": [None, "MORN"], "timeOfDay": [None]}}
    (group,) = pair(
        medicine("1", RAMIPRIL, dosage=[{"timing": timing}]), medicine("2", RAMIPRIL, dosage=[{"text": "At night"}])
    )
    assert conflicts(group)["dosage"] == {"MORN", "At night"}


ODD: tuple[Any, ...] = (None, 7, "text", [], [None], [[]], ["text"], {"x": 1}, {"coding": [None]}, [{"text": 7}])


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize(
    "element", ["status", "dosage", "clinicalStatus", "verificationStatus", "criticality", "doNotPerform"]
)
def test_what_cannot_be_compared_costs_neither_record_nor_group(element: str, odd: Any) -> None:
    """The other conflicts stand: one source has the medicine as taken, the other as not to be given."""
    here, there, third = (an_item(source, medicine("1", RAMIPRIL)) for source in (PRACTICE, TRUST, COUNCIL))
    for item in (here, there, third):
        item.sealed_id = f"{item.source}.1"
    here.resource |= {"dosageInstruction": [{"text": "One"}], element: odd}
    there.resource |= {"dosageInstruction": [{"text": "Two"}]}
    third.resource |= {"dosageInstruction": [{"text": "Three"}], "status": "stopped"}
    (group,) = same_as([here, there, third], lambda _: None)
    assert group.members == (here, there, third)
    assert {"status", "dosage"} <= conflicts(group).keys()
    Linkage.model_validate(as_linkage(group))


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("element", ["name", "birthDate", "gender", "deceasedDateTime"])
def test_patients_that_cannot_be_compared_in_one_thing_are_in_the_rest(element: str, odd: Any) -> None:
    given: dict[str, Any] = {"name": [{"family": "Smith"}], "birthDate": "1950-01-01", "gender": "female"}
    here, there = an_item(PRACTICE, patient(**given)), an_item(TRUST, patient(**given))
    third = an_item(COUNCIL, patient(name=[{"family": "Jones"}], birthDate="1951-01-01", gender="male"))
    here.resource[element] = odd
    for item in (here, there, third):
        item.sealed_id = item.source
    (group,) = same_as([here, there, third], lambda _: None)
    assert {"name.family", "birthDate", "gender"} <= conflicts(group).keys()


@pytest.mark.parametrize("odd", [*ODD, {"coding": 7}, {"coding": [{"system": SNOMED, "code": [1]}]}], ids=repr)
@pytest.mark.parametrize("element", ["medicationCodeableConcept", "medicationReference", "contained"])
def test_what_cannot_be_read_is_in_no_group_and_costs_nothing(element: str, odd: Any) -> None:
    body = {"medicationReference": {"reference": "#m"}} if element == "contained" else {}
    unreadable = an_item(COUNCIL, resource("MedicationStatement", "3", **body, **{element: odd}))
    here, there = an_item(PRACTICE, medicine("1", RAMIPRIL)), an_item(TRUST, medicine("2", RAMIPRIL))
    (group,) = same_as([here, unreadable, there], lambda _: None)
    assert group.members == (here, there)


# --- No known allergies ----------------------------------------------------------------------------------------------


def allergy(id_: str, code: dict[str, Any], **more: Any) -> Resource:
    return resource("AllergyIntolerance", id_, code=code, **more)


def test_no_known_allergies_beside_an_allergy_is_a_contradiction() -> None:
    (group,) = pair(allergy("none", NO_KNOWN), allergy("some", PENICILLIN))
    assert group.reason == "One organisation records no known allergy, another records an allergy"
    assert group.conflicts[0].values == {
        sealed(PRACTICE, "AllergyIntolerance", "none"): "no known allergy",
        sealed(TRUST, "AllergyIntolerance", "some"): "an allergy is recorded",
    }


def test_the_same_contradiction_inside_one_organisation_says_so() -> None:
    (group,) = groups({PRACTICE: [allergy("none", NO_KNOWN), allergy("some", PENICILLIN)]})
    assert group.reason == "One organisation records both no known allergy and an allergy"


@pytest.mark.parametrize(
    ("none_known", "some"),
    [
        (allergy("1", NO_KNOWN), allergy("2", NO_KNOWN)),
        (allergy("1", PENICILLIN), allergy("2", PEANUT)),
        (allergy("1", NO_KNOWN), allergy("2", PENICILLIN, verificationStatus=coded(("v", "refuted")))),
        (allergy("1", NO_KNOWN), allergy("2", PENICILLIN, verificationStatus=coded(("v", "entered-in-error")))),
        (allergy("1", NO_KNOWN, clinicalStatus=coded(("c", "inactive"))), allergy("2", PENICILLIN)),
        (allergy("1", NO_KNOWN_DRUG), allergy("2", PEANUT, category=["food"])),
    ],
)
def test_what_does_not_contradict_is_no_group(none_known: Resource, some: Resource) -> None:
    assert pair(none_known, some) == []


@pytest.mark.parametrize("category", [["medication"], ["food", "medication"], []])
def test_no_known_drug_allergy_contradicts_an_allergy_to_a_drug_or_of_no_stated_kind(category: list[str]) -> None:
    (group,) = pair(
        allergy("1", NO_KNOWN_DRUG), allergy("2", PENICILLIN, **({"category": category} if category else {}))
    )
    assert len(group.members) == 2


def test_only_what_contradicts_is_in_the_group() -> None:
    here = [allergy("drug", NO_KNOWN_DRUG), allergy("peanut", PEANUT, category=["food"])]
    there = [allergy("penicillin", PENICILLIN, category=["medication"]), allergy("food", coded((SNOMED, "429625007")))]
    (group,) = [one for one in groups({PRACTICE: here, TRUST: there}) if len(one.members) == 4]
    assert group.section is Section.ALLERGIES
    (group,) = groups({PRACTICE: here, TRUST: there[:1]})
    assert {item.original_id for item in group.members} == {"drug", "penicillin"}


def test_no_known_allergies_twice_are_not_the_same_allergy() -> None:
    assert pair(allergy("1", NO_KNOWN), allergy("2", NO_KNOWN)) == []


# --- As FHIR ---------------------------------------------------------------------------------------------------------


def test_a_group_is_a_valid_linkage_that_names_its_sources() -> None:
    here = medicine("1", RAMIPRIL, dosage=[{"text": "One a day"}])
    there = medicine("2", RAMIPRIL, dosage=[{"text": "Two a day"}], status="stopped")
    (group,) = pair(here, there)
    linkage = as_linkage(group)
    Linkage.model_validate(linkage)
    assert [one["resource"]["reference"] for one in linkage["item"]] == [
        sealed(PRACTICE, "MedicationStatement", "1"),
        sealed(TRUST, "MedicationStatement", "2"),
    ]
    assert linkage["meta"]["tag"] == [
        {"system": ODS_SYSTEM, "code": source, "display": f"Organisation {source}"} for source in (PRACTICE, TRUST)
    ]
    reason, status, dosage = linkage["extension"]
    assert reason["valueString"] == group.reason
    assert status["extension"][0] == {"url": "element", "valueString": "status"}
    values = [{part["url"]: part for part in one["extension"]} for one in dosage["extension"][1:]]
    assert [(one["item"]["valueReference"]["reference"], one["text"]["valueString"]) for one in values] == [
        (sealed(PRACTICE, "MedicationStatement", "1"), "One a day"),
        (sealed(TRUST, "MedicationStatement", "2"), "Two a day"),
    ]


def test_every_kind_of_group_is_a_valid_linkage() -> None:
    details = {PRACTICE: patient(birthDate="1950-01-01"), TRUST: patient(birthDate="1951-01-01")}
    found = groups(
        {
            PRACTICE: [
                allergy("1", NO_KNOWN),
                medicine("1", RAMIPRIL),
                vaccination("1", {"occurrenceDateTime": "2021-03-01"}),
            ],
            TRUST: [
                allergy("2", PENICILLIN),
                medicine("2", RAMIPRIL),
                vaccination("2", {"occurrenceDateTime": "2021-03-01"}),
            ],
        },
        **details,
    )
    assert [group.section for group in found] == [
        Section.DEMOGRAPHICS, Section.MEDICINES, Section.IMMUNISATIONS, Section.ALLERGIES,
    ]  # fmt: skip
    for group in found:
        Linkage.model_validate(as_linkage(group))
    assert len({group.id for group in found}) == len(found)


def test_a_member_without_its_tag_is_named_by_its_source() -> None:
    bare = Item(TRUST, {"resourceType": "Condition", "id": "c"}, Section.PROBLEMS, "c", sealed_id="x.y")
    linkage = as_linkage(Group(Section.PROBLEMS, "r", (bare, an_item(PRACTICE, resource("Condition", "d"))), ()))
    assert linkage["meta"]["tag"] == [{"system": ODS_SYSTEM, "code": PRACTICE}, {"system": ODS_SYSTEM, "code": TRUST}]


_PRINT_GROUPS = """
from tests.unit.test_same_as import RAMIPRIL, SNOMED, medicine, pair
both = (RAMIPRIL, *((SNOMED, str(n)) for n in range(100, 140)))
print([(group.id, group.reason) for group in pair(medicine("1", *both), medicine("2", *both))])
"""


def test_groups_and_reasons_are_the_same_in_every_process() -> None:
    """Text hashes differently in every process; nothing may follow the order of a set."""
    printed = {
        subprocess.run(
            [sys.executable, "-c", _PRINT_GROUPS],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1


@pytest.mark.parametrize(
    ("dosage", "said"),
    [
        (
            {
                "doseAndRate": [{"doseQuantity": {"comparator": "<", "value": 2, "unit": "tablet"}}],
                "timing": {
                    "repeat": {
                        "frequency": 1,
                        "frequencyMax": 4,
                        "period": 4,
                        "periodMax": 6,
                        "periodUnit": "h",
                        "dayOfWeek": ["mon"],
                        "boundsDuration": {"value": 5, "unit": "d"},
                    }
                },
                "maxDosePerPeriod": {
                    "numerator": {"value": 8, "unit": "tablet"},
                    "denominator": {"value": 24, "unit": "h"},
                },
            },
            "<2 tablet, 1 to 4 per 4 to 6 h, mon, for 5 d, at most 8 tablet in 24 h",
        ),
        (
            {
                "doseAndRate": [
                    {
                        "rateRatio": {
                            "numerator": {"value": 1, "unit": "mg"},
                            "denominator": {"value": 1, "unit": "h"},
                        }
                    }
                ]
            },
            "1 mg per 1 h",
        ),
        (
            {"timing": {"repeat": {"duration": 30, "durationUnit": "min", "count": 3}, "event": ["2026-11-01"]}},
            "over 30 min, 3 times in all, 2026-11-01",
        ),
        (
            {"timing": {"repeat": {"boundsPeriod": {"start": "2026-11-01", "end": "2026-11-05"}}}},
            "from 2026-11-01 until 2026-11-05",
        ),
        (
            {"timing": {"repeat": {"offset": 30, "when": ["ACM"]}}, "maxDosePerAdministration": {"value": 2}},
            "ACM, 30 min from it, at most 2 at once",
        ),
    ],
)
def test_a_structured_dose_is_put_into_words_whole(dosage: dict[str, Any], said: str) -> None:
    assert OF_ENTRIES["dose"]({"dosage": [dosage]}) == said
