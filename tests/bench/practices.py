"""What the number of GP practices costs: the same record where 70 practices take part, and where 7,000 do.

The register (PDS) says which practice is the patient's, and that one alone is asked. Starts and records of both worlds
are interleaved; what counts is the ratio of the large one to the small one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import aiohttp

from gateway.demo.token import fetch_token
from tests.processes import SECTIONS, Gateway, cpu_seconds, gateway, process, resident_mb

COUNTS: Final = (70, 7_000)
ASKED: Final = ("G85005", "G85004", "G83021")
"""The practices of the list that there is a sandbox for; the patient is registered with the first."""
PATIENT: Final = "9990000409"
ROUNDS: Final = 5
PER_ROUND: Final = 10
STARTS: Final = 5


@dataclass
class World:
    """One gateway, and the sandboxes that it asks."""

    running: Gateway
    control: dict[str, str]
    starts: list[float] = field(default_factory=list)
    records: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def _codes(count: int) -> list[str]:
    made = (f"Y{number:05}" for number in range(count))
    return [*ASKED, *(next(made) for _ in range(count - len(ASKED)))]


def _entries(folder: Path, count: int) -> list[dict[str, Any]]:
    rows = "".join(f"{ods},Practice {ods}\n" for ods in _codes(count))
    (folder / "practices.csv").write_text(f"ods,name\n{rows}")
    common = {"stage": "live", "address": "sandbox"}
    structured = [section for section in SECTIONS if section != "care-team"]
    return [
        {
            "practices": "practices.csv",
            "name": "Practices",
            "connector": "gp_connect",
            "sections": structured,
            **common,
        },
        {
            "ods": "X26",
            "name": "PDS",
            "type": "national-service",
            "connector": "pds",
            "sections": SECTIONS[:1],
            **common,
        },
    ]


@contextmanager
def world(folder: Path, issuer: str, count: int) -> Iterator[World]:
    """A gateway among so many practices, with the sandboxes of three of them and of the register."""
    folder.mkdir()
    file = folder / "organisations.yaml"
    file.write_text(json.dumps({"organisations": _entries(folder, count)}))
    state = folder / "sandboxes.json"
    command = ("connectors.kit.serve", "--organisations", str(file), "--state", str(state))
    with process(state, *command) as said:
        around = json.loads(said)
        more = {"addresses": around["addresses"], "organisations_file": str(file)}
        with gateway(folder, issuer, **more) as running:
            yield World(running, around["control"])


async def measure(worlds: dict[int, World], issuer: str, rounds: int) -> dict[str, Any]:
    """The figures of every world, and the large one's by the small one's."""
    headers = {"Authorization": f"Bearer {await fetch_token(issuer, 'gp')}"}
    async with aiohttp.ClientSession() as session:
        for one in worlds.values():
            await _agree(session, one, headers)
        for _ in range(rounds):
            for one in worlds.values():
                await _round(session, one, headers)
        asked = {count: await _practices_asked(session, one, headers) for count, one in worlds.items()}
    for _ in range(STARTS):
        for one in worlds.values():
            _start_again(one)
    figures = {str(count): _figures(one) | {"practices_asked": asked[count]} for count, one in worlds.items()}
    small, large = (figures[str(count)] for count in COUNTS)
    return figures | {
        "ratio": {key: round(large[key] / small[key], 2) for key in ("start_s", "record_ms", "cpu_ms_per_record")}
    }


async def _agree(session: aiohttp.ClientSession, one: World, headers: dict[str, str]) -> None:
    body = {"nhsNumber": PATIENT, "basis": "patient-agreed"}
    async with session.post(f"{one.running.base}/permissions", json=body, headers=headers) as granted:
        assert granted.status == 201, await granted.text()
    for _ in range(10):
        await _record(session, one, headers)


async def _record(session: aiohttp.ClientSession, one: World, headers: dict[str, str]) -> None:
    url = f"{one.running.base}/fhir/R4/Patient/{PATIENT}/$everything"
    async with session.get(url, headers=headers) as answer:
        content = await answer.read()
        assert answer.status == 200, content


async def _round(session: aiohttp.ClientSession, one: World, headers: dict[str, str]) -> None:
    before = cpu_seconds(one.running.pid)
    for _ in range(PER_ROUND):
        started = time.perf_counter()
        await _record(session, one, headers)
        one.records.append((time.perf_counter() - started) * 1000)
    one.cpu.append((cpu_seconds(one.running.pid) - before) * 1000 / PER_ROUND)


async def _practices_asked(session: aiohttp.ClientSession, one: World, headers: dict[str, str]) -> int:
    """How many practices' systems one record called."""
    for ods in ASKED:
        async with session.post(f"{one.control[ods]}/reset") as answer:
            assert answer.status == 200
    await _record(session, one, headers)
    asked = 0
    for ods in ASKED:
        async with session.get(one.control[ods]) as answer:
            asked += (await answer.json())["callsSinceReset"] > 0
    return asked


def _start_again(one: World) -> None:
    one.running.stop()
    started = time.perf_counter()
    one.running.start()
    one.starts.append(time.perf_counter() - started)


def _figures(one: World) -> dict[str, Any]:
    return {
        # The quickest start is the program's own; the others have the machine's business in them.
        "start_s": round(min(one.starts), 3),
        "record_ms": round(median(one.records), 2),
        "cpu_ms_per_record": round(median(one.cpu), 2),
        "resident_mb": round(resident_mb(one.running.pid), 1),
    }


async def run(folder: Path, issuer: str, rounds: int = ROUNDS) -> dict[str, Any]:
    """Measure both worlds. Takes half a minute."""
    with ExitStack() as stack:
        worlds = {count: stack.enter_context(world(folder / f"practices-{count}", issuer, count)) for count in COUNTS}
        return await measure(worlds, issuer, rounds)
