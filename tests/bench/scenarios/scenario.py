"""What a scenario is, and how the rounds of its servers are interleaved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.figures import Figures, Rounds
from tests.bench.world import Server, World


@dataclass
class Found:
    """What a scenario brings home, and in a sentence each what it could not measure."""

    figures: Figures
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Scenario:
    """`run` measures in so many rounds. One that `takes_long` is left out unless it is named, or everything is."""

    name: str
    about: str
    run: Callable[[World, int], Coroutine[Any, Any, Found]]
    takes_long: bool = False


async def interleaved(
    servers: Sequence[Server], rounds: int, measure: Callable[[Server], Awaitable[dict[str, float]]]
) -> Rounds:
    """One round of each server after the other, so many times over: a drift of the machine meets all alike. Every
    other round goes backwards, so that nobody always comes right behind the same one."""
    found = Rounds()
    for number in range(rounds):
        for server in servers if number % 2 == 0 else reversed(servers):
            found.add(server.name, await measure(server))
    return found


def labelled(label: str, figures: Figures) -> Figures:
    """The figures of a part of a scenario."""
    return {f"{label} {name}": figure for name, figure in figures.items()}
