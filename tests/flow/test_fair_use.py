"""Fair use at the doors: 429 says when to try again, is journalled, and nobody is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from gateway.audit.row import Kind
from gateway.serving import _shared_out
from tests.boundless import BOUNDLESS
from tests.flow.stack import GRACE, Stack, running, told

WIDE = BOUNDLESS["requests"]
LOW = {
    "requests": {**WIDE, "person": "6 per hour"},
    "person_searches": {**WIDE, "person": "2 per hour"},
    "best_interests": {**WIDE, "person": "1 per hour"},
}
ELSEWHERE = {
    "selected_roleid": "555000000001",
    "nhsid_nrbac_roles": [
        {"person_roleid": "555000000001", "org_code": "X99", "role_code": "S8000:G8000:R0260", "role_name": "a role"}
    ],
}
WHOM = "family=GREEN&given=Winston&birthdate=1950-01-01"


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Each test asks as somebody else: they share the gateway, not the count."""
    async with running(tmp_path_factory.mktemp("fair-use"), canaries=False, fair_use=LOW) as stack:
        yield stack


def refused(answer: httpx2.Response, what: str) -> None:
    assert answer.status_code == 429, answer.text
    assert what in told(answer)
    assert 3000 <= int(answer.headers["Retry-After"]) <= 3600
    assert answer.json()["issue"][0]["code"] == "throttled"


async def refusals(stack: Stack) -> list[dict[str, Any]]:
    """Every refusal's row. Straight from the store: the officer who reads them through the door is counted as well."""
    kept = await stack.parts.store.rows(limit=1000)
    return [msgspec.to_builtins(each.row) for each in kept if each.row.kind is Kind.REFUSAL]


async def rows_of(stack: Stack, who: str) -> list[tuple[str, str]]:
    """Rule and door of each refusal for fair use."""
    return [
        (row["rule"], row["door"])
        for row in await refusals(stack)
        if row["rule"].startswith("fair-use") and row["who"]["role"] == who
    ]


async def test_looks_and_every_other_door_are_counted_together(stack: Stack) -> None:
    await stack.agree(GRACE)
    for path in ("/permissions", "/nowhere", f"/fhir/R4/Patient/{GRACE}", "/sources"):
        assert (await stack.get(path)).status_code in (200, 404)
    assert (await stack.everything(GRACE)).status_code == 200
    before = stack.calls()
    for path in (f"/fhir/R4/Patient/{GRACE}/$everything", "/sources", "/nowhere", f"/fhir/R4/Patient/{GRACE}"):
        refused(await stack.get(path), "You have made more requests than fair use allows, so nothing was done.")
    assert stack.calls() == before
    assert (await stack.client.get("/fhir/R4/metadata")).status_code == 200, "nobody need sign in for it"
    assert await rows_of(stack, "gp") == [("fair-use.person", "GET /fhir/R4/Patient/{patient}/$everything")]
    await stack.parts.volume.settled()
    page = await stack.post("/desk/_search", {"kinds": ["unusual-volume"]}, "privacy-officer@G85005")
    assert [case["role"] for case in page.json().get("cases", [])] in ([], ["gp"])


async def test_searches_for_people_have_less_room(stack: Stack) -> None:
    for _ in range(2):
        answer = await stack.get(f"/fhir/R4/Patient?{WHOM}", "hospital-doctor")
        assert answer.status_code != 429
    refused(await stack.get(f"/fhir/R4/Patient?{WHOM}", "hospital-doctor"), "searches for a person by name")
    assert (await stack.get("/permissions", "hospital-doctor")).status_code == 200
    assert [rule for rule, _ in await rows_of(stack, "hospital-doctor")] == ["fair-use.person"]


async def test_best_interests_have_least(stack: Stack) -> None:
    body = {
        "nhsNumber": GRACE,
        "basis": "best-interests",
        "reason": "Unconscious on arrival, nobody with her.",
        "reasonCode": "emergency",
    }
    first = await stack.post("/permissions", body, "nurse")
    assert first.status_code != 429, first.text
    refused(await stack.post("/permissions", body, "nurse"), "permissions in a patient's best interests")
    agreed = {"nhsNumber": GRACE, "basis": "patient-agreed"}
    assert (await stack.post("/permissions", agreed, "nurse")).status_code == 201
    assert await rows_of(stack, "nurse") == [("fair-use.person", "POST /permissions")]


@pytest.mark.parametrize(
    ("person", "path"),
    [("1", f"/fhir/R4/Patient/{GRACE}"), ("2", f"/fhir/R4/Patient?{WHOM}"), ("3", "/permissions"), ("4", "/nowhere")],
)
async def test_who_may_not_ask_here_fills_no_journal(stack: Stack, person: str, path: str) -> None:
    """A good token of somebody whose organisation doesn't take part: refused, then refused for asking on and on."""
    user_id = f"55500000070{person}"
    token = stack.demo.mint("gp", claims={"nhsid_useruid": user_id, **ELSEWHERE})
    headers = {"Authorization": f"Bearer {token}"}
    answers = [await stack.client.get(path, headers=headers) for _ in range(60)]
    assert [answer.status_code for answer in answers[:6]] == [404 if path == "/nowhere" else 403] * 6
    for answer in answers[6:]:
        refused(answer, "You have made more requests than fair use allows")
    rows = [row for row in await refusals(stack) if row["who"]["user_id"] == user_id]
    assert 7 <= len(rows) <= 9, "one for each that had room, and one a minute from then on"
    assert len([row for row in rows if row["rule"] == "fair-use.person"]) == len(rows) - 6


async def test_entries_that_are_no_questions_are_counted(stack: Stack) -> None:
    wrong = {"request": {"method": "DELETE", "url": f"Patient/{GRACE}"}}
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [wrong] * 20}
    answer = await stack.post("/fhir/R4", bundle, "social-worker")
    assert answer.status_code == 200, answer.text
    responses = [entry["response"] for entry in answer.json()["entry"]]
    statuses = sorted(response["status"][:3] for response in responses)
    assert statuses == ["405"] * 5 + ["429"] * 15, "the batch is the first of six"
    late = [response for response in responses if response["status"].startswith("429")]
    assert all(any(each["url"].endswith("/retry-after") for each in response["extension"]) for response in late)
    rows = [row["rule"] for row in await refusals(stack) if row["who"]["role"] == "social-worker"]
    assert rows.count("batch.method") == 5
    assert rows.count("fair-use.person") in (1, 2)


async def test_each_worker_is_told_how_many_share(stack: Stack, tmp_path: Path) -> None:
    settings = stack.parts.settings
    assert _shared_out(settings, 4).fair_use.workers == 4
    fixed = settings.model_copy(update={"fair_use": settings.fair_use.model_copy(update={"workers": 9})})
    assert _shared_out(fixed, 4).fair_use.workers == 9
