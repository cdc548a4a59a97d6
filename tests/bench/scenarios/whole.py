"""Whole records: what one costs, of every size, over TLS, and in how few calls; the gateway beside its peers."""

from __future__ import annotations

from typing import Final

from tests.bench.environment import Absent
from tests.bench.figures import Figure, Figures, Rounds
from tests.bench.load import client, cost, one_by_one, warm
from tests.bench.scenarios.scenario import Found, Scenario, interleaved, labelled
from tests.bench.world import EVEN, Held, Server, Sources, World, offers

SIZES: Final = {20: Held(sources=2, each=4), 300: Held(each=100), 3_000: Held(each=1_000)}
"""How many resources, and who holds them."""


async def whole_record(world: World, rounds: int) -> Found:
    """Everybody, on the record of 1.1 MB."""
    sources = world.sources(EVEN)
    servers = [world.peer(kind, sources) for kind in ("floor", "plain", "naive")]
    notes = []
    try:
        servers.append(world.peer("healthchain", sources))
    except Absent as why:
        notes.append(f"HealthChain was not measured: {why}")
    servers += [await world.gateway("sqlite", sources), await world.gateway_on_postgres("postgresql", sources)]
    found, sizes = await _costs(servers, EVEN, rounds)
    figures = found.figures() | sizes
    for one, other in (
        *(("sqlite", "floor"), ("postgresql", "floor"), ("sqlite", "plain"), ("naive", "sqlite")),
        *(("healthchain", "sqlite"), ("plain", "floor"), ("naive", "floor"), ("healthchain", "floor")),
    ):
        figures |= found.ratio(one, other, "cpu_ms")
    return Found(figures, notes)


async def _costs(servers: list[Server], held: Held, rounds: int) -> tuple[Rounds, Figures]:
    """Costs in rounds; and bytes and resident memory, once."""
    once: Figures = {}
    async with client() as session:
        for server in servers:
            size = await warm(session, server, held.expected)
            once[f"{server.name}.answer_kb"] = Figure.of([size / 1000], "kB")
        found = await interleaved(servers, rounds, lambda server: cost(session, server, server.per_round))
    for server in servers:
        once[f"{server.name}.resident_mb"] = Figure.of([server.resident_mb()], "MB")
        once[f"{server.name}.core_rate"] = Figure.of((1000 / cpu for cpu in found.of(f"{server.name}.cpu_ms")), "/s")
    return found, once


async def sizes(world: World, rounds: int) -> Found:
    """Small, usual and large records."""
    figures: Figures = {}
    for count, held in SIZES.items():
        sources = world.sources(held)
        servers = [world.peer("floor", sources), world.peer("plain", sources), await world.gateway("sqlite", sources)]
        found, once = await _costs(servers, held, rounds)
        ratios = found.ratio("sqlite", "floor", "cpu_ms") | found.ratio("sqlite", "plain", "cpu_ms")
        figures |= labelled(str(count), found.figures() | once | ratios)
    return Found(figures)


async def tls(world: World, rounds: int) -> Found:
    """The same record with and without TLS to the sources."""
    servers = []
    for held, ending in ((EVEN, ""), (Held(each=293, mix="even", tls=True), "-tls")):
        sources = world.sources(held)
        floor = world.peer("floor", sources)
        servers.append(Server(f"floor{ending}", floor.url, floor.pids, per_round=floor.per_round))
        servers.append(await world.gateway(f"sqlite{ending}", sources))
    found, once = await _costs(servers, EVEN, rounds)
    ratios = found.ratio("sqlite-tls", "sqlite", "cpu_ms") | found.ratio("floor-tls", "floor", "cpu_ms")
    return Found(found.figures() | once | ratios)


async def one_call(world: World, rounds: int) -> Found:
    """How many calls a source gets for a whole record, by the ways of asking it, and what that spares."""
    held = Held(each=100)
    sources = world.sources(held)
    ways = [way for way in ("searches", "batch", "everything") if offers(way)]
    servers = [await world.gateway(way, sources, way=way) for way in ways]
    floor = world.peer("floor", sources, batch=True)
    found, once = await _costs([floor, *servers], held, rounds)
    figures = found.figures() | once | found.ratio("batch", "floor", "cpu_ms")
    for way in ways[1:]:
        figures |= found.ratio(way, "searches", "cpu_ms")
    for server in servers:
        figures[f"{server.name}.calls_per_source"] = await _calls(server, sources)
    notes = [] if offers("everything") else ["fhir_r4 can't ask for everything at once yet: not measured"]
    return Found(figures, notes)


async def _calls(server: Server, sources: Sources) -> Figure:
    sources.calls()
    async with client() as session:
        await one_by_one(session, server, 1)
    return Figure.of(sources.calls().values())


SCENARIOS: Final = (
    Scenario("whole-record", "3 sources, 8 searches of 50 kB each: 1.1 MB, 888 resources, at 0 ms", whole_record),
    Scenario("sizes", "records of 20, 300 and 3,000 resources, sources at 0 ms", sizes),
    Scenario("tls", "the record of 1.1 MB with and without TLS to the sources", tls),
    Scenario("one-call", "300 resources by searches, in a batch, and as everything at once", one_call),
)
