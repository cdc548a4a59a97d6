"""How long a record takes beside its slowest source: idle, and under half of what the gateway can carry."""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import Final

import aiohttp

from connectors.sdk.batch import write_batch
from tests.bench.figures import Figure, Figures, Rounds
from tests.bench.load import at_once, by_the_clock, client, one_by_one, throughput, warm
from tests.bench.scenarios.scenario import Found, Scenario, labelled
from tests.bench.world import Held, Server, Sources, World

DELAYS_MS: Final = (0.0, 50.0, 200.0)
_PER_ROUND: Final = 10
_ARRIVALS: Final = 100
"""Of a round: as many as a ninety-ninth percentile asks for."""
_CAPACITY_SECONDS: Final = 3.0
_ASKERS: Final = 8
_HALF: Final = 0.5


async def direct(session: aiohttp.ClientSession, sources: Sources, *, batch: bool = False) -> float:
    """Milliseconds of the slowest source's own part, asked directly: the same calls, nothing done with what comes."""
    base = sources.addresses[sources.last]
    started = time.perf_counter()
    if batch:
        await _read(session, "POST", base, write_batch(sources.searches))
    else:
        await asyncio.gather(*(_read(session, "GET", f"{base}/{search}") for search in sources.searches))
    return (time.perf_counter() - started) * 1000


async def _read(session: aiohttp.ClientSession, method: str, url: str, body: bytes | None = None) -> None:
    async with session.request(method, url, data=body) as answer:
        answer.raise_for_status()
        await answer.read()


async def beside_direct(
    session: aiohttp.ClientSession, pairs: list[tuple[Server, Sources]], rounds: int, times: int = _PER_ROUND
) -> Figures:
    """Records of each server, and the slowest source directly before each of its rounds."""
    found = Rounds()
    for _ in range(rounds):
        for server, sources in pairs:
            alone = [await direct(session, sources, batch=server.name == "batch") for _ in range(times)]
            found.add(f"{server.name}-direct", {"p50_ms": median(alone)})
            found.add(server.name, {"p50_ms": median(await one_by_one(session, server, times))})
    figures = found.figures()
    for server, _ in pairs:
        ratio = found.ratio(server.name, f"{server.name}-direct", "p50_ms")
        figures[f"{server.name}:slowest.p50"] = next(iter(ratio.values()))
    return figures


async def delays(world: World, rounds: int) -> Found:
    """One after the other, by both ways of asking; and what 20 at once take in memory."""
    figures: Figures = {}
    for delay in DELAYS_MS:
        held = Held(each=100, delay_ms=delay)
        sources = world.sources(held)
        servers = [await world.gateway(way, sources, way=way) for way in ("searches", "batch")]
        sizes: dict[str, int] = {}
        async with client() as session:
            for server in servers:
                sizes[server.name] = await warm(session, server, held.expected)
            around = await beside_direct(session, [(server, sources) for server in servers], rounds)
            figures |= labelled(f"{delay:g}", around)
            if delay == DELAYS_MS[1]:
                for server in servers:
                    figures[f"{server.name}.peak20_mb"] = await _peak(session, server, rounds, sizes[server.name])
    return Found(figures)


async def _peak(session: aiohttp.ClientSession, server: Server, rounds: int, whole: int) -> Figure:
    server.forget_peak()
    for _ in range(rounds):
        await at_once(session, server, 20, whole)
    return Figure.of([server.peak_mb()], "MB")


async def half_load(world: World, rounds: int) -> Found:
    """Arrivals by the clock at half of what was carried a moment before, sources at 50 ms."""
    held = Held(each=293, mix="even", delay_ms=50)
    sources = world.sources(held)
    server = await world.gateway("sqlite", sources)
    found = Rounds()
    async with client() as session:
        await warm(session, server, held.expected, 10)
        for _ in range(rounds):
            alone = [await direct(session, sources) for _ in range(_PER_ROUND)]
            found.add("slowest", {"p50_ms": median(alone), "p99_ms": median(alone)})
            carried = await throughput(session, server, _ASKERS, _CAPACITY_SECONDS)
            waited = await by_the_clock(session, server, carried * _HALF, _ARRIVALS / (carried * _HALF))
            found.add("sqlite", {"capacity_rate": carried, **waited})
    ratios = found.ratio("sqlite", "slowest", "p50_ms") | found.ratio("sqlite", "slowest", "p99_ms")
    return Found(found.figures() | ratios)


async def one_slow(world: World, rounds: int) -> Found:
    """Two sources at 50 ms and one at 500: the record should take as long as that one, and no longer."""
    held = Held(each=100, delay_ms=50, last_ms=500)
    sources = world.sources(held)
    server = await world.gateway("sqlite", sources)
    async with client() as session:
        await warm(session, server, held.expected)
        return Found(await beside_direct(session, [(server, sources)], rounds, 5))


SCENARIOS: Final = (
    Scenario("delays", "300 resources one by one, sources at 0, 50 and 200 ms", delays),
    Scenario("half-load", "the record of 1.1 MB by the clock at half of capacity, sources at 50 ms", half_load),
    Scenario("one-slow", "one of three sources at 500 ms, the others at 50", one_slow),
)
