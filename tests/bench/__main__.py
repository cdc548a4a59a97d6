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
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import aiohttp

from gateway.demo.run import fetch_token
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
BUILD = Path("build/bench")


async def timed(call: Callable[[], Awaitable[Any]], times: int) -> list[float]:
    """Milliseconds of each of so many calls, one after the other."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        await call()
        found.append((time.perf_counter() - started) * 1000)
    return found


async def measure(base: str, pid: int, addresses: dict[str, str], issuer: str) -> dict[str, Any]:
    """The figures."""
    token = await fetch_token(issuer, "gp")
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        body = {"nhsNumber": NHS_NUMBER, "basis": "patient-agreed"}
        async with session.post(f"{base}/permissions", json=body, headers=headers) as granted:
            assert granted.status == 201, await granted.text()

        async def record() -> bytes:
            url = f"{base}/fhir/R4/Patient/{NHS_NUMBER}/$everything"
            async with session.get(url, headers=headers) as answer:
                content = await answer.read()
                assert answer.status == 200, content
                return content

        async def direct() -> None:
            """The slowest source's own part, asked directly: the same searches at once, nothing done with them."""
            await asyncio.gather(*(fetch(f"{addresses['RJ2']}/{kind}?patient.identifier=x") for kind in searches))

        async def fetch(url: str) -> bytes:
            async with session.get(url) as answer:
                return await answer.read()

        searches = list(bundles("RJ2", RESOURCES))
        await timed(record, 10)
        rounds: list[tuple[float, float]] = []
        every: list[float] = []
        spent = 0.0
        for _ in range(ROUNDS):
            straight = await timed(direct, PER_ROUND)
            before = cpu_seconds(pid)
            through = await timed(record, PER_ROUND)
            spent += cpu_seconds(pid) - before
            rounds.append((median(straight), median(through)))
            every += through
        content = await record()
        peak = await _peak_of(pid, record)
    ratios = [through / straight for straight, through in rounds]
    bundle = json.loads(content)
    return {
        "resources": bundle["total"],
        "bytes": len(content),
        "direct_ms": round(median(s for s, _ in rounds), 2),
        "record_ms": round(median(t for _, t in rounds), 2),
        "record_p99_ms": round(quantiles(every, n=100)[98], 2),
        "ratio": round(median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "cpu_ms_per_record": round(spent * 1000 / (ROUNDS * PER_ROUND), 2),
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
        organisations = [
            organisation(ods, TYPES[ods], address, patient_by="identifier") for ods, address in addresses.items()
        ]
        running = stack.enter_context(gateway(folder, issuer, organisations))
        figures = asyncio.run(measure(running.base, running.pid, addresses, issuer))
    figures |= {
        "sources": len(SOURCES),
        "source_delay_ms": DELAY_MS,
        "source_bytes": sum(len(body) for body in bundles("RJ2", RESOURCES).values()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "latest.json").write_text(json.dumps(figures, indent=2) + "\n")
    for key, value in figures.items():
        print(f"{key:<24} {value}")
    kept = figures["ratio"] <= MOST_RATIO and figures["resident_mb_20_at_once"] <= MOST_RESIDENT_MB
    print(f"{'kept' if kept else 'NOT KEPT'}: ratio at most {MOST_RATIO}, resident at most {MOST_RESIDENT_MB} MB")
    raise SystemExit(0 if kept else 1)


if __name__ == "__main__":
    main()
