"""`make bench`: what a whole record costs, against a direct call of its slowest source, in one run.

Rounds are interleaved (direct, gateway, direct, gateway, …) so that a drift of the machine's speed meets both alike.
Ratios are what counts; exits 1 where a promise of the record isn't kept.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import aiohttp

from connectors.sdk.batch import write_batch
from gateway.demo.token import fetch_token
from tests.bench import journal, practices
from tests.bench.payload import NHS_NUMBER, bundles
from tests.processes import cpu_seconds, gateway, identity_provider, organisation, process, resident_mb

SOURCES = ("RJ2", "G85005", "RPG")
TYPES = {"RJ2": "acute-trust", "G85005": "gp-practice", "RPG": "mental-health-and-community-trust"}
RESOURCES = 100
DELAY_MS = 50.0
ROUNDS = 7
PER_ROUND = 12
MOST_RATIO = 1.6
MOST_RESIDENT_MB = 200
MOST_GROWTH = 1.25
"""What a hundred times as many practices may cost, as a ratio: beyond a busy machine's own noise."""
SEARCHED = tuple(bundles("RJ2", RESOURCES))
BUILD = Path("build/bench")


async def timed(call: Callable[[], Awaitable[Any]], times: int) -> list[float]:
    """Milliseconds of each of so many calls, one after the other."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        await call()
        found.append((time.perf_counter() - started) * 1000)
    return found


@dataclass(frozen=True)
class Way:
    """One way of asking the sources: a gateway that does, and what the slowest source's own part costs so."""

    name: str
    base: str
    pid: int
    direct: Callable[[aiohttp.ClientSession], Awaitable[None]]


@dataclass
class Seen:
    """What was measured of one way."""

    straight: list[float] = field(default_factory=list)
    through: list[float] = field(default_factory=list)
    every: list[float] = field(default_factory=list)
    spent: float = 0.0


async def _fetch(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as answer:
        return await answer.read()


def direct_searches(source: str) -> Callable[[aiohttp.ClientSession], Awaitable[None]]:
    """The slowest source's own part, asked directly: the same searches at once, nothing done with what comes."""

    async def ask(session: aiohttp.ClientSession) -> None:
        await asyncio.gather(*(_fetch(session, f"{source}/{kind}?patient.identifier=x") for kind in SEARCHED))

    return ask


def direct_batch(source: str) -> Callable[[aiohttp.ClientSession], Awaitable[None]]:
    """The same in one call."""
    body = write_batch([f"{kind}?patient.identifier=x" for kind in SEARCHED])

    async def ask(session: aiohttp.ClientSession) -> None:
        async with session.post(source, data=body, headers={"Content-Type": "application/fhir+json"}) as answer:
            assert (await answer.read()).count(b"searchset") == len(SEARCHED)

    return ask


def direct_everything(source: str) -> Callable[[aiohttp.ClientSession], Awaitable[None]]:
    """The same by the one call for everything."""

    async def ask(session: aiohttp.ClientSession) -> None:
        assert b"searchset" in await _fetch(session, f"{source}/Patient/{NHS_NUMBER}/$everything?_count=200")

    return ask


WAYS: Final[tuple[tuple[str, Callable[..., Any], dict[str, Any]], ...]] = (
    ("searches", direct_searches, {"patient_by": "identifier"}),
    ("batch", direct_batch, {"patient_by": "identifier", "batch": True}),
    ("everything", direct_everything, {"patient_by": "nhs-number", "everything": True}),
)


async def measure(ways: list[Way], issuer: str) -> dict[str, Any]:
    """The figures of every way, its rounds interleaved with those of the others."""
    token = await fetch_token(issuer, "gp")
    headers = {"Authorization": f"Bearer {token}"}
    seen = {way.name: Seen() for way in ways}
    figures: dict[str, Any] = {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def record(way: Way) -> bytes:
            url = f"{way.base}/fhir/R4/Patient/{NHS_NUMBER}/$everything"
            async with session.get(url, headers=headers) as answer:
                content = await answer.read()
                assert answer.status == 200, content
                return content

        for way in ways:
            body = {"nhsNumber": NHS_NUMBER, "basis": "patient-agreed"}
            async with session.post(f"{way.base}/permissions", json=body, headers=headers) as granted:
                assert granted.status == 201, await granted.text()
            await timed(partial(record, way), 10)
        for _ in range(ROUNDS):
            for way in ways:
                await _round(way, seen[way.name], session, partial(record, way))
        for way in ways:
            figures[way.name] = _figures(
                seen[way.name], await record(way), await _peak_of(way.pid, partial(record, way))
            )
    return figures


async def _round(way: Way, seen: Seen, session: aiohttp.ClientSession, record: Callable[[], Awaitable[Any]]) -> None:
    straight = await timed(partial(way.direct, session), PER_ROUND)
    before = cpu_seconds(way.pid)
    through = await timed(record, PER_ROUND)
    seen.spent += cpu_seconds(way.pid) - before
    seen.straight.append(median(straight))
    seen.through.append(median(through))
    seen.every += through


def _figures(seen: Seen, content: bytes, peak: float) -> dict[str, Any]:
    ratios = [through / straight for straight, through in zip(seen.straight, seen.through, strict=True)]
    bundle = json.loads(content)
    return {
        "resources": bundle["total"],
        "bytes": len(content),
        "direct_ms": round(median(seen.straight), 2),
        "record_ms": round(median(seen.through), 2),
        "record_p99_ms": round(quantiles(seen.every, n=100)[98], 2),
        "ratio": round(median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "cpu_ms_per_record": round(seen.spent * 1000 / len(seen.every), 2),
        "resident_mb_20_at_once": round(peak, 1),
    }


async def _peak_of(pid: int, record: Callable[[], Awaitable[Any]]) -> float:
    """The most resident memory seen while 20 records are asked for at once, ten times over."""
    peak = resident_mb(pid)
    for _ in range(10):
        running = [asyncio.ensure_future(record()) for _ in range(20)]
        while not all(task.done() for task in running):
            peak = max(peak, resident_mb(pid))
            await asyncio.sleep(0.005)
        await asyncio.gather(*running)
    return peak


def main() -> None:
    """Run, print, keep, and judge."""
    with tempfile.TemporaryDirectory(prefix="connectcare-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        addresses = {
            ods: stack.enter_context(
                process(
                    folder / f"{ods}.state",
                    *("tests.bench.source", "--name", ods, "--resources", str(RESOURCES)),
                    *("--delay-ms", str(DELAY_MS), "--state", str(folder / f"{ods}.state")),
                )
            )
            for ods in SOURCES
        }
        issuer = stack.enter_context(identity_provider(folder))
        ways = []
        for name, direct, settings in WAYS:
            organisations = [organisation(ods, TYPES[ods], address, **settings) for ods, address in addresses.items()]
            running = stack.enter_context(gateway(_new(folder / name), issuer, organisations))
            ways.append(Way(name, running.base, running.pid, direct(addresses["RJ2"])))
        figures = asyncio.run(measure(ways, issuer))
        among = practices.run(folder, issuer)
    _report(figures, among, journal.run())


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _report(figures: dict[str, Any], among: dict[str, Any], journals: dict[str, Any]) -> None:
    """Print, keep, and judge: the promise holds for each way of asking."""
    about = {
        "sources": len(SOURCES),
        "source_delay_ms": DELAY_MS,
        "source_bytes": sum(len(body) for body in bundles("RJ2", RESOURCES).values()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "latest.json").write_text(
        json.dumps(figures | {"practices": among, "journal": journals} | about, indent=2) + "\n"
    )
    for key, value in about.items():
        print(f"{key:<24} {value}")
    print(f"{'':<24} {'  '.join(f'{name:<16}' for name in figures)}")
    for key in next(iter(figures.values())):
        print(f"{key:<24} {'  '.join(f'{figures[name][key]!s:<16}' for name in figures)}")
    kept = True
    for name, seen in figures.items():
        held = seen["ratio"] <= MOST_RATIO and seen["resident_mb_20_at_once"] <= MOST_RESIDENT_MB
        kept = kept and held
        print(f"{name}: {'kept' if held else 'NOT KEPT'}: ratio at most {MOST_RATIO}, at most {MOST_RESIDENT_MB} MB")
    for count, seen in among.items():
        print(f"{'practices ' + count:<24} {seen}")
    asked_one = all(among[str(count)]["practices_asked"] == 1 for count in practices.COUNTS)
    grown = max(among["ratio"].values()) > MOST_GROWTH
    print(f"practices: {'kept' if asked_one and not grown else 'NOT KEPT'}: one is asked, and nothing costs more")
    journal.told(journals)
    raise SystemExit(0 if kept and asked_one and not grown and journal.is_kept(journals) else 1)


if __name__ == "__main__":
    main()
