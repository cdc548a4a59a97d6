"""`/fhir/R4/Consent` at the door: for privacy officers, in valid R4, within what is offered, and itself audited."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.consent import Consent

from tests.flow.stack import AALIYAH, GRACE, Stack, told

SYSTEM = "https://fhir.nhs.uk/Id/nhs-number"
BASE = "http://127.0.0.1:8000"


async def consents(stack: Stack, query: str, who: str = "privacy-officer") -> httpx2.Response:
    return await stack.get(f"/fhir/R4/Consent?{query}", who)


async def found(stack: Stack, query: str) -> list[dict[str, Any]]:
    answer = await consents(stack, query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("application/fhir+json")
    bundle = Bundle.model_validate_json(answer.content)
    entries = json.loads(answer.content).get("entry", [])
    assert all(each["search"] == {"mode": "match"} for each in entries)
    assert bundle.total is not None
    return [each["resource"] for each in entries]


async def recorded(stack: Stack) -> None:
    """Two choices and two permissions about Grace, one of them in her best interests."""
    await stack.choose(GRACE, "opted-out")
    await stack.choose(GRACE, "opted-in")
    await stack.agree(GRACE)
    body = {"nhsNumber": GRACE, "basis": "best-interests", "reasonCode": "other", "reason": "sedated on the ward"}
    assert (await stack.post("/permissions", body, "nurse")).status_code == 201
    await stack.agree(AALIYAH)


async def test_every_way_to_name_the_patient_finds_the_same(stack: Stack) -> None:
    await recorded(stack)
    ways = (
        f"patient={GRACE}", f"patient=Patient/{GRACE}", f"patient.identifier={quote(SYSTEM)}%7C{GRACE}",
        f"patient={GRACE}&patient.identifier={quote(SYSTEM)}%7C{GRACE}&_format=json",
    )  # fmt: skip
    expected = await found(stack, ways[0])
    assert [each["category"][0]["coding"][0]["code"] for each in expected] == ["INFA", "INFA", "IDSCL", "IDSCL"]
    for way in ways[1:]:
        assert await found(stack, way) == expected
    form = {"content-type": "application/x-www-form-urlencoded"}
    posted = await stack.client.post(
        "/fhir/R4/Consent/_search", content=f"patient={GRACE}", headers=stack.headers("privacy-officer") | form
    )
    assert [each["resource"] for each in posted.json()["entry"]] == expected
    assert "sedated" not in posted.text
    one = await stack.get(f"/fhir/R4/Consent/{expected[0]['id']}", "privacy-officer")
    assert one.json() == expected[0]
    Consent.model_validate_json(one.content)


@pytest.mark.parametrize(
    ("narrower", "codes"),
    [
        ("status=active", ["INFA", "INFA", "IDSCL"]),
        ("status=http://hl7.org/fhir/consent-state-codes%7Cinactive", ["IDSCL"]),
        ("status=active,inactive&category=IDSCL", ["IDSCL", "IDSCL"]),
        ("category=best-interests", ["INFA"]),
        ("category=http://terminology.hl7.org/CodeSystem/v3-ActCode%7CINFA&status=inactive", []),
        ("category=urn:connect-care:best-interests-reason%7Cother", ["INFA"]),
    ],
)
async def test_status_and_category_narrow(stack: Stack, narrower: str, codes: list[str]) -> None:
    await recorded(stack)
    some = await found(stack, f"patient={GRACE}&{narrower}")
    assert [each["category"][0]["coding"][0]["code"] for each in some] == codes


async def test_pages_hold_the_whole_search_for_its_own_caller_and_new_ones_move_nothing(stack: Stack) -> None:
    await recorded(stack)
    whole = await found(stack, f"patient={GRACE}")
    pages: list[str] = []
    address = f"/fhir/R4/Consent?patient={GRACE}&_count=1"
    while address:
        answer = await stack.get(address, "privacy-officer")
        bundle = answer.json()
        pages += [each["resource"]["id"] for each in bundle["entry"]]
        links = {link["relation"]: link["url"].removeprefix(BASE) for link in bundle["link"]}
        address = links.get("next", "")
        assert GRACE not in address
        if len(pages) == 1:
            assert (await stack.get(address, "gp")).status_code == 400
            assert (await stack.get(f"{address}&status=active", "privacy-officer")).status_code == 400
            await stack.agree(GRACE, "social-worker")
    assert pages == [each["id"] for each in whole]
    counted = (await consents(stack, f"patient={GRACE}&_count=0")).json()
    assert (counted["total"], "entry" in counted) == (5, False)


@pytest.mark.parametrize(
    "query",
    [
        "", f"patient={GRACE}&date=2026", f"patient={GRACE}&_sort=date", f"patient:Patient={GRACE}",
        f"patient={GRACE}&patient={GRACE}", "patient=9990000410", f"patient.identifier={GRACE}",
        f"patient.identifier=urn:other%7C{GRACE}", f"patient.name=Grace&patient={GRACE}", f"patient={GRACE}&status=",
        f"patient={GRACE}&status=a|b|c", f"patient={GRACE}&_count=201", f"patient={GRACE}&_count=-1",
        f"patient={GRACE}&_include=Consent:patient", "_cursor=abc", f"patient={GRACE}&status:not=active",
        f"patient={GRACE}&patient.identifier={quote(SYSTEM)}%7C{AALIYAH}", f"patient={GRACE}&&status=active",
    ],
)  # fmt: skip
async def test_what_is_not_offered_is_400_and_repeats_nothing(stack: Stack, query: str) -> None:
    answer = await consents(stack, query)
    assert answer.status_code == 400, answer.text
    assert GRACE not in told(answer)


async def test_only_privacy_officers_read_them_and_every_try_is_a_row(stack: Stack) -> None:
    await recorded(stack)
    [first, *_] = await found(stack, f"patient={GRACE}")
    for who in ("gp", "hospital-doctor", "nurse", "social-worker", "commissioner"):
        for path in (f"/fhir/R4/Consent?patient={GRACE}", f"/fhir/R4/Consent/{first['id']}"):
            answer = await stack.get(path, who)
            assert answer.status_code == 403
            assert "entry" not in answer.json()
    assert (await stack.client.get(f"/fhir/R4/Consent?patient={GRACE}")).status_code == 401
    rows = [row for row in await stack.rows(GRACE) if "Consent" in row["door"]]
    assert [(row["kind"], row["door"]) for row in rows] == [
        ("audit-read", "GET /fhir/R4/Consent"),
        *[("refusal", "GET /fhir/R4/Consent")] * 5,
    ]


async def test_other_representations_and_methods_are_refused(stack: Stack) -> None:
    assert (await consents(stack, f"patient={GRACE}&_format=xml")).status_code == 406
    xml = {"Accept": "application/fhir+xml"}
    for path in (f"/fhir/R4/Consent?patient={GRACE}", "/fhir/R4/Consent/abc"):
        assert (await stack.get(path, "privacy-officer", headers=xml)).status_code == 406
    assert (await stack.get("/fhir/R4/Consent/abc?patient=1", "privacy-officer")).status_code == 400
    assert (await stack.get("/fhir/R4/Consent/abc", "privacy-officer")).status_code == 404
    assert (await stack.post("/fhir/R4/Consent", {}, "privacy-officer")).status_code == 405
    assert (await stack.post("/fhir/R4/Consent/_search", {}, "privacy-officer")).status_code == 415


async def test_the_capability_statement_lists_it(stack: Stack) -> None:
    statement = (await stack.client.get("/fhir/R4/metadata")).json()
    [listed] = [each for each in statement["rest"][0]["resource"] if each["type"] == "Consent"]
    names = {each["name"] for each in listed["searchParam"]}
    assert names == {"patient", "status", "category", "_count", "_cursor", "_format"}
    assert "privacy officers" in listed["documentation"]
