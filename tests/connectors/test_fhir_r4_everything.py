"""`fhir_r4` towards a source that offers `$everything`: the same in one call, and no trust in what it leaves out."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.fhir_r4.replay import replaying
from connectors.fhir_r4.sandbox import create_app
from connectors.fhir_r4.sandbox.flavours import Flavour
from connectors.fhir_r4.settings import Settings
from connectors.kit.faults import Mode
from connectors.sdk.connector import connect
from connectors.sdk.errors import Ambiguous, NoRecord, NotUnderstood, SourceError, Unwell, WrongContent
from connectors.sdk.model import SECTION_OF_TYPE, SUPPORTING_TYPES, Answer, Gap, Outcome, Section
from connectors.sdk.organisations import Organisation
from tests.connectors.asking import (
    ALL,
    BASE,
    NHS_NUMBER,
    PATIENT,
    SUBJECT,
    Source,
    asking,
    connected,
    entry,
    ids,
    outcome,
    page,
    resource,
)

GRACE, ELSIE, STRANGER = "9990000409", "9990000964", "9990000018"
BY_NUMBER = {"patient_by": "nhs-number", "everything": True}
AT_P1 = "Patient/p1/$everything"
AT_NUMBER = f"Patient/{NHS_NUMBER}/$everything"
NUMBERED = {**PATIENT, "id": NHS_NUMBER}
SEEN = resource("Observation", 1)
CLINICAL = ALL - {Section.DEMOGRAPHICS}


def brought(answer: Answer) -> list[tuple[str, Any]]:
    return sorted((item.key, item.resource) for item in answer.items)


async def asked(source: Source, **settings: Any) -> Answer:
    async with connected(source, **settings) as connector:
        return await connector.ask(asking())


async def everything(*found: dict[str, Any], **more: Any) -> Answer:
    """What becomes of this page, from a source that finds the Patient first."""
    return await asked(Source({AT_P1: page(*found, **more)}), everything=True)


# ---- what is well ----


@pytest.mark.parametrize("nhs_number", [GRACE, ELSIE])
async def test_everything_brings_what_the_searches_bring(nhs_number: str) -> None:
    async with connected(create_app("RJ2")) as connector:
        one_by_one = await connector.ask(asking(nhs_number))
    async with connected(create_app("RJ2"), everything=True) as connector:
        at_once = await connector.ask(asking(nhs_number))
    clinical = [item for item in brought(at_once) if item[1]["resourceType"] in SECTION_OF_TYPE]
    assert clinical == [item for item in brought(one_by_one) if item[1]["resourceType"] in SECTION_OF_TYPE] != []
    assert {key for key, _ in brought(one_by_one)} <= {key for key, _ in brought(at_once)}
    assert (at_once.outcome, at_once.gaps) == (Outcome.ANSWERED, {})


@pytest.mark.parametrize("patient_by", ["identifier", "logical-id"])
async def test_two_calls_where_the_patient_must_be_found_first(patient_by: str) -> None:
    sandbox = create_app("RJ2", flavour=Flavour())
    async with connected(sandbox, patient_by=patient_by, everything=True) as connector:
        answer = await connector.ask(asking(GRACE))
    assert answer.calls == sandbox.state()["calls"]["total"] == 2


async def test_one_call_where_the_nhs_number_is_the_patients_id() -> None:
    source = Source({AT_NUMBER: page(NUMBERED, SEEN)})
    answer = await asked(source, **BY_NUMBER)
    assert (answer.outcome, answer.gaps, answer.calls) == (Outcome.ANSWERED, {}, 1)
    assert source.kinds() == [AT_NUMBER]
    assert [item.key for item in answer.items] == [f"Patient/{NHS_NUMBER}", "Observation/Obs1"]


async def test_without_everything_too_the_nhs_number_spares_a_round_trip() -> None:
    source = Source({"Patient": page(NUMBERED), "Observation": page(SEEN)})
    answer = await asked(source, patient_by="nhs-number")
    assert ids(answer, "Observation") == ["Obs1"]
    assert {call.params.get("patient") for call in source.calls if call.kind != "Patient"} == {NHS_NUMBER}
    assert source.most_under_way >= len(source.calls) - 1


async def test_pages_are_followed() -> None:
    async with connected(create_app("RJ2"), everything=True, page_size=7) as connector:
        paged = await connector.ask(asking(ELSIE))
    async with connected(create_app("RJ2"), everything=True) as connector:
        assert brought(paged) == brought(await connector.ask(asking(ELSIE)))
    assert (paged.outcome, paged.calls > 10) == (Outcome.ANSWERED, True)


async def test_nothing_is_asked_for_but_the_asked_sections_and_what_explains_them() -> None:
    source = Source({AT_P1: page(resource("AllergyIntolerance", 1), SEEN)})
    async with connected(source, everything=True) as connector:
        answer = await connector.ask(asking(NHS_NUMBER, frozenset({Section.ALLERGIES})))
    assert set(source.calls[1].params["_type"].split(",")) == {"Patient", "AllergyIntolerance", *SUPPORTING_TYPES}
    assert [item.type for item in answer.items] == ["Patient", "AllergyIntolerance"]


@pytest.mark.parametrize("settings", [{}, {"patient_by": "nhs-number"}])
async def test_demographics_alone_is_a_search(settings: dict[str, Any]) -> None:
    source = Source({"Patient": page(NUMBERED)})
    async with connected(source, everything=True, **settings) as connector:
        await connector.ask(asking(NHS_NUMBER, frozenset({Section.DEMOGRAPHICS})))
    assert source.kinds() == ["Patient"]


@pytest.mark.parametrize(("settings", "at"), [({"everything": True}, AT_P1), (BY_NUMBER, AT_NUMBER)])
async def test_a_section_with_searches_of_its_own_is_searched(settings: dict[str, Any], at: str) -> None:
    source = Source({at: page(NUMBERED, SEEN), "CareTeam": 500})
    answer = await asked(source, searches={"care-team": [{"type": "CareTeam"}]}, **settings)
    assert answer.gaps == {Section.CARE_TEAM: Gap.FAILED}
    [called] = [call for call in source.calls if call.kind == at]
    assert "CareTeam" not in called.params["_type"].split(",")
    assert "CareTeam:participant" not in answer.includes
    assert "Observation:performer" in answer.includes


async def test_what_comes_along_is_what_the_settings_say() -> None:
    answer = await asked(Source(), everything=True, include=["Encounter:location"])
    assert answer.includes == {"Encounter:location"}


def test_two_ways_of_asking_for_all_at_once_are_one_too_many() -> None:
    with pytest.raises(ValidationError, match="Give one of them"):
        Settings(batch=True, everything=True)


# ---- what it leaves out ----


async def test_fewer_than_it_counted_is_a_gap_everywhere() -> None:
    answer = await everything(SEEN, total=2)
    assert answer.gaps == dict.fromkeys(ALL, Gap.HELD_BACK)
    assert ids(answer, "Observation") == ["Obs1"]
    assert "counted 2 and sent 1" in answer.detail


async def test_one_sent_twice_counts_once() -> None:
    assert (await everything(SEEN, SEEN, total=2)).gaps == dict.fromkeys(ALL, Gap.HELD_BACK)


@pytest.mark.parametrize("said", [outcome("incomplete"), outcome("exception", "error")])
async def test_its_own_word_that_something_is_missing_is_a_gap_everywhere(said: dict[str, Any]) -> None:
    assert (await everything(SEEN, entry(said, "outcome"))).gaps == dict.fromkeys(ALL, Gap.HELD_BACK)


async def test_a_module_that_failed_is_never_nothing_recorded() -> None:
    sandbox = create_app("RJ2")
    sandbox.switch.mode = Mode.NO_ALLERGIES
    async with connected(sandbox, everything=True) as connector:
        answer = await connector.ask(asking(GRACE))
    assert answer.gaps[Section.ALLERGIES] is Gap.HELD_BACK
    assert answer.outcome is Outcome.PARTIAL


async def test_types_that_its_own_link_does_not_name_were_not_answered() -> None:
    link = {"self": f"{BASE}/{AT_P1}?_type=Patient,Observation,DiagnosticReport,MedicationRequest"}
    answer = await everything(SEEN, links=link)
    assert answer.gaps == dict.fromkeys(CLINICAL - {Section.RESULTS}, Gap.HELD_BACK)


async def test_a_source_that_says_it_ignored_the_types_answered_for_all() -> None:
    assert (await everything(SEEN, links={"self": f"{BASE}/Patient/p1/%24everything?_count=200"})).gaps == {}


async def test_a_broken_resource_is_a_gap_in_its_own_section() -> None:
    broken = {"resourceType": "AllergyIntolerance", "id": "a", "code": "peanut"}
    answer = await everything(SEEN, broken)
    assert answer.gaps == {Section.ALLERGIES: Gap.HELD_BACK}


async def test_a_broken_resource_of_no_section_may_have_explained_anything() -> None:
    answer = await everything(SEEN, {"resourceType": "Practitioner", "id": 7})
    assert answer.gaps == dict.fromkeys(ALL, Gap.HELD_BACK)


async def test_a_failed_page_leaves_what_came_before_it() -> None:
    async def play(question: Any) -> Any:
        return 500 if "_page" in question.params else page(SEEN, links={"next": f"{BASE}/{AT_P1}?_page=2"})

    answer = await asked(Source({AT_P1: play}), everything=True)
    assert answer.gaps == dict.fromkeys(ALL, Gap.FAILED)
    assert ids(answer, "Observation") == ["Obs1"]


@pytest.mark.parametrize(
    "link",
    [
        {"next": f"{BASE}/{AT_P1}?_page=1"},
        {"next": "http://elsewhere.test/fhir/x"},
        {"self": f"{BASE}/Patient/p2/$everything"},
        {"self": f"{BASE}/Patient/$everything"},
        {"self": f"{BASE}/Observation?_count=200"},
    ],
)
async def test_links_that_lead_astray_are_no_answer(link: dict[str, str]) -> None:
    answer = await everything(SEEN, links=link)
    assert answer.gaps == dict.fromkeys(ALL, Gap.FAILED)


@pytest.mark.parametrize(("status", "gap"), [(404, Gap.FAILED), (400, Gap.FAILED), (403, Gap.REFUSED)])
async def test_a_source_that_does_not_offer_it_is_a_gap_everywhere(status: int, gap: Gap) -> None:
    answer = await asked(Source({AT_P1: status}), everything=True)
    assert answer.gaps == dict.fromkeys(ALL, gap)
    assert [item.type for item in answer.items] == ["Patient"]


async def test_somebody_elses_patient_is_not_asked_about() -> None:
    source = Source({"Patient": page({**PATIENT, "identifier": []})})
    answer = await asked(source, everything=True)
    assert answer.gaps == dict.fromkeys(ALL, Gap.IDENTITY_ALARM)
    assert source.kinds() == ["Patient"]


# ---- one call: is the Patient there? ----


@pytest.mark.parametrize("nothing", [404, 400, page(), page(total=0)])
async def test_who_is_not_there_is_looked_for_once_more(nothing: Any) -> None:
    """A 404 may say that there is no such patient, or no such operation: a search tells which."""
    with pytest.raises(NoRecord):
        await asked(Source({AT_NUMBER: nothing, "Patient": page(total=0)}), **BY_NUMBER)
    kind = NotUnderstood if isinstance(nothing, int) else WrongContent
    with pytest.raises(kind):
        await asked(Source({AT_NUMBER: nothing, "Patient": page(NUMBERED)}), **BY_NUMBER)


async def test_a_source_that_sends_a_patients_items_never_says_that_it_knows_nobody() -> None:
    """Its search for the Patient may find nothing all the same: read as "no record", what it holds would be nothing."""
    with pytest.raises(WrongContent):
        await asked(Source({AT_NUMBER: page(SEEN), "Patient": page(total=0)}), **BY_NUMBER)


@pytest.mark.parametrize(
    ("came", "error"),
    [
        (page(NUMBERED, {**NUMBERED, "id": "p2"}), Ambiguous),
        (page({"resourceType": "Patient", "id": 7}, SEEN), WrongContent),
        (500, Unwell),
        (b"{", WrongContent),
    ],
)
async def test_without_the_one_patient_there_is_no_answer(came: Any, error: type[SourceError]) -> None:
    with pytest.raises(error):
        await asked(Source({AT_NUMBER: came}), **BY_NUMBER)


async def test_the_patient_stands_where_a_later_page_fails() -> None:
    came = page(NUMBERED, links={"next": f"{BASE}/{AT_NUMBER}?_page=2"})

    async def play(question: Any) -> Any:
        return b"no JSON" if "_page" in question.params else came

    answer = await asked(Source({AT_NUMBER: play}), **BY_NUMBER)
    assert (answer.gaps, [item.type for item in answer.items]) == (dict.fromkeys(ALL, Gap.FAILED), ["Patient"])


# ---- replay ----


async def replayed(*payloads: dict[str, Any]) -> Answer:
    said = {"ods": "RJ2", "name": "A trust", "type": "acute-trust", "stage": "live", "connector": "fhir_r4"}
    said |= {"address": BASE, "sections": list(Section), "settings": {"everything": True}}
    saved = replaying([json.dumps(payload).encode() for payload in payloads], NHS_NUMBER)
    connector = connect(Organisation.model_validate(said), transport=saved)
    return await connector.ask(asking())


async def test_what_was_saved_answers_it_too() -> None:
    bundle = {**page(PATIENT, SEEN), "type": "collection"}
    answer = await replayed(bundle)
    assert (answer.gaps, ids(answer, "Observation")) == ({}, ["Obs1"])


async def test_what_no_file_answers_for_is_a_gap() -> None:
    link = {"self": f"{BASE}/Observation?patient=p1"}
    patient = page(PATIENT, links={"self": f"{BASE}/Patient?identifier=x"})
    answer = await replayed(
        patient, page(SEEN, links=link), page(links={"self": f"{BASE}/DiagnosticReport?patient=p1"})
    )
    assert answer.gaps == dict.fromkeys(CLINICAL - {Section.RESULTS}, Gap.HELD_BACK)
    assert ids(answer, "Observation") == ["Obs1"]
    assert SUBJECT in [item.resource.get("subject") for item in answer.items]


async def test_an_ask_that_ends_early_leaves_no_call_behind() -> None:
    source = Source({AT_NUMBER: 500})
    with pytest.raises(SourceError):
        await asked(source, searches={"care-team": [{"type": "CareTeam"}]}, **BY_NUMBER)
    await asyncio.sleep(0)
    assert source.under_way == 0
