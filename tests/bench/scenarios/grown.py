"""What grows and what mustn't: with sources, with records at once, with practices that take part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tests.bench import practices
from tests.bench.figures import RATIO, Figure, Figures, Rounds
from tests.bench.load import at_once, client, cost, warm
from tests.bench.scenarios.scenario import Found, Scenario, interleaved
from tests.bench.world import EVEN, Held, Server, World

COUNTS: Final = (1, 3, 10, 30)
_EACH: Final = 100
TOGETHER: Final = (1, 20, 200)


async def sources(world: World, rounds: int) -> Found:
    """The same hundred resources at each of 1, 3, 10 and 30 sources."""
    servers: dict[str, int] = {}
    running: list[Server] = []
    async with client() as session:
        for count in COUNTS:
            held = Held(sources=count, each=_EACH)
            server = await world.gateway(f"sources-{count}", world.sources(held))
            await warm(session, server, held.expected)
            running.append(server)
            servers[server.name] = count

        async def measure(server: Server) -> dict[str, float]:
            one = await cost(session, server, max(2, 12 // servers[server.name]))
            return one | {"source_cpu_ms": one["cpu_ms"] / servers[server.name]}

        found = await interleaved(running, rounds, measure)
    figures = found.figures()
    for one, other in ((30, 1), (30, 3), (10, 3)):
        figures |= found.ratio(f"sources-{one}", f"sources-{other}", "source_cpu_ms")
    return Found(figures)


async def memory(world: World, rounds: int) -> Found:
    """Records of 1.1 MB at once: the most that a gateway ever held, each time from a fresh start."""
    held = world.sources(EVEN)
    found = Rounds()
    async with client() as session:
        for number in range(max(1, rounds // 2)):
            server = await world.gateway(f"memory-{number}", held)
            whole = await warm(session, server, EVEN.expected, 10)
            idle = server.resident_mb()
            found.add("sqlite", {"idle_mb": idle})
            for together in TOGETHER:
                server.forget_peak()
                found.add("sqlite", await at_once(session, server, together, whole))
                found.add("sqlite", {f"peak{together}_mb": server.peak_mb()})
            held_mb = found.of("sqlite.peak20_mb")[-1] - idle
            found.add("sqlite", {"times_its_bytes": held_mb * 1e6 / 20 / whole})
    return Found(found.figures())


async def taking_part(world: World, rounds: int) -> Found:
    """The same record among 70 practices, and among 7,000."""
    return Found(_told(await practices.run(world.new("practices"), world.issuer, rounds)))


def _told(found: dict[str, Any]) -> Figures:
    figures: Figures = {}
    for count in practices.COUNTS:
        for key, value in found[str(count)].items():
            name, unit = _NAMES[key]
            figures[f"practices-{count}.{name}"] = Figure.of([value], unit)
    small, large = practices.COUNTS
    for key, value in found["ratio"].items():
        figures[f"practices-{large}:practices-{small}.{_NAMES[key][0].rpartition('_')[0]}"] = Figure.of([value], RATIO)
    return figures


_NAMES: Final = {
    "start_s": ("start_s", "s"),
    "record_ms": ("p50_ms", "ms"),
    "cpu_ms_per_record": ("cpu_ms", "ms"),
    "resident_mb": ("resident_mb", "MB"),
    "practices_asked": ("asked", ""),
}

SCENARIOS: Final[Sequence[Scenario]] = (
    Scenario("sources", "1, 3, 10 and 30 sources of 100 resources each, at 0 ms", sources),
    Scenario("memory", "1, 20 and 200 records of 1.1 MB at once", memory),
    Scenario("practices", "70 and 7,000 practices take part; the register names the one that is asked", taking_part),
)
