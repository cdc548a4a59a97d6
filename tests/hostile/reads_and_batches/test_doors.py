"""Doors that other servers have and this one hasn't: history, GraphQL, operations. Refused, and nobody asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Final

import pytest

from tests.figures import Figure
from tests.flow.stack import GRACE, Stack, resources, running

REFUSED: Final = frozenset({400, 404, 405})
PATHS: Final = (
    "{kind}/{id}/_history",
    "{kind}/{id}/_history/1",
    "{kind}/_history",
    "_history",
    "$graphql?query={{Patient(id:1){{id}}}}",
    "{kind}/{id}/$graphql?query={{id}}",
    "{kind}/{id}/$validate",
    "{kind}/{id}/$meta",
    "{kind}/$lastn?patient={patient}",
    "Patient/{patient}/$match",
    "Patient/$match",
    "Patient/{patient}/*",
    "Patient/{patient}/_history",
    "Patient/{patient}/$export",
    "$export",
    "Group/1/$export",
    "{kind}/{id}/subject",
    "{kind}/{id}%2f_history",
    "{kind}/{id}/../{id}/_history",
    "_search?patient={patient}",
    "?patient={patient}",
    "Basic?patient={patient}",
    "Binary/{id}",
)


@pytest.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(tmp_path_factory.mktemp("doors")) as stack:
        await stack.agree(GRACE)
        yield stack


async def test_what_is_not_offered_is_refused_and_nobody_asked(gateway: Stack, figure: Figure) -> None:
    found = resources((await gateway.everything(GRACE)).json(), "Observation")[0]
    before = gateway.calls()
    for path in PATHS:
        asked = path.format(kind="Observation", id=found["id"], patient=GRACE)
        answer = await gateway.get(f"/fhir/R4/{asked}")
        assert answer.status_code in REFUSED, (path, answer.status_code)
        assert "CANARY" not in answer.text, path
    assert gateway.calls() == before
    figure(f"{len(PATHS)} doors that there aren't: refused, 0 outbound calls")


async def test_nor_in_a_batch(gateway: Stack) -> None:
    found = resources((await gateway.everything(GRACE)).json(), "Observation")[0]
    asked = [path.format(kind="Observation", id=found["id"], patient=GRACE) for path in PATHS][:20]
    before = gateway.calls()
    entries = [{"request": {"method": "GET", "url": url}} for url in asked]
    answer = await gateway.post("/fhir/R4", {"resourceType": "Bundle", "type": "batch", "entry": entries})
    statuses = [int(entry["response"]["status"][:3]) for entry in json.loads(answer.content)["entry"]]
    assert len(statuses) == len(entries)
    assert set(statuses) <= REFUSED, list(zip(asked, statuses, strict=True))
    assert gateway.calls() == before
