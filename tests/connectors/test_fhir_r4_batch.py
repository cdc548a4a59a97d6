"""`fhir_r4` towards a source that takes its searches together: the same answer, in one call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.fhir_r4.sandbox import create_app
from connectors.fhir_r4.sandbox.flavours import Flavour
from connectors.kit.faults import Mode
from connectors.sdk.errors import NoRecord, NotUnderstood, WrongContent
from connectors.sdk.model import Answer, Gap, Outcome, Section
from tests.connectors.asking import ALL, asking, connected

GRACE, ELSIE, STRANGER = "9990000409", "9990000964", "9990000018"
BOTH_WAYS = pytest.mark.parametrize("patient_by", ["identifier", "logical-id"])


def brought(answer: Answer) -> list[tuple[str, Any]]:
    return sorted((item.key, item.resource) for item in answer.items)


@BOTH_WAYS
@pytest.mark.parametrize("nhs_number", [GRACE, ELSIE])
async def test_a_batch_brings_what_the_searches_bring(patient_by: str, nhs_number: str) -> None:
    async with connected(create_app("RJ2"), patient_by=patient_by) as connector:
        one_by_one = await connector.ask(asking(nhs_number))
    async with connected(create_app("RJ2"), patient_by=patient_by, batch=True) as connector:
        together = await connector.ask(asking(nhs_number))
    assert brought(together) == brought(one_by_one) != []
    assert (together.outcome, together.gaps) == (Outcome.ANSWERED, {})


@BOTH_WAYS
async def test_one_call_in_place_of_a_dozen(patient_by: str) -> None:
    sandbox = create_app("RJ2", flavour=Flavour())
    async with connected(sandbox, patient_by=patient_by, batch=True) as connector:
        answer = await connector.ask(asking(GRACE))
    assert answer.calls == sandbox.state()["calls"]["total"] == (1 if patient_by == "identifier" else 2)


async def test_further_pages_are_fetched_one_by_one() -> None:
    sandbox = create_app("RJ2", flavour=Flavour(page_size=7))
    async with connected(sandbox, patient_by="identifier", batch=True) as connector:
        paged = await connector.ask(asking(ELSIE))
    async with connected(create_app("RJ2"), patient_by="identifier") as connector:
        assert brought(paged) == brought(await connector.ask(asking(ELSIE)))
    assert paged.calls > 10


async def test_only_what_was_asked_for_is_in_the_batch() -> None:
    asked: list[str] = []

    async def source(scope: Any, receive: Any, send: Any) -> None:
        body = json.loads((await receive())["body"])
        asked.extend(entry["request"]["url"] for entry in body["entry"])
        await create_app("RJ2")({**scope, "path": "/fhir"}, _saying(json.dumps(body).encode()), send)

    async with connected(source, patient_by="identifier", batch=True) as connector:
        answer = await connector.ask(asking(GRACE, frozenset({Section.ALLERGIES})))
    assert [search.partition("?")[0] for search in asked] == ["Patient", "AllergyIntolerance"]
    assert {item.section for item in answer.items} == {Section.DEMOGRAPHICS, Section.ALLERGIES, None}


def _saying(body: bytes) -> Any:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def test_demographics_alone_needs_no_batch_of_searches() -> None:
    sandbox = create_app("RJ2")
    async with connected(sandbox, patient_by="logical-id", batch=True) as connector:
        answer = await connector.ask(asking(GRACE, frozenset({Section.DEMOGRAPHICS})))
    assert (answer.calls, [item.type for item in answer.items]) == (1, ["Patient"])


@BOTH_WAYS
async def test_a_search_that_fails_in_a_batch_is_a_gap_in_its_own_section(patient_by: str) -> None:
    sandbox = create_app("RJ2")
    sandbox.switch.mode = Mode.NO_ALLERGIES
    async with connected(sandbox, patient_by=patient_by, batch=True) as connector:
        answer = await connector.ask(asking(GRACE))
    assert answer.outcome is Outcome.PARTIAL
    assert answer.gaps == {Section.ALLERGIES: Gap.FAILED}
    assert (
        {Section.MEDICINES, Section.CONTACTS, Section.RESULTS} < {item.section for item in answer.items} < {*ALL, None}
    )
    assert Section.ALLERGIES not in {item.section for item in answer.items}


async def test_an_unknown_patient_is_unknown_in_a_batch_too() -> None:
    async with connected(create_app("RJ2"), patient_by="identifier", batch=True) as connector:
        with pytest.raises(NoRecord):
            await connector.ask(asking(STRANGER))


async def test_a_source_that_takes_no_batch_says_so() -> None:
    async with connected(
        create_app("RJ2", flavour=Flavour(batch=False)), patient_by="identifier", batch=True
    ) as connector:
        with pytest.raises(NotUnderstood):
            await connector.ask(asking(GRACE))


async def test_an_answer_that_is_no_batch_response_is_not_guessed_at() -> None:
    async def source(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/fhir+json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"resourceType": "Bundle", "type": "searchset"}'})

    async with connected(source, patient_by="identifier", batch=True) as connector:
        with pytest.raises(WrongContent):
            await connector.ask(asking(GRACE))
