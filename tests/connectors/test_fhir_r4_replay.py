"""Saved Bundles of an R4 source, answered to the connector's own searches."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from connectors.fhir_r4.replay import replaying
from connectors.fhir_r4.sandbox import create_app
from connectors.sdk.connector import connect
from connectors.sdk.errors import Ambiguous, NoRecord, WrongContent
from connectors.sdk.http import Httpx2Transport, Limits
from connectors.sdk.model import Answer, Gap, Outcome, Section
from tests.connectors.asking import ALL, BASE, NHS_NUMBER, PATIENT, SUBJECT, asking, entry, ids, page, resource, trust

OTHER = {**PATIENT, "id": "p2", "identifier": []}
WHOLE = frozenset({Section.DEMOGRAPHICS, Section.RESULTS, Section.ALLERGIES})
DOCTOR = {"resourceType": "Practitioner", "id": "d1"}
PLACE = {"resourceType": "Location", "id": "l1"}
MODES: list[dict[str, Any]] = [
    {"patient_by": "logical-id"},
    {"patient_by": "identifier"},
    {"patient_by": "logical-id", "batch": True},
    {"patient_by": "identifier", "batch": True},
]


def everything(*found: dict[str, Any], kind: str = "collection", **more: Any) -> dict[str, Any]:
    entries = [one if "resource" in one else {"resource": one} for one in found]
    return {"resourceType": "Bundle", "type": kind, "entry": entries, **more}


def searched(kind: str, *found: dict[str, Any], **more: Any) -> dict[str, Any]:
    asked = "identifier=x" if kind == "Patient" else "patient=p1"
    links = {"self": f"{BASE}/{kind}?{asked}"} | more.pop("links", {})
    return page(*found, links=links, **more)


async def replayed(*payloads: Any, sections: frozenset[Section] = WHOLE, **settings: Any) -> Answer:
    bodies = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in payloads]
    connector = connect(trust(settings), transport=replaying(bodies, NHS_NUMBER))
    try:
        return await connector.ask(asking(NHS_NUMBER, sections))
    finally:
        await connector.aclose()


@pytest.mark.parametrize("settings", MODES)
async def test_everything_in_one_bundle_answers_each_search(settings: dict[str, Any]) -> None:
    seen = resource("Observation", 1, performer=[{"reference": "Practitioner/d1"}])
    bundle = everything(PATIENT, seen, resource("AllergyIntolerance", 1), resource("Encounter", 1), DOCTOR, PLACE)
    answer = await replayed(bundle, **settings)
    assert (answer.outcome, answer.gaps) == (Outcome.ANSWERED, {})
    assert sorted(item.key for item in answer.items) == [
        "AllergyIntolerance/All1",
        "Observation/Obs1",
        "Patient/p1",
        "Practitioner/d1",  # what nobody's include leads to stays behind, as at a source
    ]


@pytest.mark.parametrize("kind", ["transaction", "searchset", "document"])
async def test_whatever_its_kind_a_bundle_of_several_types_is_everything(kind: str) -> None:
    answer = await replayed(everything(PATIENT, resource("Observation", 1), kind=kind))
    assert answer.gaps == {}
    assert ids(answer, "Observation") == ["Obs1"]


async def test_everything_of_somebody_with_nothing_is_everything() -> None:
    link = [{"relation": "self", "url": f"{BASE}/Patient/p1/$everything"}]
    assert (await replayed(everything(PATIENT, kind="searchset", link=link))).gaps == {}
    only_the_patient = await replayed(searched("Patient", PATIENT))
    assert only_the_patient.gaps == {Section.RESULTS: Gap.FAILED, Section.ALLERGIES: Gap.FAILED}


async def test_references_are_followed_however_they_are_written() -> None:
    by_uuid = {"fullUrl": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "resource": DOCTOR}
    written = ("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", f"{BASE}/Practitioner/d1", "Practitioner/d1")
    for reference in written:
        seen = resource("Observation", 1, performer=[{"display": "x"}, {"reference": reference}])
        assert ids(await replayed(everything(PATIENT, seen, by_uuid)), "Practitioner") == ["d1"]
    seen = resource("Observation", 1, performer=[{"reference": "Practitioner/other"}, {"reference": "Patient/p1"}])
    assert ids(await replayed(everything(PATIENT, seen, by_uuid)), "Practitioner") == []


async def test_a_single_page_answers_byte_for_byte() -> None:
    body = json.dumps(searched("Observation", resource("Observation", 1), total=3)).encode()
    answer = await replayed(searched("Patient", PATIENT), body, sections=frozenset({Section.RESULTS}))
    assert "the source counted 3 and sent 1" in answer.detail
    exact = body.replace(b'"status": "final"', b'"status": "final", "valueQuantity": {"value": 4.50}')
    (found,) = [item for item in (await replayed(searched("Patient", PATIENT), exact)).items if item.type != "Patient"]
    assert str(found.resource["valueQuantity"]["value"]) == "4.50"


async def test_pages_are_put_together() -> None:
    first = searched("Observation", resource("Observation", 1), links={"next": "https://elsewhere/2"}, total=2)
    second = searched("Observation", resource("Observation", 2), DOCTOR, total=2)
    reports = searched("DiagnosticReport")
    for pages in ((first, second), (second, first)):
        answer = await replayed(searched("Patient", PATIENT), *pages, reports, sections=frozenset({Section.RESULTS}))
        assert (answer.gaps, sorted(ids(answer, "Observation"))) == ({}, ["Obs1", "Obs2"])
        assert ids(answer, "Practitioner") == ["d1"]


async def test_a_last_page_that_was_not_saved_is_a_gap() -> None:
    pages = [
        searched("Observation", resource("Observation", n), links={"next": f"https://elsewhere/{n}"}) for n in (1, 2)
    ]
    for saved in (pages, pages[:1]):
        answer = await replayed(searched("Patient", PATIENT), searched("DiagnosticReport"), *saved)
        assert answer.gaps[Section.RESULTS] is Gap.FAILED
        assert ids(answer, "Observation") == [f"Obs{n}" for n, _ in enumerate(saved, start=1)]


async def test_a_saved_answer_to_a_batch_is_taken_apart() -> None:
    bundles = [searched("Patient", PATIENT), searched("Observation", resource("Observation", 1)), {"resourceType": "X"}]
    entries = [{"response": {"status": "200"}, "resource": bundle} for bundle in bundles[:2]]
    batch = everything(kind="batch-response") | {"entry": [*entries, {"response": {"status": "404"}}]}
    answer = await replayed(batch, sections=frozenset({Section.RESULTS}))
    assert ids(answer, "Observation") == ["Obs1"]
    assert answer.gaps == {Section.RESULTS: Gap.FAILED}  # nobody saved the DiagnosticReports
    with pytest.raises(WrongContent):
        await replayed(batch | {"entry": [{"response": {"status": "200"}, "resource": bundles[2]}]})


async def test_what_the_sandbox_answers_is_replayed_as_it_came() -> None:
    """Every page that the live connector fetched, saved and replayed, brings the same items."""
    kept: list[bytes] = []
    app = create_app("RJ2")

    class Keeping(httpx2.ASGITransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            response = await super().handle_async_request(request)
            kept.append(await response.aread())
            return response

    connector = connect(trust({"page_size": 2}), transport=Httpx2Transport(Limits(), Keeping(app)))
    live = await connector.ask(asking(NHS_NUMBER, ALL))
    await connector.aclose()
    assert len(kept) > len(Section)
    again = await replayed(*kept, sections=ALL)
    assert (again.outcome, again.gaps) == (live.outcome, live.gaps)
    assert {item.key for item in again.items} == {item.key for item in live.items}


async def test_whose_it_is() -> None:
    several = everything(PATIENT, OTHER, resource("Observation", 1))
    assert ids(await replayed(several), "Patient") == ["p1"]
    nobodys = await replayed(everything(OTHER, resource("Observation", 1)))
    assert nobodys.gaps == dict.fromkeys(WHOLE, Gap.IDENTITY_ALARM)
    with pytest.raises(Ambiguous):
        await replayed(everything(OTHER, {**OTHER, "id": "p3"}))
    with pytest.raises(NoRecord):
        await replayed(searched("Patient", total=0))


async def test_an_entry_without_a_resource_is_for_the_connector_to_judge() -> None:
    answer = await replayed(
        searched("Patient", PATIENT), searched("Observation") | {"entry": [{"fullUrl": "urn:x"}]}, everything()
    )
    assert answer.gaps == {Section.RESULTS: Gap.HELD_BACK}


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"[]", b'{"resourceType":"Patient"}', b'{"resourceType":"Bundle","entry":[{"resource":{"id":"x"}}]}'],
)
def test_what_is_no_bundle_is_refused(payload: bytes) -> None:
    with pytest.raises(WrongContent, match="not a FHIR Bundle"):
        replaying([payload], NHS_NUMBER)


def test_without_a_patient_nothing_can_be_shown() -> None:
    for payload in (searched("Observation", entry(resource("Observation", 1))), page()):
        with pytest.raises(WrongContent, match="hold no Patient"):
            replaying([json.dumps(payload).encode()], NHS_NUMBER)
    assert SUBJECT == {"reference": "Patient/p1"}
