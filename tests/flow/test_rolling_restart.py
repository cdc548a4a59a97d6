"""Gateways on one database are restarted in turn under load: nobody who asks gets anything but their answer."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from gateway.api.bundle import SOURCES_HEADER
from gateway.audit.checkpoints import new_key
from gateway.demo.token import fetch_token
from gateway.sealed import new_master_key
from tests import unhurried
from tests.balancer import Balancer
from tests.bench.load import resources_in
from tests.bench.payload import NHS_NUMBER
from tests.bench.world import Held, Sources, World
from tests.processes import Gateway, free_port, identity_provider, organisation
from tests.stores import PostgresPlace

HELD = Held(sources=2, each=20, delay_ms=50, last_ms=600)
"""The second source answers so late that at any moment some looks are under way, and streams half sent. Neither is ever
too late: every record must be whole."""
EVERYTHING = f"/fhir/R4/Patient/{NHS_NUMBER}/$everything"
SOMEBODY_ELSE = "9990000409"
"""Who agrees again and again: an agreement takes the place of the one before, and ends the looks that it let in."""
ASKERS = 4
DRAIN_SECONDS = 8.0
"""Far more than the balancer takes to notice, on a busy machine too."""


@dataclass
class Load:
    """People who ask, each through connections of their own, until `over`; what became of it."""

    base: str
    token: str
    over: asyncio.Event = field(default_factory=asyncio.Event)
    answered: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the block runs. Whoever has asked by its end is still answered."""
        askers = [asyncio.create_task(self._ask_on(random.Random(number))) for number in range(ASKERS)]
        try:
            yield
        finally:
            self.over.set()
            await asyncio.gather(*askers)

    async def agree(self) -> None:
        """The patient agrees for the first time."""
        async with self._client() as client:
            await self._permission(client, NHS_NUMBER)

    def _client(self) -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx2.AsyncClient(base_url=self.base, headers=headers, timeout=120)

    async def _ask_on(self, rng: random.Random) -> None:
        async with self._client() as client:
            while not self.over.is_set():
                ask = rng.choice((self._record, self._stream, self._permission))
                try:
                    closes = await ask(client)
                except (httpx2.HTTPError, AssertionError) as error:
                    self.failed.append(f"{ask.__name__}: {error!r}")
                else:
                    self.answered[ask.__name__] += 1
                    self.answered["closed"] += closes
                await asyncio.sleep(rng.uniform(0, 0.4))

    async def _record(self, client: httpx2.AsyncClient) -> bool:
        answer = await client.get(EVERYTHING)
        assert answer.status_code == 200, answer.text[:300]
        assert resources_in(answer.content) == HELD.expected, answer.headers[SOURCES_HEADER]
        return _closes(answer)

    async def _stream(self, client: httpx2.AsyncClient) -> bool:
        """Every part of it, to the one that says it is whole."""
        async with client.stream("GET", EVERYTHING, headers={"Accept": "text/event-stream"}) as answer:
            text = (await answer.aread()).decode()
        assert answer.status_code == 200, text[:300]
        assert text.rstrip("\n").rpartition("\n\n")[2].startswith("event: complete\n"), text[-300:]
        return _closes(answer)

    async def _permission(self, client: httpx2.AsyncClient, nhs_number: str = SOMEBODY_ELSE) -> bool:
        """Which nothing may ask for a second time by itself: it would be another row."""
        answer = await client.post("/permissions", json={"nhsNumber": nhs_number, "basis": "patient-agreed"})
        assert answer.status_code == 201, answer.text[:300]
        return _closes(answer)


def _closes(answer: httpx2.Response) -> bool:
    return answer.headers.get("Connection") == "close"


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[str]:
    with identity_provider(tmp_path) as found:
        yield found


@pytest.fixture
def sources(tmp_path: Path, issuer: str) -> Iterator[Sources]:
    with World(tmp_path, issuer) as world:
        yield world.sources(HELD)


def gateways(
    folder: Path, issuer: str, sources: Sources, database: str, number: int, public_port: int
) -> Sequence[Gateway]:
    """So many, with the same keys and one database, behind one address."""
    new_master_key(folder / "shared.key")
    new_key(folder / "checkpoint.key", f"127.0.0.1:{public_port}/journal")
    kinds = ("acute-trust", "gp-practice")
    entries = [
        organisation(ods, kind, address, patient_by="identifier")
        for kind, (ods, address) in zip(kinds, sources.addresses.items(), strict=True)
    ]
    more = {
        "public_url": f"http://127.0.0.1:{public_port}",
        "key_file": str(folder / "shared.key"),
        "checkpoint_key": str(folder / "checkpoint.key"),
        "database": database,
        "breaker_failures": 1_000_000,
        "drain_seconds": DRAIN_SECONDS,
    }
    made = []
    for each in range(number):
        own = folder / f"gateway-{each}"
        own.mkdir()
        made.append(Gateway(own, issuer, entries, more, module=unhurried.MODULE))
        made[-1].configure()
    return made


async def restart(one: Gateway, balancer: Balancer) -> None:
    """As a rolling update does: told to end, given its time, followed by another."""
    assert one.child is not None
    one.child.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(one.child.wait, 120) == 0
    await asyncio.to_thread(one.start)
    await balancer.until_ready(one.port)


@pytest.mark.slow
async def test_a_rolling_restart_costs_nobody_an_answer(
    tmp_path: Path, issuer: str, sources: Sources, postgres_place: PostgresPlace
) -> None:
    public = free_port()
    three = gateways(tmp_path, issuer, sources, postgres_place.url, 3, public)
    try:
        for one in three:
            one.start()
        load = Load(f"http://127.0.0.1:{public}", await fetch_token(issuer, "gp"))
        async with Balancer([one.port for one in three], public).serving() as balancer:
            await load.agree()
            async with load.running():
                for one in three:
                    before = load.answered.total()
                    await restart(one, balancer)
                    assert load.answered.total() > before
    finally:
        for one in three:
            if one.child:
                one.stop()
    assert load.failed == []
    assert set(load.answered) == {"_record", "_stream", "_permission", "closed"}, load.answered
    assert load.answered["closed"] > 0, "some were asked while they were ending"
    assert all(balancer.given[one.port] > 0 for one in three)
