"""Bombs at a gateway that runs as it does in the world: what one costs in memory; the others' part is whole."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import httpx2
import pytest

from connectors.fhir_r4.sandbox import create_app
from connectors.kit.bodies import deep, wide
from connectors.kit.exchange import Exchange, Fault, of_app
from connectors.kit.fault_server import FaultServer, fault_server, saying, well
from gateway.demo.token import fetch_token
from tests.figures import Figure
from tests.flow.stack import GRACE, resources
from tests.processes import Gateway, forget_peak, identity_provider, organisation, peak_mb, resident_mb
from tests.unit.sdk_http.test_answers import bomb as gzip_bomb

MEBIBYTES: Final = 512
MOST_MORE: Final = 32.0
HEALTHY, BOMBING = "RJ2", "RPG"
WHO: Final = f"gp@{HEALTHY}"
SEARCHED: Final = "Encounter"
TOGETHER: Final = frozenset({"Linkage", "AllergyIntolerance"})
"""What depends on several sources: groups of the same, and "no known allergies", which no missing source survives."""


@cache
def entries() -> bytes:
    """A searchset of fifty thousand small contacts."""
    one = {"resourceType": SEARCHED, "id": "a", "subject": {"reference": "Patient/p"}, "status": "finished"}
    entry = json.dumps({"resource": one, "search": {"mode": "match"}}).encode()
    return b'{"resourceType":"Bundle","type":"searchset","entry":[' + b",".join([entry] * 50_000) + b"]}"


@cache
def deflate() -> bytes:
    """Half a gibibyte of white space, in the other encoding that zlib makes."""
    squeeze = zlib.compressobj(9)
    block = b" " * 1024 * 1024
    return b"".join([*(squeeze.compress(block) for _ in range(MEBIBYTES)), squeeze.flush()])


BOMBS: Final[dict[str, Callable[[], Fault]]] = {
    "512 MiB in gzip": lambda: saying(gzip_bomb(MEBIBYTES), content_encoding="gzip"),
    "512 MiB in deflate": lambda: saying(deflate(), content_encoding="deflate"),
    "gzip called brotli": lambda: saying(gzip_bomb(MEBIBYTES), content_encoding="br"),
    "gzip in gzip": lambda: saying(gzip_bomb(MEBIBYTES), content_encoding="gzip, gzip"),
    "JSON 100,000 deep": lambda: saying(deep()),
    "50,000 entries": lambda: saying(entries()),
    "1,500,000 values": lambda: saying(wide()),
}
QUICK: Final = ("512 MiB in gzip", "JSON 100,000 deep")


def at_one_search(fault: Fault) -> Fault:
    """The bomb at one search alone; the system's own answers at the others."""

    async def play(exchange: Exchange) -> None:
        await (fault if f"/{SEARCHED}?" in exchange.request.target else well)(exchange)

    return play


@dataclass
class World:
    """The gateway's process, both sources, and somebody who may ask."""

    gateway: Gateway
    client: httpx2.AsyncClient
    bombing: FaultServer

    async def look(self) -> dict[str, list[str]]:
        """The record by source, as the ids of what it holds."""
        answer = await self.client.get(f"/fhir/R4/Patient/{GRACE}/$everything")
        assert answer.status_code == 200, answer.text[:500]
        found: dict[str, list[str]] = {HEALTHY: [], BOMBING: []}
        clinical = [one for one in resources(answer.json()) if one["resourceType"] not in TOGETHER]
        for resource in clinical:
            for tag in resource.get("meta", {}).get("tag", ()):
                found.get(tag["code"], []).append(f"{resource['resourceType']}/{resource['id']}")
        return {source: sorted(ids) for source, ids in found.items()}


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """A gateway as `connectcare serve` runs it, its sources over sockets."""
    async with AsyncExitStack() as exits:
        healthy = await exits.enter_async_context(fault_server(of_app(create_app(HEALTHY))))
        bombing = await exits.enter_async_context(fault_server(of_app(create_app(BOMBING))))
        issuer = exits.enter_context(identity_provider(folder))
        entries = [
            organisation(HEALTHY, "acute-trust", healthy.address, patient_by="identifier"),
            organisation(BOMBING, "mental-health-and-community-trust", bombing.address, patient_by="identifier"),
        ]
        running = Gateway(
            folder, issuer, entries, {"deadline": 30, "breaker_failures": 1_000}
        )  # each bomb is asked for
        running.configure()
        exits.callback(lambda: running.child and running.stop())
        await asyncio.to_thread(running.start)
        token = await fetch_token(issuer, WHO)
        headers = {"Authorization": f"Bearer {token}"}
        client = await exits.enter_async_context(
            httpx2.AsyncClient(base_url=running.base, headers=headers, timeout=60, trust_env=False)
        )
        agreed = await client.post("/permissions", json={"nhsNumber": GRACE, "basis": "patient-agreed"})
        assert agreed.status_code == 201, agreed.text
        yield World(running, client, bombing)


@pytest.fixture(scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("bombs")) as found:
        for _ in range(3):  # what is read and built once is there before anything is measured
            await found.look()
        yield found


async def costs(here: World, fault: Fault) -> tuple[float, dict[str, list[str]]]:
    """How many MiB more than before the process had at its most, and what was shown."""
    pid = here.gateway.pid
    here.bombing.fault = fault
    try:
        forget_peak(pid)
        before = resident_mb(pid)
        found = await here.look()
        return peak_mb(pid) - before, found
    finally:
        here.bombing.fault = well


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in BOMBS])
async def test_a_bomb_costs_little_and_its_own_part_alone(here: World, name: str, figure: Figure) -> None:
    whole = await here.look()
    more, found = await costs(here, at_one_search(BOMBS[name]()))
    figure(f"{name}: {more:.1f} MiB more memory, the others' part whole")
    assert found[HEALTHY] == whole[HEALTHY]
    assert found[HEALTHY]
    assert set(found[BOMBING]) <= set(whole[BOMBING])
    assert more <= MOST_MORE


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_at_every_search_at_once(here: World, name: str, figure: Figure) -> None:
    whole = await here.look()
    more, found = await costs(here, BOMBS[name]())
    figure(f"{name} at all of its searches at once: {more:.1f} MiB more memory")
    assert found == {HEALTHY: whole[HEALTHY], BOMBING: []}
    assert more <= MOST_MORE
    assert await here.look() == whole
