"""What the journal costs: its share of a record, and a release on a journal of a million rows."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path
from typing import Final

import aiohttp

from tests.bench import journal
from tests.bench.figures import RATIO, Figure, Figures, Rounds, unit_of
from tests.bench.load import client, cost, warm
from tests.bench.scenarios.scenario import Found, Scenario
from tests.bench.world import EVEN, Server, World

LONG: Final = Path(__file__).resolve().parents[3] / "build" / "bench" / "journal"
_TRIPLES: Final = 15
"""Of a round: the share is small beside what a busy machine adds, so servers take turns record by record."""


async def journal_share(world: World, rounds: int) -> Found:
    """The record of 1.1 MB with the journal in SQLite, in PostgreSQL (with what its server does), and without one."""
    sources = world.sources(EVEN)
    servers = [
        await world.gateway("unjournalled", sources, module="tests.bench.unjournalled"),
        await world.gateway("sqlite", sources),
        await world.gateway_on_postgres("postgresql", sources),
    ]
    found = Rounds()
    async with client() as session:
        for server in servers:
            await warm(session, server, EVEN.expected, 10)
        for _ in range(rounds):
            for name, cpu in (await _turns(session, servers)).items():
                found.add(name, {"cpu_ms": cpu})
    figures = found.figures()
    for store in ("sqlite", "postgresql"):
        pairs = zip(found.of("unjournalled.cpu_ms"), found.of(f"{store}.cpu_ms"), strict=True)
        figures[f"{store}.journal_share"] = Figure.of(1 - without / whole for without, whole in pairs)
    return Found(figures)


async def _turns(session: aiohttp.ClientSession, servers: list[Server]) -> dict[str, float]:
    """Milliseconds of processor time a record, by server."""
    spent: dict[str, float] = defaultdict(float)
    for number in range(_TRIPLES):
        for place in range(len(servers)):
            server = servers[(place + number) % len(servers)]
            spent[server.name] += (await cost(session, server, 1))["cpu_ms"] / _TRIPLES
    return spent


async def long_journal(world: World, rounds: int) -> Found:
    """Once, however many rounds are asked for. The long journal takes minutes to make, and is kept for the next run."""
    found = await asyncio.to_thread(journal.run, LONG)
    figures: Figures = {}
    for size in journal.SIZES:
        figures |= {
            f"rows-{size}.{name}": Figure.of([value], unit_of(name)) for name, value in found[str(size)].items()
        }
    short, long = journal.SIZES
    for name, value in found["growth"].items():
        figures[f"rows-{long}:rows-{short}.{name}"] = Figure.of([value], RATIO)
    return Found(figures)


SCENARIOS: Final = (
    Scenario("journal-share", "the record of 1.1 MB with and without its journal", journal_share),
    Scenario("journal", "200 releases a second, on a thousand rows and on a million", long_journal, takes_long=True),
)
