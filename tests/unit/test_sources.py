"""Practices are connected when they are first asked, so many are kept, and none is closed while it is in use."""

from __future__ import annotations

import asyncio

import pytest

from connectors.sdk.errors import ConfigurationError
from connectors.sdk.model import Answer, Ask, Gap, Outcome, Section
from gateway import sources
from gateway.fan_out import FanOut
from gateway.sources import PRACTICES, NotAsked
from tests.unit.pipeline import TRUST, an_ask, answered, patient


class Practice:
    """A connector that answers once it is let, and says when it was closed."""

    def __init__(self, ods: str, world: World) -> None:
        self.ods = ods
        self.world = world

    async def ask(self, ask: Ask) -> Answer:
        if self.ods in self.world.holding:
            await self.world.let.wait()
        return answered(self.ods, patient())

    async def aclose(self) -> None:
        if self.ods in self.world.broken:
            raise RuntimeError("the pool is gone")
        self.world.closed.append(self.ods)


class World:
    """Who was connected, in order, and who was closed."""

    def __init__(self) -> None:
        self.built: list[str] = []
        self.closed: list[str] = []
        self.holding: set[str] = set()
        self.broken: set[str] = set()
        self.let = asyncio.Event()

    def connect(self, ods: str) -> Practice:
        if ods == "STRANGER":
            raise NotAsked(ods)
        self.built.append(ods)
        if ods == "UNREADABLE":
            raise ConfigurationError("the secret of UNREADABLE can't be read")
        return Practice(ods, self)


def soon(seconds: float = 5) -> Ask:
    return an_ask(deadline=asyncio.get_running_loop().time() + seconds)


async def ask(fan_out: FanOut, *codes: str) -> list[Answer]:
    return [answer for ods in codes for answer in await fan_out.ask({ods: soon()})]


async def test_a_practice_is_connected_at_its_first_ask_and_stays() -> None:
    world = World()
    fan_out = FanOut({TRUST: Practice(TRUST, world)}, world.connect)
    assert (list(fan_out.states), world.built) == ([TRUST], [])
    for _ in range(3):
        (answer,) = await ask(fan_out, "A1")
        assert answer.outcome is Outcome.ANSWERED
    assert world.built == ["A1"]
    assert list(fan_out.states) == [TRUST, "A1"]
    assert fan_out.states["A1"].last_outcome is Outcome.ANSWERED


async def test_the_one_asked_longest_ago_is_let_go_and_closed() -> None:
    world = World()
    fan_out = FanOut({TRUST: Practice(TRUST, world)}, world.connect, most_kept=2)
    await ask(fan_out, "A1", "A2", "A1", "A3")
    await fan_out.sources.aclose()
    assert world.closed == ["A2"]
    assert list(fan_out.states) == [TRUST, "A1", "A3"]
    await ask(fan_out, TRUST, "A2")
    await fan_out.sources.aclose()
    assert world.built == ["A1", "A2", "A3", "A2"]
    assert world.closed == ["A2", "A1"]


async def test_thousands_of_practices_keep_no_more_than_may_be_kept() -> None:
    world = World()
    fan_out = FanOut({}, world.connect, most_kept=10)
    await ask(fan_out, *(f"Y{n:05}" for n in range(300)))
    await fan_out.sources.aclose()
    assert len(fan_out.states) == 10
    assert world.closed == [f"Y{n:05}" for n in range(290)]


async def test_one_with_a_call_under_way_is_never_closed() -> None:
    world = World()
    world.holding = {"A1", "A2"}
    fan_out = FanOut({}, world.connect, most_kept=1)
    waiting = [asyncio.create_task(fan_out.ask({ods: soon()})) for ods in ("A1", "A2")]
    await asyncio.sleep(0)
    await ask(fan_out, "A3", "A4")
    await fan_out.sources.aclose()
    assert world.closed == ["A3"]
    assert set(fan_out.states) == {"A1", "A2", "A4"}
    world.let.set()
    assert [answer.outcome for (answer,) in await asyncio.gather(*waiting)] == [Outcome.ANSWERED] * 2
    await ask(fan_out, "A5")
    await fan_out.sources.aclose()
    assert world.closed == ["A3", "A1", "A2", "A4"]


async def test_a_call_that_was_left_behind_keeps_its_connector_open() -> None:
    world = World()
    release = asyncio.Event()

    class Stubborn(Practice):
        async def ask(self, ask: Ask) -> Answer:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue
            return answered(self.ods, patient())

    fan_out = FanOut({}, lambda ods: (Stubborn if ods == "A1" else Practice)(ods, world), most_kept=1)
    (cut,) = await fan_out.ask({"A1": soon(0.01)})
    assert cut.outcome is Outcome.TIMED_OUT
    await ask(fan_out, "A2")
    await fan_out.sources.aclose()
    assert world.closed == []
    release.set()
    await asyncio.wait(fan_out.states["A1"].under_way)
    await ask(fan_out, "A3")
    await fan_out.sources.aclose()
    assert sorted(world.closed) == ["A1", "A2"]


async def test_who_is_not_to_be_asked_is_not_connected() -> None:
    world = World()
    fan_out = FanOut({}, world.connect)
    (answer,) = await ask(fan_out, "STRANGER")
    assert (answer.outcome, set(answer.gaps.values())) == (Outcome.NOT_ASKED, {Gap.NOT_ASKED})
    assert (world.built, fan_out.states) == ([], {})


async def test_who_cannot_be_connected_has_failed_and_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    fan_out = FanOut({}, world.connect)
    for _ in range(2):
        (answer,) = await ask(fan_out, "UNREADABLE")
        assert answer.outcome is Outcome.FAILED
        assert answer.gaps == dict.fromkeys(Section, Gap.FAILED)
        assert answer.told
    assert world.built == ["UNREADABLE"] * 2
    assert fan_out.states == {}
    assert [record.message for record in caplog.records] == ["source.connect-failed"] * 2
    assert "secret" not in caplog.text


async def test_who_becomes_one_of_a_list_is_named_in_metrics_no_more() -> None:
    world = World()
    before = FanOut({"A1": Practice("A1", world)}, world.connect)
    await ask(before, "A1")
    listed = FanOut({}, world.connect, known=before.states)
    await ask(listed, "A1")
    assert listed.states["A1"].label == PRACTICES
    assert listed.states["A1"].breaker is before.states["A1"].breaker
    again = FanOut({"A1": Practice("A1", world)}, world.connect, known=listed.states)
    assert again.states["A1"].label == "A1"


async def test_one_that_will_not_close_costs_nobody_anything(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_CLOSING_SECONDS", 0.01)
    world = World()
    world.broken = {"A1"}

    class Hanging(Practice):
        async def aclose(self) -> None:
            await asyncio.Event().wait()

    fan_out = FanOut({}, lambda ods: (Hanging if ods == "A2" else Practice)(ods, world), most_kept=1)
    assert len(await ask(fan_out, "A1", "A2", "A3", "A4")) == 4
    await fan_out.sources.aclose()
    assert world.closed == ["A3"]
    assert [record.message for record in caplog.records] == ["source.close-failed"] * 2
