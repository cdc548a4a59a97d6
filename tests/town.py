"""A gateway's process among sources that can be made ill one by one, and people who ask it by the clock.

The sources stand in the process that asks, so that every call and every connection is seen from their side. Each knows
everybody, with one allergy (`tests.chaos.source`).
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from connectors.kit.exchange import Request, Response
from connectors.kit.fault_server import FaultServer, fault_server
from gateway.demo.token import fetch_token
from tests.chaos.clients import numbers
from tests.chaos.source import MARK, allergy, patient
from tests.processes import Gateway, identity_provider, organisation, resident_mb

WHO: Final = "gp@G85005"
KINDS: Final = ("acute-trust", "mental-health-and-community-trust", "community-trust")
CALLS_OF_A_LOOK: Final = 2
"""A source is asked for the patient and the allergies, at once."""
_ASKED: Final = re.compile(r"/fhir/([A-Za-z]+)\?.*?(\d{10})")
_PATIENCE: Final = aiohttp.ClientTimeout(total=60)


async def knows(request: Request) -> Response:
    """What such a source answers."""
    found = _ASKED.match(request.target)
    held = {"Patient": patient, "AllergyIntolerance": allergy}.get(found[1]) if found else None
    resources = [held(found[2])] if found and held else []
    kind = found[1] if found else ""
    bundle = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(resources),
        "link": [{"relation": "self", "url": f"http://source/fhir/{kind}?patient.identifier=x&identifier=x"}],
        "entry": [{"resource": one, "search": {"mode": "match"}} for one in resources],
    }
    return Response(200, (("content-type", "application/fhir+json"),), json.dumps(bundle).encode())


@dataclass(frozen=True, slots=True)
class Look:
    """One answer: when it was asked, milliseconds, status, what each source is said to have said, allergies shown."""

    at: float
    took_ms: float
    status: int
    said: Mapping[str, str]
    allergies: int


@dataclass
class Town:
    """All of it, running."""

    gateway: Gateway
    sources: Mapping[str, FaultServer]
    session: aiohttp.ClientSession
    issuer: str
    patients: Sequence[str]
    looks: list[Look] = field(default_factory=list)

    async def sign_in(self) -> None:
        """As somebody new: a token lasts an hour at most."""
        self.session.headers["Authorization"] = f"Bearer {await fetch_token(self.issuer, WHO)}"

    async def look(self, number: int) -> Look:
        """One record, whatever comes."""
        url = f"{self.gateway.base}/fhir/R4/Patient/{self.patients[number % len(self.patients)]}/$everything"
        started = time.monotonic()
        async with self.session.get(url) as answer:
            body = await answer.text()
            took = (time.monotonic() - started) * 1000
            said = dict(
                piece.partition(";")[0].split("=")
                for piece in answer.headers.get("Connect-Care-Sources", "").split(", ")
                if piece
            )
            look = Look(started, took, answer.status, said, body.count(MARK))
        self.looks.append(look)
        return look

    async def by_the_clock(self, rate: float, seconds: float) -> list[Look]:
        """So many looks a second, however long each takes."""
        clock = asyncio.get_running_loop().time
        began, tasks = clock(), []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - clock()))
            tasks.append(asyncio.create_task(self.look(number)))
        return list(await asyncio.gather(*tasks))

    async def as_fast_as_it_can(self, at_once: int, seconds: float) -> float:
        """Records a second, with so many people who ask again as soon as they are answered."""
        until, done = time.monotonic() + seconds, 0

        async def one(first: int) -> None:
            nonlocal done
            while time.monotonic() < until:
                await self.look(first)
                done += 1

        started = time.monotonic()
        await asyncio.gather(*(one(number) for number in range(at_once)))
        return done / (time.monotonic() - started)

    @property
    def memory_mb(self) -> float:
        """Resident memory of the gateway now."""
        return resident_mb(self.gateway.pid)

    @property
    def open_files(self) -> int:
        """Open files and sockets of the gateway now."""
        return len(list(Path(f"/proc/{self.gateway.pid}/fd").iterdir()))

    async def settled(self) -> None:
        """Until nothing is under way at any source."""
        for server in self.sources.values():
            await server.settled(60)

    async def has_no_more_open_than(self, files: int, seconds: float = 120) -> None:
        """Until idle connections are closed, of which each side keeps some for up to a minute; or so long."""
        for _ in range(int(seconds * 10)):  # counted in rounds: a machine that stood still has not waited
            if self.open_files <= files:
                return
            await asyncio.sleep(0.1)

    def log(self) -> list[dict[str, Any]]:
        """Every line that the gateway logged. Raises ValueError for one that isn't an event."""
        text = (self.gateway.folder / "gateway.log").read_text()
        return [json.loads(line) for line in text.splitlines() if line.strip()]


@asynccontextmanager
async def town(
    folder: Path, sources: Sequence[str], *, patients: int = 40, module: str = "gateway.cli", **settings: Any
) -> AsyncIterator[Town]:
    """The gateway and these sources, all well; everybody's record may be seen."""
    async with AsyncExitStack() as exits:
        servers = {ods: await exits.enter_async_context(fault_server(knows)) for ods in sources}
        issuer = exits.enter_context(identity_provider(folder))
        entries = [
            organisation(ods, KINDS[place % len(KINDS)], server.address, patient_by="identifier")
            | {"sections": ["demographics", "allergies"]}
            for place, (ods, server) in enumerate(servers.items())
        ]
        practice = {"ods": "G85005", "name": "A practice", "type": "gp-practice", "stage": "live"}
        running = Gateway(folder, issuer, [*entries, practice], settings, module=module)
        running.configure()
        exits.callback(_end, running)
        await asyncio.to_thread(running.start)
        session = await exits.enter_async_context(
            aiohttp.ClientSession(timeout=_PATIENCE, connector=aiohttp.TCPConnector(limit=0))
        )
        here = Town(running, servers, session, issuer, numbers(patients))
        await here.sign_in()
        await _agree(here)
        yield here


def _end(running: Gateway) -> None:
    """Also where it started and wasn't ready in time."""
    if running.child is not None:
        running.stop()


async def _agree(here: Town) -> None:
    for number in here.patients:
        body = {"nhsNumber": number, "basis": "patient-agreed"}
        async with here.session.post(f"{here.gateway.base}/permissions", json=body) as answer:
            if answer.status != 201:
                raise RuntimeError(await answer.text())
