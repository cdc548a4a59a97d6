"""`connectors/sdk/json_api.py`: what a system with a JSON API of its own may send, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from connectors.sdk.connector import Setup
from connectors.sdk.errors import Ambiguous, NoRecord, Refused, SourceTimeout, WrongContent
from connectors.sdk.http import Httpx2Transport, Limits
from connectors.sdk.json_api import JsonApi, JsonApiSettings, ListOf
from connectors.sdk.model import Answer, Gap, Outcome, Section, Traced
from connectors.sdk.organisations import Organisation
from connectors.sdk.r4 import ALLERGY_STATUS, SNOMED, concept, given, nhs_number, note, quantity
from tests.connectors.asking import NHS_NUMBER, asking

ASKED = frozenset({Section.ALLERGIES, Section.PROBLEMS})
PERSON = {"id": "p1", "nhsNumber": NHS_NUMBER}
LISTS = "/api/people/p1/allergies", "/api/people/p1/problems"


def patient(entry: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": entry["id"], "identifier": nhs_number(entry["nhsNumber"])}


def allergy(entry: dict[str, Any]) -> dict[str, Any]:
    reference = {"reference": f"Patient/{entry['personId']}"}
    return {"resourceType": entry.get("kind", "AllergyIntolerance"), "id": entry["id"], "patient": reference}


def problem(entry: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Condition", "id": entry["id"], "subject": {"reference": f"Patient/{entry['personId']}"}}


def one(number: int | str, **more: Any) -> dict[str, Any]:
    return {"id": f"a{number}", "personId": "p1", **more}


def of(*entries: Any, **more: Any) -> dict[str, Any]:
    return {"entries": list(entries), **more}


class Source:
    """Answers each path with what stands in `plays`: a page or a status; an empty list where nothing does."""

    def __init__(self, **plays: Any) -> None:
        self.plays: dict[str, Any] = {"/api/people": of(PERSON), **plays}
        self.calls: list[str] = []
        self.headers: list[dict[str, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"].decode()
        place = scope["path"] + (f"?{query}" if "page" in query else "")
        self.calls.append(place)
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        play = self.plays.get(place, of())
        status, body = (play, {}) if isinstance(play, int) else (200, play)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})


@asynccontextmanager
async def connected(source: Source, **settings: Any) -> AsyncIterator[JsonApi]:
    organisation = Organisation.model_validate(
        {
            "ods": "RJ2",
            "name": "A system",
            "type": "acute-trust",
            "stage": "live",
            "connector": "fhir_r4",
            "address": "http://source.test/api",
            "sections": ["demographics", "allergies", "problems"],
        }
    )
    transport = Httpx2Transport(Limits(), httpx2.ASGITransport(app=source))
    lists = {
        Section.ALLERGIES: ListOf("people/{person}/allergies", allergy),
        Section.PROBLEMS: ListOf("people/{person}/problems", problem),
    }
    setup = Setup(organisation, JsonApiSettings(**settings), transport)
    connector = JsonApi(setup, people=ListOf("people?nhsNumber={nhs_number}", patient), lists=lists)
    try:
        yield connector
    finally:
        await connector.aclose()


async def ask(source: Source, sections: frozenset[Section] = ASKED, seconds: float = 5.0, **settings: Any) -> Answer:
    async with connected(source, **settings) as connector:
        return await connector.ask(asking(sections=sections, seconds=seconds))


async def test_the_person_and_every_asked_list_come_and_are_accounted_for() -> None:
    source = Source(**{LISTS[0]: of(one(1)), LISTS[1]: of(one(2))})
    answer = await ask(source)
    assert answer.outcome is Outcome.ANSWERED
    assert [item.key for item in answer.items] == ["Patient/p1", "AllergyIntolerance/a1", "Condition/a2"]
    assert answer.traced == [
        Traced("people/p1", ("Patient/p1",)),
        Traced("allergies/a1", ("AllergyIntolerance/a1",)),
        Traced("problems/a2", ("Condition/a2",)),
    ]
    assert (answer.calls, answer.includes, answer.gaps) == (3, frozenset(), {})
    assert {headers["accept"] for headers in source.headers} == {"application/json"}
    assert len({headers["x-request-id"] for headers in source.headers}) == 1


async def test_only_what_was_asked_for_is_asked() -> None:
    source = Source()
    answer = await ask(source, frozenset({Section.PROBLEMS}))
    assert source.calls == ["/api/people", LISTS[1]]
    assert [item.type for item in answer.items] == ["Patient"]


async def test_nobody_is_no_record_and_several_are_nobodys_guess() -> None:
    with pytest.raises(NoRecord):
        await ask(Source(**{"/api/people": of()}))
    with pytest.raises(Ambiguous):
        await ask(Source(**{"/api/people": of(PERSON, {**PERSON, "id": "p2"})}))


@pytest.mark.parametrize(
    "people",
    [
        of(PERSON, total=2),
        of({"id": "p1"}),
        of({**PERSON, "id": ""}),
        of({"nhsNumber": NHS_NUMBER}),
        of("somebody"),
        {"entries": None},
        {},
    ],
)
async def test_a_person_who_cannot_be_read_is_an_error(people: dict[str, Any]) -> None:
    with pytest.raises(WrongContent):
        await ask(Source(**{"/api/people": people}))


async def test_a_404_is_a_wrong_address_and_not_nobody() -> None:
    with pytest.raises(Exception, match="status 404") as caught:
        await ask(Source(**{"/api/people": 404}))
    assert not isinstance(caught.value, NoRecord)
    with pytest.raises(Refused):
        await ask(Source(**{"/api/people": 403}))


async def test_somebody_elses_id_is_never_searched_with() -> None:
    source = Source(**{"/api/people": of({"id": "p9", "nhsNumber": "9990000476"})})
    answer = await ask(source)
    assert source.calls == ["/api/people"]
    assert answer.gaps == dict.fromkeys(sorted(ASKED), Gap.IDENTITY_ALARM)
    assert [item.key for item in answer.items] == ["Patient/p9"]


@pytest.mark.parametrize(
    ("play", "gap", "said"),
    [
        (403, Gap.REFUSED, "Refused: status 403"),
        (404, Gap.FAILED, "NotUnderstood: status 404"),
        (503, Gap.FAILED, "Unwell: status 503"),
        ({"entries": {}}, Gap.FAILED, "no list of entries"),
        (of(one(1), next=7), Gap.FAILED, "next link is not a URL"),
        (of(one(1), next="https://elsewhere.example/"), Gap.FAILED, "leaves its own base address"),
        (of(one(1), next="people/p1/allergies"), Gap.FAILED, "in a circle"),
        (of(one(1), total=3), Gap.HELD_BACK, "counted 3 and sent 1"),
        (of(one(1), {"id": "a2"}), Gap.HELD_BACK, "could not be translated (KeyError"),
        (
            of(one(1), one(2, kind="Condition")),
            Gap.HELD_BACK,
            "could not be translated (BrokenShape: Object missing required field `subject`)",
        ),
        (
            of(one(1), one(2, id="")),
            Gap.HELD_BACK,
            "could not be translated (BrokenShape: Expected `str` of length >= 1",
        ),
    ],
)
async def test_a_list_that_is_not_whole_is_a_gap_in_its_own_section(play: Any, gap: Gap, said: str) -> None:
    answer = await ask(Source(**{LISTS[0]: play, LISTS[1]: of(one(2))}))
    assert answer.outcome is Outcome.PARTIAL
    assert answer.gaps == {Section.ALLERGIES: gap}
    assert said in answer.detail
    assert [item.key for item in answer.items if item.section is Section.PROBLEMS] == ["Condition/a2"]


async def test_what_cannot_be_translated_is_counted_with_its_reason() -> None:
    answer = await ask(Source(**{LISTS[0]: of({"personId": "p1"}, one(1))}))
    lost, kept = answer.traced[1:3]
    assert (lost.key, lost.became) == ("allergies/#0", ())
    assert lost.reason.startswith("could not be translated (KeyError at connectors/")
    assert kept == Traced("allergies/a1", ("AllergyIntolerance/a1",))


@pytest.mark.parametrize("path", ["people/{persn}/allergies", "people/{}/allergies"])
def test_a_path_with_the_place_of_anything_else_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"only \{nhs_number\} or \{person\} is known"):
        ListOf(path, allergy)


async def test_pages_are_followed_to_the_last_and_no_further_than_the_cap() -> None:
    plays = {LISTS[0]: of(one(1), next="/api/people/p1/allergies?page=2", total=2)}
    second = of(one(2), next=None)
    source = Source(**plays, **{f"{LISTS[0]}?page=2": second})
    answer = await ask(source)
    assert [item.original_id for item in answer.items[1:]] == ["a1", "a2"]
    assert answer.outcome is Outcome.ANSWERED
    answer = await ask(source, max_pages=1)
    assert answer.gaps == {Section.ALLERGIES: Gap.TOO_MUCH}
    assert [item.original_id for item in answer.items[1:]] == ["a1"]


async def test_the_same_entry_twice_is_one_item_and_makes_up_for_no_other() -> None:
    answer = await ask(Source(**{LISTS[0]: of(one(1), one(1), total=2)}))
    assert [item.original_id for item in answer.items[1:]] == ["a1"]
    assert answer.gaps == {Section.ALLERGIES: Gap.HELD_BACK}


async def test_two_versions_under_one_id_both_stay() -> None:
    answer = await ask(Source(**{LISTS[0]: of(one(1), one(1, note="other"))}))
    assert [item.original_id for item in answer.items[1:]] == ["a1", "a1"]


async def test_a_section_without_a_list_is_a_gap() -> None:
    answer = await ask(Source(), frozenset({Section.RESULTS}))
    assert answer.gaps == {Section.RESULTS: Gap.FAILED}
    assert "no list" in answer.detail


async def test_a_deadline_that_has_passed_is_a_timeout() -> None:
    with pytest.raises(SourceTimeout):
        await ask(Source(), seconds=-1)


async def test_ten_thousand_entries_are_too_much() -> None:
    answer = await ask(Source(**{LISTS[0]: of(*(one(number) for number in range(10_000)))}))
    assert answer.gaps == {Section.ALLERGIES: Gap.TOO_MUCH}


def test_the_pieces_of_r4() -> None:
    assert concept(SNOMED, "91936005", "Allergy to penicillin") == {
        "coding": [{"system": SNOMED, "code": "91936005", "display": "Allergy to penicillin"}],
        "text": "Allergy to penicillin",
    }
    assert concept(ALLERGY_STATUS, "active") == {"coding": [{"system": ALLERGY_STATUS, "code": "active"}]}
    assert note(None) is None
    assert note("") is None
    assert note("x") == [{"text": "x"}]
    assert given(a=None, b=0, c="") == {"b": 0, "c": ""}
    assert quantity(4, "mg") == {"value": 4, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
