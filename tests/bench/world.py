"""The world of one scenario: sources, peers and gateways, each a process of its own; all of it ends with the block."""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from connectors.fhir_r4.settings import Settings as FhirR4
from connectors.sdk.batch import write_batch
from gateway.demo.token import fetch_token
from tests.authority import Authority
from tests.bench.environment import python
from tests.bench.payload import MIXES, NHS_NUMBER, clinical
from tests.bench.peers.served import Order
from tests.processes import (
    Gateway,
    children,
    cpu_seconds,
    forget_peak,
    organisation,
    peak_mb,
    process,
    resident_mb,
    told_process,
)
from tests.stores import start_postgres, stop_postgres

PEERS: Final = {"floor": 20, "plain": 5, "naive": 2, "healthchain": 2}
"""With how many records a round asks of each: who takes a second and a half for one needs no more."""
PER_ROUND: Final = 10
_KINDS: Final = ("acute-trust", "gp-practice", "mental-health-and-community-trust")
_CALLER: Final = "G85005"
"""The practice of the person who asks: it takes part, whether or not it is a source."""
_ONE_TYPE: Final = {
    "medicines": [{"type": "MedicationRequest"}],
    "contacts": [{"type": "Encounter"}],
}
"""Of the even mix, every section but the results is one type."""


@dataclass(frozen=True)
class Held:
    """What there is to ask for: so many sources with so many resources each, answering after `delay_ms`; the last of
    them after `last_ms`, where that is given."""

    sources: int = 3
    each: int = 100
    delay_ms: float = 0.0
    last_ms: float | None = None
    mix: str = "usual"
    tls: bool = False

    @property
    def expected(self) -> int:
        """How many clinical resources a whole record has."""
        return self.sources * clinical(self.each, self.mix)

    @property
    def delays(self) -> list[float]:
        """By source."""
        last = self.delay_ms if self.last_ms is None else self.last_ms
        return [self.delay_ms] * (self.sources - 1) + [last]


EVEN: Final = Held(each=293, mix="even")
"""Three sources, eight searches of 50 kB each: 1.1 MB, 888 resources."""


@dataclass(frozen=True)
class Sources:
    """Sources that run, by ODS code."""

    held: Held
    addresses: dict[str, str]
    ca_file: Path | None = None

    @property
    def searches(self) -> list[str]:
        """What every source is asked, relative to its address."""
        return ["Patient?identifier=x", *(f"{kind}?patient.identifier=x" for kind in MIXES[self.held.mix])]

    @property
    def last(self) -> str:
        """The one that is slow, or made to misbehave."""
        return list(self.addresses)[-1]

    def behave(self, ods: str, word: str) -> None:
        """From now on `well`, `hung` or `storming`."""
        self._order(ods, f"behave/{word}")

    def calls(self) -> dict[str, int]:
        """How many calls each had since this was asked last."""
        return {ods: int(self._order(ods, "calls")) for ods in self.addresses}

    def _order(self, ods: str, what: str) -> bytes:
        trusted = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else None
        url = f"{self.addresses[ods].removesuffix('/fhir')}/bench/{what}"
        with urllib.request.urlopen(url, timeout=5, context=trusted) as answer:
            return bytes(answer.read())


@dataclass(frozen=True)
class Server:
    """Something that answers with a whole record. `pids` are the processes that do the work for it."""

    name: str
    url: str
    pids: tuple[int, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    per_round: int = PER_ROUND

    def cpu_seconds(self) -> float:
        """Of its processes and their children."""
        everyone = {pid for parent in self.pids for pid in (parent, *children(parent))}
        return sum(cpu_seconds(pid) for pid in everyone)

    def forget_peak(self) -> None:
        """See `peak_mb`."""
        forget_peak(self.pids[0])

    def peak_mb(self) -> float:
        """The most resident memory of its first process since `forget_peak`."""
        return peak_mb(self.pids[0])

    def resident_mb(self) -> float:
        """Of its first process."""
        return resident_mb(self.pids[0])


class World(ExitStack):
    """Starts what a scenario needs, in `folder`. `issuer` is the identity provider of the whole run."""

    def __init__(self, folder: Path, issuer: str) -> None:
        super().__init__()
        self.folder = folder
        self.issuer = issuer
        self._number = 0

    def sources(self, held: Held) -> Sources:
        """Start them."""
        files: tuple[str, ...] = ()
        ca_file = None
        if held.tls:
            authority = Authority(self.new("authority"))
            certificate, key = authority.issue("source")
            files, ca_file = ("--certificate", str(certificate), "--key", str(key)), authority.file
        codes = ["RJ2", _CALLER, "RPG", *(f"R{number:02}" for number in range(held.sources))][: held.sources]
        options = ("--resources", str(held.each), "--mix", held.mix, *files)
        addresses = {}
        for ods, delay in zip(codes, held.delays, strict=True):
            state = self.new(ods) / "state"
            own = ("--name", ods, "--delay-ms", str(delay), "--state", str(state))
            addresses[ods] = self.enter_context(process(state, "tests.bench.source", *own, *options))
        return Sources(held, addresses, ca_file)

    def peer(self, kind: str, sources: Sources, *, batch: bool = False) -> Server:
        """One of PEERS, asking these sources. Raises environment.Absent where HealthChain can't be had."""
        folder = self.new(kind)
        together = write_batch(sources.searches).decode() if batch else None
        ca_file = str(sources.ca_file) if sources.ca_file else None
        Order(sources.addresses, sources.searches, together, ca_file).write(folder / "order.json")
        options = ("--order", str(folder / "order.json"), "--state", str(folder / "state"))
        if kind == "healthchain":
            module = "tests.bench.peers.healthchain_peer"
            started = told_process(
                folder / "state", module, *options, python=str(python()), output=subprocess.DEVNULL
            )  # its banner
        else:
            started = told_process(folder / "state", f"tests.bench.peers.{kind}", *options)
        url, pid = self.enter_context(started)
        return Server(kind, url, (pid,), per_round=PEERS[kind])

    async def gateway(
        self,
        name: str,
        sources: Sources,
        *,
        way: str = "searches",
        module: str = "gateway.cli",
        workers: int = 1,
        **settings: Any,
    ) -> Server:
        """A gateway with everything on, of so many `workers`. `way` is how it asks: by searches, in a batch, or for
        everything at once."""
        entries = [
            organisation(ods, _KINDS[place % 3], address, **_asking(sources, way))
            for place, (ods, address) in enumerate(sources.addresses.items())
        ]
        if _CALLER not in sources.addresses:
            entries.append({"ods": _CALLER, "name": "A practice", "type": "gp-practice", "stage": "live"})
        running = Gateway(self.new(name), self.issuer, entries, settings, module=module, workers=workers)
        running.configure()
        running.start()
        self.callback(running.stop)
        headers = {"Authorization": f"Bearer {await fetch_token(self.issuer, 'gp')}"}
        await _agree(running.base, headers)
        url = f"{running.base}/fhir/R4/Patient/{NHS_NUMBER}/$everything"
        return Server(name, url, (running.pid,), headers)

    async def gateway_on_postgres(self, name: str, sources: Sources, **settings: Any) -> Server:
        """The same with its journal in PostgreSQL. What the database server does counts for the gateway."""
        database = start_postgres()
        self.callback(stop_postgres, database)
        url = database.url(database.new())
        found = await self.gateway(name, sources, database=url, **settings)
        return Server(name, found.url, (*found.pids, database.pid), found.headers)

    def new(self, name: str) -> Path:
        """A folder that nobody else writes to."""
        self._number += 1
        made = self.folder / f"{self._number}-{name}"
        made.mkdir()
        return made


_WAYS: Final[Mapping[str, Mapping[str, Any]]] = {
    "searches": {"patient_by": "identifier"},
    "batch": {"patient_by": "identifier", "batch": True},
    "everything": {"patient_by": "nhs-number", "everything": True},
}


def offers(way: str) -> bool:
    """Whether the connector knows this way of asking."""
    return _WAYS[way].keys() <= FhirR4.model_fields.keys()


def _asking(sources: Sources, way: str) -> dict[str, Any]:
    settings = dict(_WAYS[way])
    if sources.held.mix == "even":
        settings["searches"] = _ONE_TYPE
    if sources.ca_file:
        settings["tls"] = {"ca_file": str(sources.ca_file)}
    return settings


async def _agree(base: str, headers: Mapping[str, str]) -> None:
    body = json.dumps({"nhsNumber": NHS_NUMBER, "basis": "patient-agreed"})
    given = {**headers, "Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{base}/permissions", data=body, headers=given) as answer,
    ):
        if answer.status != 201:
            raise RuntimeError(f"no permission was given: {await answer.text()}")
