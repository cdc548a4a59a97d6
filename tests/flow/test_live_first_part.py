"""The first part of a live look waits for one source, and that one for no more round trips than it takes by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import httpx2
import pytest

from connectors.fhir_r4.sandbox import holdings
from connectors.fhir_r4.sandbox.flavours import PRACTICE
from connectors.fhir_r4.sandbox.server import FhirServer
from connectors.kit.sandbox import Sandbox
from connectors.sdk.connector import Connector, connect
from connectors.sdk.http import Httpx2Transport, Limits
from connectors.sdk.model import Answer, Ask
from connectors.sdk.organisations import load_organisations
from connectors.sdk.port import Call, Reply, Transport
from gateway.api.live import Everything
from gateway.manifest import Manifest
from gateway.shown import Part, Rendered
from tests.flow.stack import GRACE, ORGANISATIONS, SOURCES, Stack, resources, running
from tests.flow.streaming import Holding, everything, streaming

FASTEST = "RJ2"
CLINICAL = {"AllergyIntolerance", "MedicationStatement", "MedicationRequest", "Condition", "Observation"}


@dataclass
class Trips:
    """A source so many calls of which are under way at once, trip by trip: it answers none of a trip before all of it
    are there. Whoever asks one after the other what could be asked at once is never answered."""

    inner: Transport
    trips: Sequence[int] = ()
    calls: int = 0
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[Reply]:
        async with self._more:
            self.calls += 1
            until = next((end for end in accumulate(self.trips) if end >= self.calls), self.calls)
            self._more.notify_all()
            await self._more.wait_for(lambda: self.calls >= until)
        async with self.inner.send(call) as reply:
            yield reply

    async def aclose(self) -> None:
        await self.inner.aclose()


@dataclass
class Fastest:
    """The one source that answers, asked in the way that a test chooses."""

    trips: Trips
    connector: Connector | None = None

    def asked(self, trips: Sequence[int], **settings: Any) -> None:
        self.trips.trips, self.trips.calls = trips, 0
        entry = load_organisations(ORGANISATIONS).get(FASTEST)
        assert entry is not None
        given = {"settings": {"page_size": 100, **settings}, "address": f"http://{FASTEST.lower()}.sandbox/fhir"}
        self.connector = connect(entry.model_copy(update=given), transport=self.trips)

    async def ask(self, ask: Ask) -> Answer:
        assert self.connector is not None
        return await self.connector.ask(ask)

    async def aclose(self) -> None:
        await self.trips.aclose()


@pytest.fixture(scope="module")
def fastest() -> Fastest:
    sandbox = Sandbox(FASTEST, FhirServer(holdings(FASTEST, canaries=False), PRACTICE))  # whole on one page
    return Fastest(Trips(Httpx2Transport(Limits(), httpx2.ASGITransport(app=sandbox))))


@pytest.fixture(scope="module")
async def hung(tmp_path_factory: pytest.TempPathFactory, fastest: Fastest) -> AsyncIterator[Stack]:
    """Every other source takes the question and never answers."""
    others = Holding([source for source in SOURCES if source != FASTEST])
    data = Path(tmp_path_factory.mktemp("first"))
    async with running(
        data, canaries=False, instead={FASTEST: fastest}, around=others.around, deadline=30, breaker_failures=1000
    ) as stack:
        await stack.agree(GRACE)
        yield stack


@pytest.mark.parametrize(
    ("trips", "settings"),
    [
        ((11,), {"patient_by": "identifier"}),
        ((1,), {"patient_by": "identifier", "batch": True}),
        ((1, 10), {"patient_by": "logical-id"}),
        ((1, 1), {"patient_by": "logical-id", "batch": True}),
        ((1, 1), {"patient_by": "logical-id", "everything": True}),
    ],
)
async def test_as_many_round_trips_as_the_source_itself_needs(
    hung: Stack, fastest: Fastest, trips: Sequence[int], settings: dict[str, Any]
) -> None:
    """The Patient and each search at once where the source chains; else the Patient first, and then all of the rest."""
    fastest.asked(trips, **settings)
    async with streaming(hung, everything(GRACE)) as answer:
        part = await answer.event()
        assert part is not None
        assert part.name == "part"
        assert CLINICAL & {one["resourceType"] for one in resources(part.data)}
        assert fastest.trips.calls == sum(trips)
        await answer.hang_up()


@pytest.mark.parametrize("who", ["gp", "social-worker"])
async def test_no_part_tells_what_a_source_was_asked_beyond_the_role(
    hung: Stack, fastest: Fastest, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """Sources are asked for more than the role sees, for the sake of labels alone."""
    manifests: list[Manifest] = []
    made = Everything.part

    def noting(question: Everything, part: Part) -> Rendered:
        manifests.append(part.shown.manifest)
        view, shown = hung.parts.records.view, part.shown
        assert shown.manifest.asked == view.sections_for(shown.caller, shown.authority)
        return made(question, part)

    monkeypatch.setattr(Everything, "part", noting)
    fastest.asked((), patient_by="identifier")
    await hung.agree(GRACE, who)
    async with streaming(hung, everything(GRACE), who) as answer:
        part = await answer.event()
        assert part is not None
        assert part.name == "part"
        await answer.hang_up()
    [early] = manifests
    assert early.asked_of.keys() == {FASTEST}
    assert early.asked_of[FASTEST] <= early.asked
    assert (early.asked_of[FASTEST] == fastest_holds(hung)) == (who == "gp")


def fastest_holds(stack: Stack) -> frozenset[Any]:
    entry = load_organisations(ORGANISATIONS).get(FASTEST)
    assert entry is not None
    return entry.sections
