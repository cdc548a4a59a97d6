"""SIGKILL at every step of the pipeline, on both stores: no clinical byte without its committed release."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.row import Kind
from tests.chaos import dying
from tests.chaos.clients import Clients, numbers
from tests.chaos.history import Did, unaccounted
from tests.chaos.rows import rows_of
from tests.chaos.world import LOOKERS, World, world

PATIENTS = numbers(12)
LOOKS = {Did.LOOK: 1}
AGREED = {"commit": len(PATIENTS) * len(LOOKERS)}
"""How often a step is passed while patients agree, before anybody looks: the process must live on so far."""
A_LIFE = 90
"""Operations that are tried in one life; most of them before it ends."""
IN_PARTS = ("release:before", "release:after", "commit:before", "commit:after", "guard:after", "policy:before")
QUICK = ("release:after",)


async def lives(
    world: World, points: Sequence[str], settings: dict[str, Any], looks: Mapping[Did, int] = LOOKS
) -> Counter[str]:
    """One life for each point; returns how many looks showed something before its end. Raises AssertionError."""
    rng, shown, seen_in_all = random.Random(20261122), Counter[str](), []
    await world.sign_in_all()
    for life, point in enumerate(points):
        count = AGREED.get(point.partition(":")[0], 0) + rng.randint(8, 40)
        world.running.environment = {dying.STEP: point, dying.COUNT: str(count)}
        await asyncio.to_thread(world.running.start)
        clients = Clients(world.running.base, PATIENTS, world.lookers, world.officer, life, looks, prefix=f"life{life}")
        await clients.agree()
        await clients.run(A_LIFE, at_once=6)
        await asyncio.to_thread(world.running.wait_until_dead)
        seen_in_all += clients.history
        shown[point] += sum(one.saw for one in clients.history)
    world.seen += seen_in_all
    rows = await rows_of(settings)
    assert unaccounted(seen_in_all, rows) == []
    releases = Counter(row.request_id for row in rows if row.kind is Kind.RELEASE)
    assert max(releases.values()) == 1 or Did.LIVE in looks
    print(f"{len(points)} lives, {len(seen_in_all)} looks tried, {shown.total()} showed something, {len(rows)} rows")
    return shown


def start(tmp_path: Path, database: str | None, **more: Any) -> tuple[dict[str, Any], Any]:
    settings: dict[str, Any] = {"data_dir": str(tmp_path / "data")} | ({"database": database} if database else {})
    return settings, world(tmp_path, settings, module="tests.chaos.dying", **more)


@pytest.mark.slow
async def test_at_the_last_step(tmp_path: Path) -> None:
    settings, started = start(tmp_path, None)
    with started as here:
        await lives(here, QUICK, settings)


@pytest.mark.slow
async def test_at_every_step(tmp_path: Path, database: str | None) -> None:
    settings, started = start(tmp_path, database)
    with started as here:
        shown = await lives(here, dying.points(), settings)
    assert sum(count > 0 for count in shown.values()) > len(shown) // 2, shown


@pytest.mark.slow
async def test_in_the_middle_of_a_stream(tmp_path: Path, database: str | None) -> None:
    """Each part that came whole has its row: those before it, and the one that the process died behind."""
    settings, started = start(tmp_path, database, two_sources=True)
    with started as here:
        shown = await lives(here, IN_PARTS, settings, {Did.LIVE: 1})
        assert any(one.parts > 1 for one in here.seen), "no look had parts"
    assert shown.total() > 0


async def test_every_point_is_still_there() -> None:
    for point in dying.points():
        assert callable(dying.found(point)), point
