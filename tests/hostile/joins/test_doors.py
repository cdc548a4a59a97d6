"""Every spelling of a join, at every door that searches: 400, and no source hears of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from urllib.parse import quote

import httpx2
import pytest

from tests.figures import Figure
from tests.flow.stack import GRACE, Stack, running
from tests.hostile.no_oracle.remembered import Network
from tests.unit.test_search_parse import SPELLINGS

FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
VALUES: Final = ("x", "Observation:patient", "code eq 1", "*")
FEW: Final = 40


@pytest.fixture(scope="module")
def network() -> Network:
    return Network()


@pytest.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, network: Network) -> AsyncIterator[Stack]:
    async with running(tmp_path_factory.mktemp("joins"), network=network) as stack:
        await stack.agree(GRACE)
        yield stack


async def statuses(stack: Stack, client: httpx2.AsyncClient, name: str, value: str) -> list[int]:
    """What each door answers to a search with this parameter."""
    pair = f"{quote(name, safe='')}={quote(value, safe='')}"
    patient, headers = f"patient={GRACE}", stack.headers("gp")
    get = [
        f"/fhir/R4/Observation?{patient}&{pair}",
        f"/fhir/R4/Encounter?{pair}&{patient}",
        f"/fhir/R4/Patient/{GRACE}/Condition?{pair}",
        f"/fhir/R4/Patient/{GRACE}/$everything?{pair}",
        f"/fhir/R4/Patient/{GRACE}/$summary?{pair}",
        f"/fhir/R4/Patient?_id={GRACE}&{pair}",
    ]
    found = [(await client.get(path, headers=headers)).status_code for path in get]
    form = f"{patient}&{pair}"
    posted = await client.post("/fhir/R4/Observation/_search", content=form, headers=headers | FORM)
    return [*found, posted.status_code, await _in_a_batch(client, headers, f"Observation?{patient}&{pair}")]


async def _in_a_batch(client: httpx2.AsyncClient, headers: dict[str, str], url: str) -> int:
    entry: dict[str, Any] = {"request": {"method": "GET", "url": url}}
    body = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    answer = await client.post("/fhir/R4", json=body, headers=headers)
    return int(json.loads(answer.content)["entry"][0]["response"]["status"][:3])


async def all_refused(stack: Stack, network: Network, spellings: Sequence[str]) -> int:
    """How many requests were refused. Raises AssertionError where one was not, or a source was asked."""
    network.begin()
    tried = 0
    async with stack.browser() as client:
        for name, value in zip(spellings, itertools.cycle(VALUES), strict=False):
            found = await statuses(stack, client, name, value)
            assert set(found) == {400}, (name, found)
            tried += len(found)
    assert network.asked.total() == 0
    return tried


def own_only(name: str) -> bool:
    """Not one of the names that a search for a person takes: those are no joins at the door of Patient."""
    return name not in ("family", "given", "birthdate", "gender", "identifier", "_since", "_include")


JOINS: Final = [name for name in SPELLINGS if own_only(name)]


async def test_a_few_spellings_at_every_door(gateway: Stack, network: Network, figure: Figure) -> None:
    few = JOINS[:: len(JOINS) // FEW]
    tried = await all_refused(gateway, network, few)
    figure(f"{len(few)} spellings, {tried} requests: 400, and 0 outbound calls")


@pytest.mark.slow
async def test_every_spelling_at_every_door(gateway: Stack, network: Network, figure: Figure) -> None:
    assert len(set(JOINS)) >= 200
    tried = await all_refused(gateway, network, JOINS)
    figure(f"{len(set(JOINS))} spellings, {tried:,} requests: 400, and 0 outbound calls")
