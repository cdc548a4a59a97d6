"""`fhir_r4` against sources that mislead: what is missing is always a gap, and never somebody else's."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.fhir_r4.settings import Settings
from connectors.sdk.budget import MAX_ENTRIES_OF_ASK
from connectors.sdk.bundle import MAX_ENTRIES
from connectors.sdk.errors import Ambiguous, NoRecord, SourceError, SourceTimeout, Unwell, WrongContent
from connectors.sdk.model import NHS_NUMBER_SYSTEM, Answer, Gap, Outcome, Section
from tests.connectors.asking import (
    ALL,
    BASE,
    NHS_NUMBER,
    PATIENT,
    Question,
    Source,
    asking,
    connected,
    entry,
    ids,
    outcome,
    page,
    resource,
)
from tests.leaping import BACKEND

ALLERGIES = frozenset({Section.ALLERGIES})
BOTH_WAYS = pytest.mark.parametrize("patient_by", ["identifier", "logical-id"])


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Seconds of this module pass by leaps: none of it depends on how fast the machine is."""
    return BACKEND


async def ask(
    source: Source, sections: frozenset[Section] = ALLERGIES, seconds: float = 5.0, **settings: Any
) -> Answer:
    async with connected(source, **settings) as connector:
        return await connector.ask(asking(sections=sections, seconds=seconds))


# ---- what is asked ----


async def test_one_round_by_identifier() -> None:
    source = Source()
    answer = await ask(source, ALL, patient_by="identifier", page_size=77, headers={"X-Tenant": "a"})
    assert answer.outcome is Outcome.ANSWERED
    assert sorted(source.kinds()) == [
        *("AllergyIntolerance", "Appointment", "CareTeam", "Condition", "DiagnosticReport", "Encounter"),
        *("Immunization", "MedicationRequest", "MedicationStatement", "Observation", "Patient"),
    ]
    token = f"{NHS_NUMBER_SYSTEM}|{NHS_NUMBER}"
    for question in source.calls:
        assert question.headers["x-tenant"] == "a"
        assert question.headers["x-request-id"] == "4d1f0d0e-0000-4000-8000-000000000001"
        if question.kind == "Patient":
            assert question.params == {"identifier": token, "_count": "3"}
        else:
            assert question.params["patient.identifier"] == token
            assert question.params["_count"] == "77"
    assert answer.calls == 11


async def test_two_rounds_by_logical_id_whatever_the_id() -> None:
    source = Source({"Patient": page({**PATIENT, "id": "P_100~1 &x=1"})})
    answer = await ask(source, ALL)
    assert answer.outcome is Outcome.ANSWERED
    assert source.kinds()[0] == "Patient"
    assert {question.params["patient"] for question in source.calls[1:]} == {"P_100~1 &x=1"}
    assert all("x" not in question.params for question in source.calls[1:])


async def test_searches_are_asked_as_configured() -> None:
    source = Source()
    searches = {
        "results": [
            {"type": "Observation", "patient": "subject", "params": {"category": "laboratory", "status:not": "x y&z"}},
            {"type": "Observation", "params": {"category": "vital-signs"}, "include": ["Observation:performer", "a:b"]},
        ]
    }
    await ask(source, frozenset({Section.RESULTS, Section.ALLERGIES}), searches=searches)
    allergies, laboratory, vital = sorted(source.calls[1:], key=lambda question: (question.kind, question.query))[:3]
    assert allergies.kind == "AllergyIntolerance"
    by_query = {question.params["category"]: question for question in (laboratory, vital)}
    assert by_query["laboratory"].params["subject"] == "p1"
    assert by_query["laboratory"].params["status:not"] == "x y&z"
    assert "_include=Observation%3Aperformer&_include=a%3Ab" in by_query["vital-signs"].query


async def test_another_identifier_system_is_asked_by() -> None:
    source = Source()
    await ask(source, identifier_system="urn:local|x")
    assert source.calls[0].params["identifier"] == f"urn:local|x|{NHS_NUMBER}"


# ---- the Patient ----


@BOTH_WAYS
@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (page(), NoRecord),
        (page(total=0), NoRecord),
        (page(entry(PATIENT, "include")), WrongContent),
        (page(entry(PATIENT, "outcome"), total=0), WrongContent),
        (page(total=1), WrongContent),
        (page(links={"next": f"{BASE}/Patient?identifier=x&page=2"}), WrongContent),
        (page(links={"next": f"{BASE}/Patient?identifier=x&page=2"}, total=0), WrongContent),
        (page(PATIENT, {**PATIENT, "id": "p2"}), Ambiguous),
        (page(PATIENT, total=2), Ambiguous),
        (page(total=3), Ambiguous),
        (page({**PATIENT, "gender": 7}), WrongContent),
        (page(PATIENT, {**PATIENT, "id": ""}), WrongContent),
        (page({"fullUrl": "x", "resource": {"resourceType": "Patient"}}), WrongContent),
        (page(entry(outcome("security", "error"), "outcome")), WrongContent),
        (page(entry(outcome("incomplete"), "outcome"), PATIENT), WrongContent),
        (page(PATIENT, links={"self": f"{BASE}/Patient?_count=3"}), WrongContent),
        (page(PATIENT, links={"self": f"{BASE}/Patient"}), WrongContent),
        (outcome("exception", "error"), WrongContent),
        (PATIENT, WrongContent),
        (b"", WrongContent),
        (500, Unwell),
    ],
)
async def test_without_one_certain_patient_nothing_is_answered(
    found: Any, expected: type[SourceError], patient_by: str
) -> None:
    source = Source({"Patient": found})
    with pytest.raises(expected):
        await ask(source, ALL, patient_by=patient_by)
    if patient_by == "logical-id":
        assert set(source.kinds()) == {"Patient"}


async def test_a_remark_beside_the_patient_is_no_trouble() -> None:
    found = page(entry(outcome("informational", "information"), "outcome"), PATIENT, total=1)
    assert (await ask(Source({"Patient": found}))).outcome is Outcome.ANSWERED


async def test_somebody_elses_id_is_not_searched_with() -> None:
    other = {**PATIENT, "identifier": [{"system": NHS_NUMBER_SYSTEM, "value": "9990000018"}]}
    for patient in (other, {**PATIENT, "identifier": []}, {"resourceType": "Patient", "id": "p1"}):
        source = Source({"Patient": page(patient)})
        answer = await ask(source, ALL)
        assert source.kinds() == ["Patient"]
        assert answer.outcome is Outcome.PARTIAL
        assert answer.gaps == dict.fromkeys(ALL, Gap.IDENTITY_ALARM)
        assert [item.type for item in answer.items] == ["Patient"]


async def test_a_number_written_with_spaces_is_the_same_number() -> None:
    spaced = {**PATIENT, "identifier": [{"system": NHS_NUMBER_SYSTEM, "value": "999 000 0409"}]}
    assert (await ask(Source({"Patient": page(spaced)}))).outcome is Outcome.ANSWERED


async def test_sections_under_way_stop_when_there_is_no_patient() -> None:
    async def hang(question: Question) -> Any:
        await asyncio.sleep(60)

    source = Source({"Patient": page(), "AllergyIntolerance": hang})
    started = asyncio.get_running_loop().time()
    with pytest.raises(NoRecord):
        await ask(source, patient_by="identifier")
    assert asyncio.get_running_loop().time() - started < 10
    assert source.under_way == 0


# ---- pages ----


def turning(*numbers: int, last: str | None = None, total: int | None = None) -> Any:
    """A search of one allergy a page; the page after the last links to `last`, or to nothing."""

    async def play(question: Question) -> Any:
        at = int(question.params.get("page", "0"))
        following = f"{BASE}/AllergyIntolerance?page={at + 1}" if at + 1 < len(numbers) else last
        more = {} if total is None else {"total": total}
        return page(
            resource("AllergyIntolerance", numbers[at]), links={"next": following} if following else None, **more
        )

    return play


async def test_pages_are_read_to_the_last() -> None:
    source = Source({"AllergyIntolerance": turning(1, 2, 3, total=3)})
    answer = await ask(source)
    assert ids(answer, "AllergyIntolerance") == ["All1", "All2", "All3"]
    assert (answer.gaps, answer.calls) == ({}, 4)


@pytest.mark.parametrize(
    ("last", "says"),
    [
        ("http://evil.test/fhir/AllergyIntolerance?page=2", "leaves its own base address"),
        ("https://source.test/fhir/AllergyIntolerance?page=2", "leaves its own base address"),
        ("http://source.test:8080/fhir/x", "leaves its own base address"),
        ("http://source.test/other/x", "leaves its own base address"),
        ("//evil.test/fhir/x", "leaves its own base address"),
        ("../admin", "leaves its own base address"),
        (f"{BASE}/AllergyIntolerance?page=1", "go in a circle"),
        ("AllergyIntolerance?page=1", "go in a circle"),
    ],
)
async def test_a_next_link_that_leads_astray_is_a_gap_and_what_came_before_stays(last: str, says: str) -> None:
    source = Source({"AllergyIntolerance": turning(1, 2, last=last)})
    answer = await ask(source)
    assert answer.gaps == {Section.ALLERGIES: Gap.FAILED}
    assert says in answer.detail
    assert ids(answer, "AllergyIntolerance") == ["All1", "All2"]
    assert answer.calls == len(source.calls) == 3


async def test_a_next_link_back_to_the_first_page_is_a_circle() -> None:
    async def play(question: Question) -> Any:
        return page(resource("AllergyIntolerance", 1), links={"next": f"{BASE}/{question.kind}?{question.query}"})

    answer = await ask(Source({"AllergyIntolerance": play}))
    assert answer.gaps == {Section.ALLERGIES: Gap.FAILED}
    assert "circle" in answer.detail
    assert answer.calls == 2


async def test_endless_pages_end_at_the_cap() -> None:
    answer = await ask(Source({"AllergyIntolerance": turning(*range(100))}), max_pages=5)
    assert answer.gaps == {Section.ALLERGIES: Gap.TOO_MUCH}
    assert (answer.calls, len(ids(answer, "AllergyIntolerance"))) == (6, 5)


async def test_too_many_entries_over_all_pages_are_cut() -> None:
    async def play(question: Question) -> Any:
        at = int(question.params.get("page", "0"))
        found = [resource("AllergyIntolerance", f"{at}-{number}") for number in range(MAX_ENTRIES // 2)]
        return page(*found, links={"next": f"{BASE}/AllergyIntolerance?page={at + 1}"})

    answer = await ask(Source({"AllergyIntolerance": play}), seconds=30)
    assert answer.gaps == {Section.ALLERGIES: Gap.TOO_MUCH}
    assert len(ids(answer, "AllergyIntolerance")) == MAX_ENTRIES_OF_ASK
    assert len(answer.items) == 2 * MAX_ENTRIES  # as many as the guard takes, and not one more
    assert answer.calls == 5


async def test_all_searches_draw_on_one_budget_of_entries() -> None:
    def many(kind: str) -> Any:
        return page(*(resource(kind, number) for number in range(MAX_ENTRIES)))

    source = Source({kind: many(kind) for kind in ("AllergyIntolerance", "Observation", "Encounter")})
    answer = await ask(source, ALL, seconds=30, patient_by="identifier")
    assert len(answer.items) == 2 * MAX_ENTRIES
    assert Gap.TOO_MUCH in answer.gaps.values()
    assert answer.outcome is Outcome.PARTIAL


async def test_all_searches_draw_on_one_budget_of_bytes() -> None:
    """Four bodies of 20 MB each: each is under the cap of one call, and the fourth is over the budget of them all."""
    padding = " " * 20_000_000

    def heavy(kind: str) -> Any:
        return (json.dumps(page(resource(kind, 1)))[:-1] + padding + "}").encode()

    source = Source({kind: heavy(kind) for kind in ("AllergyIntolerance", "Observation", "Encounter", "Immunization")})
    answer = await ask(source, ALL, seconds=30)
    assert Gap.TOO_MUCH in answer.gaps.values()
    assert len(answer.gaps) < len(source.plays)
    assert "budget of the whole question" in answer.detail
    alone = await ask(source, ALLERGIES, seconds=30)
    assert alone.gaps == {}


async def test_pages_that_are_each_under_the_cap_end_at_the_budget() -> None:
    async def play(question: Question) -> Any:
        at = int(question.params.get("page", "0"))
        told = page(resource("AllergyIntolerance", at), links={"next": f"{BASE}/AllergyIntolerance?page={at + 1}"})
        return (json.dumps(told)[:-1] + " " * 20_000_000 + "}").encode()

    answer = await ask(Source({"AllergyIntolerance": play}), seconds=30)
    assert answer.gaps == {Section.ALLERGIES: Gap.TOO_MUCH}
    assert (ids(answer, "AllergyIntolerance"), answer.calls) == (["All0", "All1", "All2"], 5)


async def test_the_deadline_in_the_middle_of_the_pages_keeps_what_is_finished() -> None:
    async def dawdle(question: Question) -> Any:
        if "page" in question.params:
            await asyncio.sleep(60)
        return page(resource("Observation", 1), links={"next": f"{BASE}/Observation?page=1"})

    source = Source({"Observation": dawdle, "AllergyIntolerance": turning(1, 2)})
    started = asyncio.get_running_loop().time()
    answer = await ask(source, frozenset({Section.RESULTS, Section.ALLERGIES}), seconds=0.5, patient_by="identifier")
    assert asyncio.get_running_loop().time() - started < 10
    assert answer.outcome is Outcome.PARTIAL
    assert answer.gaps == {Section.RESULTS: Gap.TIMED_OUT}
    assert ids(answer, "AllergyIntolerance") == ["All1", "All2"]
    assert ids(answer, "Observation") == ["Obs1"]


@BOTH_WAYS
async def test_the_deadline_before_the_patient_is_a_time_out_of_the_whole(patient_by: str) -> None:
    async def hang(question: Question) -> Any:
        await asyncio.sleep(60)

    started = asyncio.get_running_loop().time()
    with pytest.raises(SourceTimeout):
        await ask(Source({"Patient": hang}), ALL, seconds=0.2, patient_by=patient_by)
    assert asyncio.get_running_loop().time() - started < 10


# ---- gaps ----

ALLERGY = resource("AllergyIntolerance", 1)


@pytest.mark.parametrize(
    ("found", "gap"),
    [
        (page(ALLERGY, total=2), Gap.HELD_BACK),
        (page(total=1), Gap.HELD_BACK),
        (page(entry(ALLERGY, "include"), total=1), Gap.HELD_BACK),
        (page(ALLERGY, ALLERGY, total=2), Gap.HELD_BACK),
        (page(ALLERGY, {**ALLERGY, "id": "x", "patient": "Patient/p1"}), Gap.HELD_BACK),
        (page(ALLERGY, {"fullUrl": "lost", "resource": {"resourceType": "AllergyIntolerance"}}), Gap.HELD_BACK),
        (page(ALLERGY, entry(outcome("incomplete"), "outcome")), Gap.HELD_BACK),
        (page(ALLERGY, entry(outcome("suppressed", "information"), "outcome")), Gap.HELD_BACK),
        (page(ALLERGY, entry(outcome("exception", "error"), "outcome")), Gap.HELD_BACK),
        (page(ALLERGY, entry(outcome("processing", "fatal"), "outcome")), Gap.HELD_BACK),
        (page(ALLERGY, links={"self": f"{BASE}/AllergyIntolerance?_count=200"}), Gap.FAILED),
        (page(ALLERGY, links={"self": f"{BASE}/AllergyIntolerance"}), Gap.FAILED),
        (page(ALLERGY, total=-1), Gap.FAILED),
        (page(ALLERGY, link={}), Gap.FAILED),
        (outcome("forbidden", "error"), Gap.FAILED),
        (b'{"resourceType":"Bundle","total":0,"total":0}', Gap.FAILED),
        (b"<Bundle/>", Gap.FAILED),
        (b"", Gap.FAILED),
        (b'{"resourceType":"Bundle","x":' + b"[" * 100_000, Gap.TOO_MUCH),
        (b'{"resourceType":"Bundle","entry":[' + b"{}," * MAX_ENTRIES + b"{}]}", Gap.TOO_MUCH),
        (401, Gap.REFUSED),
        (403, Gap.REFUSED),
        (404, Gap.FAILED),
        (429, Gap.FAILED),
        (500, Gap.FAILED),
    ],
)
@BOTH_WAYS
async def test_whatever_is_missing_is_a_gap_of_its_own_section(found: Any, gap: Gap, patient_by: str) -> None:
    source = Source({"AllergyIntolerance": found, "Encounter": page(resource("Encounter", 1))})
    answer = await ask(source, frozenset({Section.ALLERGIES, Section.CONTACTS}), patient_by=patient_by)
    assert answer.outcome is Outcome.PARTIAL
    assert answer.gaps == {Section.ALLERGIES: gap}
    assert answer.detail.startswith("AllergyIntolerance: ")
    assert ids(answer, "Encounter") == ["Enc1"]
    assert NHS_NUMBER not in answer.detail


@pytest.mark.parametrize(
    "found",
    [
        page(ALLERGY),
        page(ALLERGY, total=1),
        page(ALLERGY, total=0),
        page(ALLERGY, entry(outcome("informational", "information"), "outcome"), total=1),
        page(ALLERGY, entry(outcome("not-supported"), "outcome"), total=1),
        page(ALLERGY, links={"self": f"{BASE}/AllergyIntolerance?patient=p1&_count=200"}),
        page(ALLERGY, links={"self": f"{BASE}/AllergyIntolerance?patient%3APatient=p1"}),
        page(ALLERGY, links={"self": f"{BASE}/AllergyIntolerance?patient.identifier=x"}),
        page(ALLERGY, links={"self": "AllergyIntolerance?patient=p1"}),
        {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": ALLERGY}]},
    ],
)
async def test_what_is_whole_has_no_gap(found: Any) -> None:
    answer = await ask(Source({"AllergyIntolerance": found}))
    assert (answer.outcome, answer.gaps, answer.told, answer.detail) == (Outcome.ANSWERED, {}, "", "")
    assert ids(answer, "AllergyIntolerance") == ["All1"]


async def test_a_section_of_several_searches_has_a_gap_where_one_has() -> None:
    source = Source({"MedicationRequest": 500, "MedicationStatement": page(resource("MedicationStatement", 1))})
    answer = await ask(source, frozenset({Section.MEDICINES}))
    assert answer.gaps == {Section.MEDICINES: Gap.FAILED}
    assert ids(answer, "MedicationStatement") == ["Med1"]
    assert answer.calls == 4


async def test_two_sections_that_fail_are_both_told() -> None:
    answer = await ask(Source({"AllergyIntolerance": 403, "Observation": 500}), ALL)
    assert answer.gaps == {Section.ALLERGIES: Gap.REFUSED, Section.RESULTS: Gap.FAILED}
    assert "AllergyIntolerance: Refused: status 403" in answer.detail
    assert "Observation: Unwell: status 500" in answer.detail
    assert "; " in answer.detail


async def test_types_that_are_no_part_of_a_record_are_left_out() -> None:
    strays = [
        {"resourceType": "Basic", "id": "b"},
        {"resourceType": "AuditEvent", "id": "a"},
        resource("Medication", 1),
    ]
    answer = await ask(Source({"AllergyIntolerance": page(ALLERGY, *(entry(stray, "include") for stray in strays))}))
    assert [(item.type, item.section) for item in answer.items[1:]] == [
        ("AllergyIntolerance", Section.ALLERGIES),
        ("Medication", None),
    ]


async def test_an_include_of_a_section_that_was_not_asked_for_stays_out() -> None:
    stray = {"resourceType": "CareTeam", "id": "c", "subject": {"reference": "Patient/p1"}}
    source = Source({"AllergyIntolerance": page(ALLERGY, entry(stray, "include"))})
    assert ids(await ask(source), "CareTeam") == []
    assert ids(await ask(source, ALLERGIES | {Section.CARE_TEAM}), "CareTeam") == ["c"]


async def test_what_comes_twice_is_one_item_and_two_versions_are_two() -> None:
    versions = [resource("Medication", 1), resource("Medication", 1), resource("Medication", 1, status="inactive")]
    answer = await ask(Source({"AllergyIntolerance": page(ALLERGY, *(entry(one, "include") for one in versions))}))
    assert [item.resource.get("status") for item in answer.items if item.type == "Medication"] == [None, "inactive"]


def test_an_include_that_no_default_search_has_stops_the_start() -> None:
    assert Settings(include=("Encounter:location",)).searches_for(Section.CONTACTS)[0].include == (
        "Encounter:location",
    )
    with pytest.raises(ValidationError, match="Encounter:place is no include of a default search"):
        Settings(include=("Encounter:place",))


async def test_a_decimal_arrives_with_its_digits() -> None:
    raw = json.dumps(page(resource("Observation", 1, valueQuantity={"value": 4.5}))).replace("4.5", "4.50").encode()
    answer = await ask(Source({"Observation": raw}), frozenset({Section.RESULTS}))
    assert str(answer.items[1].resource["valueQuantity"]["value"]) == "4.50"
