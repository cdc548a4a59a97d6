"""One source of three falls ill, while people go on asking: what it costs, and who pays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from connectors.kit.exchange import Exchange, Fault
from connectors.kit.fault_server import blackhole, drip, reset, status, well
from tests.bench.figures import at_percent
from tests.town import CALLS_OF_A_LOOK, Look, Town

HEALTHY, BAD = ("RJ2", "RPG"), "RQX"
SOURCES: Final = (*HEALTHY, BAD)
MOST_CALLS: Final = 1.2
MOST_GROWTH_MB: Final = 24.0
LATE_MS: Final = 250.0
FLAP_SECONDS: Final = 2.0


def flapping() -> Fault:
    """Well and broken in turns of two seconds."""

    async def play(exchange: Exchange) -> None:
        is_well = int(asyncio.get_running_loop().time() / FLAP_SECONDS) % 2
        await (well if is_well else reset)(exchange)

    return play


ILLNESSES: Final[Mapping[str, Callable[[], Fault]]] = {
    "hung": lambda: blackhole,
    "dripping": lambda: drip(0.05),
    "storming": lambda: status(503),
    "flapping": flapping,
}
NEVER_WELL: Final = frozenset({"hung", "dripping", "storming"})


@dataclass(frozen=True, slots=True)
class Course:
    """How it went. `ratio`: calls of the ill source for each that the same looks make of a well one; `probes`: the most
    calls that it had under way while its breaker was open; `fewest`: allergies that the healthy ones gave, of two."""

    illness: str
    looks: int
    statuses: frozenset[int]
    p50_ms: float
    p99_ms: float
    fewest: int
    unsaid: int
    ratio: float
    probes: int
    growth_mb: float
    more_files: int

    def __str__(self) -> str:
        return (
            f"{self.illness}: {self.looks} looks, p50 {self.p50_ms:.0f} ms, p99 {self.p99_ms:.0f} ms, healthy data "
            f"{self.fewest} of {len(HEALTHY)}, {self.unsaid} gaps unsaid, calls {self.ratio:.2f}x, at most "
            f"{self.probes} calls at once while resting, memory {self.growth_mb:+.1f} MB, open files "
            f"{self.more_files:+d}"
        )

    def faults(self, deadline_ms: float | None = None) -> list[str]:
        """What of the promise was not kept; the time is judged where a deadline is given."""
        late = deadline_ms is not None and self.p99_ms > deadline_ms + LATE_MS
        judged = {
            "not every answer was a record": self.statuses != {200},
            "the healthy sources' data was not whole": self.fewest < len(HEALTHY),
            "a gap was not said": self.unsaid > 0,
            f"more than {MOST_CALLS} calls for each": self.ratio > MOST_CALLS,
            "more than one look at a time probed": self.illness in NEVER_WELL and self.probes > CALLS_OF_A_LOOK,
            "memory grew": self.growth_mb > MOST_GROWTH_MB,
            "connections or files stayed open": self.more_files > 0,
            "p99 over the deadline and 250 ms": late,
        }
        return [fault for fault, is_so in judged.items() if is_so]


async def course(here: Town, illness: str, rate: float, seconds: float) -> Course:
    """Let the one source be ill for so long. The first third is left out of what memory is judged by."""
    bad = here.sources[BAD]
    await here.by_the_clock(rate, 2.0)
    await here.settled()
    files, before, bad.fault = here.open_files, len(bad.requests), ILLNESSES[illness]()
    first = await here.by_the_clock(rate, seconds / 3)
    memory, bad.most_under_way = here.memory_mb, bad.under_way
    await here.settled()
    bad.most_under_way = 0
    rest = await here.by_the_clock(rate, seconds * 2 / 3)
    probes, calls = bad.most_under_way, len(bad.requests) - before
    growth = here.memory_mb - memory
    bad.fault = well
    await here.settled()
    await here.has_no_more_open_than(files + _IDLE)
    looks = [*first, *rest]
    took = [look.took_ms for look in looks]
    return Course(
        illness,
        len(looks),
        frozenset(look.status for look in looks),
        at_percent(took, 50),
        at_percent(took, 99),
        min(look.allergies - (look.said.get(BAD) == "answered") for look in looks),
        sum(_is_unsaid(look) for look in looks),
        calls / (len(looks) * CALLS_OF_A_LOOK),
        probes,
        growth,
        max(0, here.open_files - files - _IDLE),
    )


_IDLE: Final = 8
"""Connections that are kept for the next look: not every one that was open before need be open now, nor the reverse."""


def _is_unsaid(look: Look) -> bool:
    """True where the ill source's allergy isn't there, and the answer doesn't say that it is missing."""
    return look.allergies < len(SOURCES) and look.said.get(BAD) in ("answered", "no-record", None)
