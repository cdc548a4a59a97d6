"""`gp_connect` against a system written in the test: what it asks, as whom, and what becomes of each answer."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from connectors.gp_connect.directory import stand_in
from connectors.gp_connect.jwt import human_name
from connectors.sdk.errors import Ambiguous, NoRecord, SourceTimeout, TooMuch, WrongContent
from connectors.sdk.model import NHS_NUMBER_SYSTEM, ODS_SYSTEM, Answer, Ask, Gap, Outcome, Section
from tests.connectors.asking import ASKED_BY, NHS_NUMBER, asking, ids
from tests.connectors.gp_connect_asking import (
    ALLERGY,
    APPOINTMENT,
    LISTS,
    PATIENT,
    PRACTICE,
    SERVED,
    Calls,
    Written,
    a_list,
    asked_of,
    bundle,
    empty_lists,
    practice,
    problem,
)
from tests.leaping import BACKEND

OTHER = "9990000476"
ALLERGIES = frozenset({Section.DEMOGRAPHICS, Section.ALLERGIES})
CONTACTS = frozenset({Section.DEMOGRAPHICS, Section.CONTACTS})
WHO: dict[str, Any] = {
    "issuer": "https://gateway.example",
    "device": {"system": "https://gateway.example/Id/device", "value": "g1"},
}


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Seconds of this module pass by leaps: none of it depends on how fast the machine is."""
    return BACKEND


async def answer_of(
    written: Written, sections: frozenset[Section] = SERVED, ask: Ask | None = None, **settings: Any
) -> Answer:
    async with asked_of(written, practice(**settings)) as connector:
        return await connector.ask(ask or asking(sections=sections))


def record(*resources: Any, without: tuple[str, ...] = ()) -> Written:
    """A system whose record holds these, beside the empty Lists that they don't bring."""
    return Written(record=bundle(PATIENT, *empty_lists(*without), *resources))


def claims_of(call: Calls) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Header, claims and signature of a call's token."""
    scheme, _, token = call.headers["authorization"].partition(" ")
    assert scheme == "Bearer"
    head, claims, signature = token.split(".")
    head_json, claims_json = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in (head, claims))
    return json.loads(head_json), json.loads(claims_json), signature


# ---- what is asked ----


async def asked_for(sections: frozenset[Section], **settings: Any) -> list[dict[str, Any]]:
    written = Written()
    await answer_of(written, sections, **settings)
    body = json.loads(written.only("$gpc.getstructuredrecord").body)
    assert body["resourceType"] == "Parameters"
    areas: list[dict[str, Any]]
    who, *areas = body["parameter"]
    assert who == {
        "name": "patientNHSNumber",
        "valueIdentifier": {"system": NHS_NUMBER_SYSTEM, "value": NHS_NUMBER},
    }
    return areas


AREAS: dict[Section, list[dict[str, Any]]] = {
    Section.ALLERGIES: [
        {"name": "includeAllergies", "part": [{"name": "includeResolvedAllergies", "valueBoolean": True}]}
    ],
    Section.MEDICINES: [
        {"name": "includeMedication", "part": [{"name": "includePrescriptionIssues", "valueBoolean": True}]}
    ],
    Section.CONTACTS: [{"name": "includeConsultations"}],
    Section.RESULTS: [{"name": "includeInvestigations"}, {"name": "includeUncategorisedData"}],
    Section.PROBLEMS: [{"name": "includeProblems"}],
    Section.IMMUNISATIONS: [{"name": "includeImmunisations"}],
}


@pytest.mark.parametrize("section", AREAS)
async def test_a_section_asks_for_its_areas_and_nothing_more(section: Section) -> None:
    assert await asked_for(frozenset({Section.DEMOGRAPHICS, section})) == AREAS[section]


async def test_all_sections_are_one_question_without_a_filter() -> None:
    """Beside consultations or problems a provider refuses the other areas' filters; a filtered section isn't whole."""
    areas = await asked_for(SERVED)
    assert sorted(area["name"] for area in areas) == sorted(area["name"] for some in AREAS.values() for area in some)
    parts = [part["name"] for area in areas for part in area.get("part", ())]
    assert parts == ["includeResolvedAllergies", "includePrescriptionIssues"]


async def test_uncategorised_data_can_be_left_out() -> None:
    assert await asked_for(frozenset({Section.RESULTS}), uncategorised=False) == [{"name": "includeInvestigations"}]


async def test_demographics_alone_are_a_search_for_the_patient() -> None:
    """The operation refuses a question for no clinical area, and asking for one would be asking for too much."""
    written = Written()
    answer = await answer_of(written, frozenset({Section.DEMOGRAPHICS}))
    (call,) = written.calls
    assert (call.method, call.path) == ("GET", f"/fhir/Patient?identifier={NHS_NUMBER_SYSTEM_QUOTED}%7C{NHS_NUMBER}")
    assert (answer.outcome, ids(answer, "Patient"), answer.calls) == (Outcome.ANSWERED, ["p1"], 1)
    assert "generalPractitioner" not in answer.items[0].resource  # a search also finds who is registered elsewhere


NHS_NUMBER_SYSTEM_QUOTED = "https%3A%2F%2Ffhir.nhs.uk%2FId%2Fnhs-number"


async def test_future_appointments_are_asked_for_with_contacts_alone() -> None:
    written = Written()
    await answer_of(written, SERVED - {Section.CONTACTS})
    assert [call.method for call in written.calls] == ["POST"]
    await answer_of(written, CONTACTS, appointment_days=30)
    today = datetime.now(ZoneInfo("Europe/London")).date()
    call = written.only("/Appointment")
    assert call.path == f"/fhir/Patient/p1/Appointment?start=ge{today}&start=le{today + timedelta(days=30)}"


async def test_each_call_names_its_interaction_and_both_ends() -> None:
    written = Written()
    await answer_of(written)
    assert len(written.calls) == 3
    urn = "urn:nhs:names:services:gpconnect:fhir"
    interactions = {
        "$gpc.getstructuredrecord": f"{urn}:operation:gpc.getstructuredrecord-1",
        "Patient?identifier": f"{urn}:rest:search:patient-1",
        "/Appointment": f"{urn}:rest:search:patient_appointments-1",
    }
    for part, interaction in interactions.items():
        headers = written.only(part).headers
        assert headers["ssp-interactionid"] == interaction
        assert (headers["ssp-from"], headers["ssp-to"]) == (stand_in(ASKED_BY.organisation), stand_in(PRACTICE))
        assert headers["accept"] == "application/fhir+json"
    assert len({UUID(call.headers["ssp-traceid"]) for call in written.calls}) == 3
    assert written.only("$gpc").headers["content-type"] == "application/fhir+json"
    assert written.only("$gpc").path == "/fhir/Patient/$gpc.getstructuredrecord"


async def test_the_sender_is_the_users_organisation_never_ours() -> None:
    written = Written()
    ask = replace(asking(sections=ALLERGIES), asked_by=replace(ASKED_BY, organisation="RJ2"))
    await answer_of(written, ask=ask, asids={"RJ2": "200000000115", PRACTICE: "200000000116"})
    headers = written.only("$gpc").headers
    assert (headers["ssp-from"], headers["ssp-to"]) == ("200000000115", "200000000116")


# ---- as whom ----


async def test_each_call_has_a_token_of_its_own() -> None:
    written = Written()
    before = int(time.time())
    async with asked_of(written, practice(**WHO)) as connector:
        await connector.ask(asking(sections=CONTACTS))
    for call in written.calls:
        head, claims, signature = claims_of(call)
        assert (head, signature) == ({"alg": "none", "typ": "JWT"}, "")
        assert before <= claims["iat"] <= int(time.time())
        assert claims["exp"] == claims["iat"] + 300
        assert (claims["iss"], claims["sub"]) == ("https://gateway.example", ASKED_BY.user_id)
        assert (claims["reason_for_request"], claims["requested_scope"]) == ("directcare", "patient/*.read")
        assert claims["aud"] == "http://practice.test/fhir"
        assert NHS_NUMBER not in json.dumps(claims)


async def test_the_token_names_the_user_their_role_and_their_organisation() -> None:
    written = Written()
    asked_by = replace(ASKED_BY, name="Dr Asha Rao", job_role_code="S8000:G8000:R8000", organisation="RJ2")
    await answer_of(written, ask=replace(asking(sections=ALLERGIES), asked_by=asked_by), **WHO)
    _, claims, _ = claims_of(written.calls[0])
    assert claims["requesting_organization"] == {
        "resourceType": "Organization",
        "identifier": [{"system": ODS_SYSTEM, "value": "RJ2"}],
        "name": ASKED_BY.organisation_name,
    }
    person = claims["requesting_practitioner"]
    assert person["id"] == claims["sub"]
    assert person["identifier"] == [
        {"system": "https://fhir.nhs.uk/Id/sds-user-id", "value": ASKED_BY.user_id},
        {"system": "https://fhir.nhs.uk/Id/sds-role-profile-id", "value": ASKED_BY.role_profile_id},
        {"system": "https://gateway.example/Id/user", "value": ASKED_BY.user_id},
    ]
    assert person["name"] == [{"text": "Dr Asha Rao", "family": "Rao", "given": ["Asha"], "prefix": ["Dr"]}]
    (role,) = person["extension"][0]["valueCodeableConcept"]["coding"]
    assert role["code"] == "R8000"
    assert claims["requesting_device"]["identifier"] == [{"system": "https://gateway.example/Id/device", "value": "g1"}]


async def test_who_has_no_smartcard_is_unknown_to_the_spine() -> None:
    written = Written()
    asked_by = replace(ASKED_BY, user_id="asha.rao@trust.example", role_profile_id="", job_role_code="doctor")
    await answer_of(written, ask=replace(asking(sections=ALLERGIES), asked_by=asked_by))
    _, claims, _ = claims_of(written.calls[0])
    person = claims["requesting_practitioner"]
    assert [one["value"] for one in person["identifier"]] == ["UNK", "UNK", "asha.rao@trust.example"]
    assert claims["sub"] == person["id"] == "asha.rao@trust.example"
    assert "extension" not in person


@pytest.mark.parametrize(
    ("name", "family", "given", "prefix"),
    [
        ("Dr Asha Rao", "Rao", ["Asha"], ["Dr"]),
        ("Asha Devi Rao", "Rao", ["Asha", "Devi"], None),
        ("RAO Asha (Dr)", "RAO", ["Asha"], ["Dr"]),
        ("SMITH-JONES John Paul", "SMITH-JONES", ["John", "Paul"], None),
        ("Rao, Asha (Dr)", "Rao", ["Asha"], ["Dr"]),
        ("van den Berg, Jan", "van den Berg", ["Jan"], None),
        ("  Nurse   Novak ", "Novak", None, ["Nurse"]),
        ("Rao", "Rao", None, None),
        ("", "UNK", None, None),
    ],
)
def test_a_name_in_one_piece_is_told_apart(
    name: str, family: str, given: list[str] | None, prefix: list[str] | None
) -> None:
    found = human_name(name)
    assert (found["family"], found.get("given"), found.get("prefix")) == (family, given, prefix)
    assert found.get("text", "") == " ".join(name.split())


# ---- what becomes of an answer ----


async def test_empty_lists_without_a_warning_are_complete() -> None:
    answer = await answer_of(Written())
    assert (answer.outcome, answer.gaps, answer.warnings, answer.told) == (Outcome.ANSWERED, {}, [], "")
    assert [item.type for item in answer.items] == ["Patient"]
    assert answer.calls == 3


async def test_an_allergy_comes_as_r4_in_its_section() -> None:
    written = record(ALLERGY, a_list("allergies", "AllergyIntolerance/a1"), without=("allergies",))
    answer = await answer_of(written, ALLERGIES)
    (item,) = [one for one in answer.items if one.type == "AllergyIntolerance"]
    assert (item.section, item.source, item.original_id) == (Section.ALLERGIES, PRACTICE, "a1")
    assert item.resource["clinicalStatus"]["coding"][0]["code"] == "active"
    assert item.resource["recordedDate"] == "2020-01-01"
    assert answer.outcome is Outcome.ANSWERED
    assert {traced.key: traced.became for traced in answer.traced}["AllergyIntolerance/a1"] == (
        "AllergyIntolerance/a1",
    )


@pytest.mark.parametrize("name", LISTS)
async def test_a_section_whose_list_is_missing_is_never_empty(name: str) -> None:
    answer = await answer_of(record(without=(name,)))
    (section,) = answer.gaps
    assert answer.gaps == {section: Gap.HELD_BACK}
    expected = {"ended": Section.ALLERGIES, "uncategorised": Section.RESULTS}
    assert section is (expected[name] if name in expected else Section(name))
    assert (answer.outcome, answer.told) == (Outcome.PARTIAL, "answered in part")


async def test_no_list_of_what_was_not_asked_for_is_missed() -> None:
    written = Written(record=bundle(PATIENT, a_list("allergies"), a_list("ended")))
    assert (await answer_of(written, ALLERGIES)).gaps == {}
    written = Written(record=bundle(PATIENT, a_list("results")))
    assert (await answer_of(written, frozenset({Section.RESULTS}), uncategorised=False)).gaps == {}


@pytest.mark.parametrize("code", ["confidential-items", "data-in-transit", "data-awaiting-filing", "something-new"])
@pytest.mark.parametrize("name", ["medicines", "results", "uncategorised", "problems"])
async def test_empty_and_warned_is_withheld_whole(name: str, code: str) -> None:
    answer = await answer_of(record(a_list(name, warnings=(code,)), without=(name,)))
    section = Section.RESULTS if name == "uncategorised" else Section(name)
    assert answer.gaps == {section: Gap.WITHHELD_BY_SOURCE}
    (warning,) = answer.warnings
    assert (warning.section, warning.code) == (section, "unknown-warning" if code == "something-new" else code)
    assert section.value in warning.text


async def test_ended_allergies_that_are_withheld_leave_the_others_standing() -> None:
    warned = a_list("ended", warnings=("confidential-items",))
    active = a_list("allergies", "AllergyIntolerance/a1")
    answer = await answer_of(record(ALLERGY, active, warned, without=("allergies", "ended")))
    assert (answer.gaps, len(answer.warnings)) == ({}, 1)
    answer = await answer_of(record(warned, without=("ended",)))
    assert answer.gaps == {Section.ALLERGIES: Gap.WITHHELD_BY_SOURCE}


async def test_a_warning_beside_items_is_the_sources_statement_and_no_gap() -> None:
    warned = a_list("allergies", "AllergyIntolerance/a1", warnings=("confidential-items", "data-in-transit"))
    warned["note"] = [{"text": "Transfer not complete; information recorded before 26-Feb-2010 may be missing. <b>!"}]
    answer = await answer_of(record(ALLERGY, warned, without=("allergies",)))
    assert (answer.outcome, answer.gaps) == (Outcome.ANSWERED, {})
    assert [(warning.section, warning.code, warning.text) for warning in answer.warnings] == [
        (
            Section.ALLERGIES,
            "confidential-items",
            "Items that the practice marks as confidential are left out of allergies",
        ),
        (
            Section.ALLERGIES,
            "data-in-transit",
            "The record is still on its way from the previous practice: allergies may be incomplete "
            "(what was recorded before 26-Feb-2010)",
        ),
    ]


async def test_a_list_of_what_came_along_warns_too() -> None:
    secondary = a_list(
        "consultations-problems-contained-in-consultations", "Condition/c", warnings=("confidential-items",)
    )
    answer = await answer_of(record(secondary))
    assert [(warning.section, warning.code) for warning in answer.warnings] == [
        (Section.PROBLEMS, "confidential-items")
    ]
    answer = await answer_of(record(secondary), ALLERGIES)
    assert answer.warnings == []


async def test_a_warning_on_a_list_that_nobody_knows_may_be_about_anything() -> None:
    answer = await answer_of(record(a_list("12345", "Basic/1", warnings=("confidential-items",))))
    (warning,) = answer.warnings
    assert (warning.section, warning.code) == (None, "confidential-items")
    answer = await answer_of(record(a_list("792931000000107", warnings=("confidential-items",))))
    assert answer.warnings == []  # referrals: no section holds them


@pytest.mark.parametrize("reason", [None, "unavailable", "withheld"])
async def test_empty_for_another_reason_is_not_complete(reason: str | None) -> None:
    answer = await answer_of(record(a_list("problems", reason=reason), without=("problems",)))
    assert answer.gaps == {Section.PROBLEMS: Gap.HELD_BACK}


async def test_a_list_that_names_what_did_not_come_is_not_complete() -> None:
    answer = await answer_of(record(a_list("problems", "Condition/c1"), without=("problems",)))
    assert answer.gaps == {Section.PROBLEMS: Gap.HELD_BACK}


@pytest.mark.parametrize(
    "broken",
    [
        {**ALLERGY, "code": "not a concept"},
        {"resourceType": "AllergyIntolerance", "id": "a1"},
        {**ALLERGY, "patient": ["p1"]},
    ],
)
async def test_what_cant_be_translated_leaves_a_gap_in_its_section(broken: Any) -> None:
    written = record(broken, a_list("allergies", "AllergyIntolerance/a1"), without=("allergies",))
    answer = await answer_of(written)
    assert answer.gaps == {Section.ALLERGIES: Gap.HELD_BACK}
    assert ids(answer, "AllergyIntolerance") == []
    (traced,) = [one for one in answer.traced if one.key == "AllergyIntolerance/a1"]
    assert not traced.became
    assert traced.reason


async def test_a_patient_who_cant_be_read_proves_nothing() -> None:
    with pytest.raises(WrongContent):
        await answer_of(Written(record=bundle({**PATIENT, "name": "text"}, *empty_lists())))
    broken = bundle({**PATIENT, "name": "text"}, kind="searchset")
    with pytest.raises(WrongContent):
        await answer_of(Written(patients=broken), frozenset({Section.DEMOGRAPHICS}))


async def test_a_medicine_that_cant_be_named_leaves_a_gap_in_medicines() -> None:
    broken = {"resourceType": "Medication", "id": "m1", "code": "text"}
    assert (await answer_of(record(broken))).gaps == {Section.MEDICINES: Gap.HELD_BACK}


@pytest.mark.parametrize("entry", [{}, {"resource": None}, {"resource": []}, "text", None])
async def test_an_entry_without_a_resource_could_be_of_any_section(entry: Any) -> None:
    whole = bundle(PATIENT, *empty_lists())
    whole["entry"].append(entry)
    answer = await answer_of(Written(record=whole))
    assert answer.gaps == dict.fromkeys(sorted(SERVED - {Section.DEMOGRAPHICS}), Gap.HELD_BACK)


async def test_what_came_along_and_was_not_asked_for_is_not_shown() -> None:
    answer = await answer_of(record(ALLERGY), frozenset({Section.DEMOGRAPHICS, Section.PROBLEMS}))
    assert [item.type for item in answer.items] == ["Patient"]
    (traced,) = [one for one in answer.traced if one.key == "AllergyIntolerance/a1"]
    assert (traced.became, traced.reason) == (
        (),
        "of a section that was not asked for: it came along with what was",
    )


async def test_what_gp_connect_does_not_hold_is_never_silently_empty() -> None:
    answer = await answer_of(Written(), SERVED | {Section.CARE_TEAM})
    assert answer.gaps == {Section.CARE_TEAM: Gap.NOT_ASKED}
    answer = await answer_of(Written(), frozenset({Section.DEMOGRAPHICS, Section.CARE_TEAM}))
    assert answer.gaps == {Section.CARE_TEAM: Gap.NOT_ASKED}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"<html/>", WrongContent),
        ({"resourceType": "Patient"}, WrongContent),
        ({"resourceType": "Bundle", "entry": {}}, WrongContent),
        (b'{"resourceType":"Bundle","entry":[],"entry":[]}', WrongContent),
        (bundle(*({"resourceType": "Basic"} for _ in range(5_001))), TooMuch),
        (b'{"resourceType":"Bundle","x":' + b"[" * 5_000 + b"]" * 5_000 + b"}", TooMuch),
    ],
)
async def test_what_is_no_bundle_is_not_used(body: Any, error: type) -> None:
    with pytest.raises(error):
        await answer_of(Written(record=body), ALLERGIES)


# ---- whose practice it is ----


def practitioners(answer: Answer) -> list[dict[str, Any]]:
    (patient,) = [item.resource for item in answer.items if item.type == "Patient"]
    found: list[dict[str, Any]] = patient.get("generalPractitioner", [])
    return found


OWN = {"identifier": {"system": ODS_SYSTEM, "value": PRACTICE}}
DOCTOR = {"reference": "Practitioner/d1"}
HERE = {"resourceType": "Organization", "id": "o1", "identifier": [{"system": ODS_SYSTEM, "value": "G85004"}]}


async def test_a_structured_record_is_that_of_the_registered_practice() -> None:
    assert practitioners(await answer_of(Written())) == [OWN]
    with_doctor = {**PATIENT, "generalPractitioner": [DOCTOR]}
    answer = await answer_of(Written(record=bundle(with_doctor, *empty_lists())))
    assert practitioners(answer) == [DOCTOR, OWN]


async def test_what_the_record_says_of_the_practice_itself_stands() -> None:
    elsewhere = {**PATIENT, "generalPractitioner": [DOCTOR, {"reference": "Organization/o1"}]}
    answer = await answer_of(Written(record=bundle(elsewhere, HERE, *empty_lists())))
    assert practitioners(answer) == [
        DOCTOR,
        {"reference": "Organization/o1", "identifier": {"system": ODS_SYSTEM, "value": "G85004"}},
    ]


async def test_an_inactive_patient_is_nobodys_registered_one() -> None:
    answer = await answer_of(Written(record=bundle({**PATIENT, "active": False}, *empty_lists())))
    assert practitioners(answer) == []


# ---- appointments ----


def booked(*appointments: Any, **more: Any) -> Written:
    return Written(appointments=bundle(*appointments, kind="searchset"), **more)


async def test_an_appointment_becomes_a_contact() -> None:
    answer = await answer_of(booked(APPOINTMENT))
    (item,) = [one for one in answer.items if one.type == "Appointment"]
    assert (item.section, item.original_id, answer.gaps) == (Section.CONTACTS, "n1", {})
    assert "Appointment/n1" in {traced.key for traced in answer.traced}


async def test_the_two_ids_of_one_patient_are_one_patient() -> None:
    """The search's logical id need not be the structured record's; both Patients carry the NHS number."""
    other_id = {**APPOINTMENT, "participant": [{"actor": {"reference": "Patient/2"}, "status": "accepted"}]}
    patients = bundle({**PATIENT, "id": "2"}, kind="searchset")
    answer = await answer_of(booked(other_id, patients=patients))
    (item,) = [one for one in answer.items if one.type == "Appointment"]
    assert item.resource["participant"][0]["actor"]["reference"] == "Patient/p1"
    assert ids(answer, "Patient") == ["p1"]


async def test_an_appointment_of_somebody_else_stays_somebody_elses() -> None:
    stranger = {**APPOINTMENT, "participant": [{"actor": {"reference": "Patient/77"}, "status": "accepted"}]}
    answer = await answer_of(booked(stranger, patients=bundle({**PATIENT, "id": "2"}, kind="searchset")))
    (item,) = [one for one in answer.items if one.type == "Appointment"]
    assert item.resource["participant"][0]["actor"]["reference"] == "Patient/77"  # the guard sees it


@pytest.mark.parametrize(
    "numbers", [[OTHER], [NHS_NUMBER, OTHER], []], ids=["another number", "two numbers", "no number"]
)
async def test_somebody_elses_id_is_never_asked_with(numbers: list[str]) -> None:
    identifier = [{"system": NHS_NUMBER_SYSTEM, "value": number} for number in numbers]
    stranger = {"resourceType": "Patient", "id": "77", "identifier": identifier}
    written = Written(patients=bundle(stranger, kind="searchset"))
    answer = await answer_of(written)
    assert not [call for call in written.calls if "/Appointment" in call.path]
    assert "77" in ids(answer, "Patient")  # the guard sees the wrong Patient, and alarms


@pytest.mark.parametrize(
    ("part", "told", "gap"),
    [
        ("patients", 500, Gap.FAILED),
        ("patients", (403, problem("ACCESS_DENIED")), Gap.REFUSED),
        ("patients", (403, problem("NO_ORGANISATION_CONSENT")), Gap.WITHHELD_BY_SOURCE),
        ("patients", (404, problem("PATIENT_NOT_FOUND")), Gap.HELD_BACK),
        ("patients", bundle(kind="searchset"), Gap.HELD_BACK),
        ("patients", bundle(PATIENT, {**PATIENT, "id": "2"}, kind="searchset"), Gap.FAILED),
        ("patients", bundle({"resourceType": "OperationOutcome"}, kind="searchset"), Gap.FAILED),
        ("patients", bundle({**PATIENT, "id": ""}, kind="searchset"), Gap.FAILED),
        ("patients", bundle({**PATIENT, "id": "../p1?x="}, kind="searchset"), Gap.FAILED),
        ("appointments", 500, Gap.FAILED),
        ("appointments", (422, problem("INVALID_PARAMETER")), Gap.FAILED),
        ("appointments", bundle(APPOINTMENT, kind="searchset", total=2), Gap.FAILED),
        (
            "appointments",
            bundle(APPOINTMENT, kind="searchset", link=[{"relation": "next", "url": "http://practice.test/fhir/x"}]),
            Gap.FAILED,
        ),
        ("appointments", bundle({**APPOINTMENT, "participant": "x"}, kind="searchset"), Gap.HELD_BACK),
        ("appointments", b"[" * 3_000, Gap.FAILED),
    ],
)
async def test_appointments_that_fail_are_a_gap_in_contacts_alone(part: str, told: Any, gap: Gap) -> None:
    written = record(ALLERGY, a_list("allergies", "AllergyIntolerance/a1"), without=("allergies",))
    setattr(written, part, told)
    answer = await answer_of(written)
    assert answer.gaps == {Section.CONTACTS: gap}
    assert ids(answer, "AllergyIntolerance") == ["a1"]
    assert (answer.outcome, answer.told) == (Outcome.PARTIAL, "answered in part")
    assert NHS_NUMBER not in answer.detail


async def test_contacts_without_appointments_are_not_whole() -> None:
    answer = await answer_of(Written(), appointments=False)
    assert (answer.gaps, answer.calls) == ({Section.CONTACTS: Gap.NOT_ASKED}, 1)


async def test_slow_appointments_run_beside_the_record_and_keep_to_the_deadline() -> None:
    written = Written()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith("/Appointment"):
            await asyncio.sleep(30)
        await written(scope, receive, send)

    started = asyncio.get_running_loop().time()
    async with asked_of(slow) as connector:
        answer = await connector.ask(asking(sections=SERVED, seconds=0.5))
    assert asyncio.get_running_loop().time() - started < 10
    assert answer.gaps == {Section.CONTACTS: Gap.TIMED_OUT}


async def test_a_record_that_hangs_ends_at_the_deadline_and_takes_the_appointments_with_it() -> None:
    ended = asyncio.Event()

    async def hung(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    async with asked_of(hung) as connector:
        with pytest.raises(SourceTimeout):
            await connector.ask(asking(sections=SERVED, seconds=0.3))
    assert ended.is_set()


async def test_a_question_that_is_given_up_gives_up_its_calls() -> None:
    under_way, ended = asyncio.Event(), asyncio.Event()
    before = asyncio.all_tasks()

    async def hung(scope: Any, receive: Any, send: Any) -> None:
        under_way.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    async with asked_of(hung) as connector:
        asked = asyncio.create_task(connector.ask(asking(sections=SERVED)))
        await under_way.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    assert ended.is_set()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("patients", "error"),
    [
        (bundle(kind="searchset"), NoRecord),
        (bundle(PATIENT, {**PATIENT, "id": "2"}, kind="searchset"), Ambiguous),
        (bundle({"resourceType": "OperationOutcome"}, kind="searchset"), WrongContent),
    ],
)
async def test_a_search_for_demographics_alone_guesses_nothing(patients: Any, error: type) -> None:
    with pytest.raises(error):
        await answer_of(Written(patients=patients), frozenset({Section.DEMOGRAPHICS}))


async def test_decimals_keep_their_digits() -> None:
    observation = json.loads(
        '{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p1"},'
        '"performer":[{"reference":"Practitioner/d"}],"valueQuantity":{"value":0}}'
    )
    body = json.dumps(bundle(PATIENT, *empty_lists(), observation)).replace('"value": 0}', '"value": 4.50}').encode()
    answer = await answer_of(Written(record=body))
    (item,) = [one for one in answer.items if one.type == "Observation"]
    assert str(item.resource["valueQuantity"]["value"]) == "4.50"
