"""A look in parts shows what the same look at once shows: no item more, none twice, none differently, none missing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.audit.row import Kind, Row
from gateway.caller.model import Caller
from gateway.desk.alerts import Alerts, Noticed
from gateway.merge import Record
from gateway.policy.outline import SUBSETTED
from tests.flow.live_worlds import ADDRESS, SOURCES, Sources, World, one_that_restricts_last, two_at_once, world
from tests.flow.registers import REGISTER, with_register
from tests.flow.stack import GRACE, Stack, outcome, resources, running
from tests.flow.streaming import Event, everything, streaming
from tests.quick import every

ROLES = ("gp", "hospital-doctor", "district-nurse", "social-worker")
SEEDS = range(400)
Said = tuple[int, list[dict[str, Any]]]


@pytest.fixture(scope="module")
async def without_register(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Stack, Sources]]:
    sources = Sources()
    instead = {source: sources.connector(source) for source in (*SOURCES, "G83021", "703")}
    async with running(Path(tmp_path_factory.mktemp("live")), instead=instead) as stack:
        yield stack, sources


@pytest.fixture(scope="module")
async def registered(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Stack, Sources]]:
    sources = Sources()
    instead = {source: sources.connector(source) for source in (*SOURCES, "G83021", "703", REGISTER)}
    async with with_register(Path(tmp_path_factory.mktemp("live")), instead=instead) as stack:
        yield stack, sources


@pytest.mark.parametrize("seed", every(40, SEEDS))
async def test_without_a_register(without_register: tuple[Stack, Sources], seed: int) -> None:
    await hold_against_the_whole(*without_register, Random(seed), register=False)


@pytest.mark.parametrize("seed", every(40, SEEDS))
async def test_with_a_register(registered: tuple[Stack, Sources], seed: int) -> None:
    await hold_against_the_whole(*registered, Random(seed), register=True)


async def test_an_address_that_was_given_in_an_earlier_part_goes_out_in_none(
    registered: tuple[Stack, Sources],
) -> None:
    """The register tells where the patient lives, a hospital names it in a note, and another restricts it last."""
    stack, sources = registered
    await stack.agree(GRACE, "gp")
    drawn = one_that_restricts_last(GRACE)
    sources.set(drawn, held=False)
    whole = await stack.get(everything(GRACE), "gp")
    assert ADDRESS not in whole.text
    sources.set(drawn, held=True)
    async with streaming(stack, everything(GRACE), "gp") as answer:
        parts = []
        for group in drawn.groups:
            for source in group:
                sources.let_go(source)
            parts.append(await answer.event())
        events = [part for part in parts if part is not None]
    assert [event.name for event in events] == ["part", "part", "complete"]
    hold_against(whole.json(), events)


async def test_the_first_part_is_one_sources_and_the_next_what_came_with_it(
    without_register: tuple[Stack, Sources],
) -> None:
    """Nobody waits for the judging of a second source; and nobody reads of it as of one that had nothing."""
    stack, sources = without_register
    await stack.agree(GRACE, "gp")
    drawn = two_at_once(GRACE)
    sources.set(drawn, held=True)
    for source in drawn.groups[0]:
        sources.let_go(source)
    async with streaming(stack, everything(GRACE), "gp") as answer:
        first, second = await answer.event(), await answer.event()
        assert first is not None
        assert second is not None
        sources.let_go("709")
        *_, last = await answer.events()
    assert [len(resources(part.data, "AllergyIntolerance")) for part in (first, second)] == [1, 1]
    named = [{tag["code"].partition("=")[0] for tag in part.data["meta"]["tag"]} for part in (first, second)]
    assert ("RJ2" in named[0], "RPG" in named[0], "RPG" in named[1]) == (True, False, True)
    waiting = [next(one for one in outcome(part.data) if "Still to come" in one) for part in (first, second)]
    assert ["Oxleas" in one for one in waiting] == [True, False]
    assert last.name == "complete"


async def test_whoever_looks_is_compared_in_each_part_with_every_patient_that_came(
    registered: tuple[Stack, Sources], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The register's Patient is in no part's answers by then, and who goes away early escapes no case."""
    stack, sources = registered
    compared: list[set[str]] = []
    notice = Alerts.notice

    async def noticing(alerts: Alerts, caller: Caller, record: Record, **more: bool) -> Noticed:
        compared.append({item.source for item in record.patients})
        return await notice(alerts, caller, record, **more)

    monkeypatch.setattr(Alerts, "notice", noticing)
    await stack.agree(GRACE, "gp")
    drawn = one_that_restricts_last(GRACE)
    sources.set(drawn, held=True)
    async with streaming(stack, everything(GRACE), "gp") as answer:
        for group in drawn.groups:
            for source in group:
                sources.let_go(source)
            assert await answer.event() is not None
    assert [REGISTER in sources_of for sources_of in compared] == [True, True, True]


async def hold_against_the_whole(stack: Stack, sources: Sources, draw: Random, *, register: bool) -> None:
    who, scope = draw.choice(ROLES), draw.choice(["standard", "including-sensitive"])
    await stack.agree(GRACE, who, scope=scope)
    drawn = world(draw, GRACE, register=register)
    for query in draw.sample(["", "_type=MedicationStatement,Condition", "_since=2020-01-01"], 1):
        sources.set(drawn, held=False)
        whole = await stack.get(everything(GRACE, query), who)
        sources.set(drawn, held=True)
        status, events = await in_parts(stack, sources, drawn, who, query)
        if whole.status_code != 200:
            assert (status, events) == (whole.status_code, [])
            continue
        hold_against(whole.json(), events)
        await hold_rows_against(stack, whole.headers["X-Request-ID"], events)


async def in_parts(stack: Stack, sources: Sources, drawn: World, who: str, query: str) -> tuple[int, list[Event]]:
    async with streaming(stack, everything(GRACE, query), who) as answer:
        for group in drawn.groups:
            for source in group:
                sources.let_go(source)
            for _ in range(60):  # whatever can go on goes on; how far it gets is another order, which holds as well
                await asyncio.sleep(0)
        status = await answer.begun()
        return status, [] if status != 200 else await answer.events()


def hold_against(whole: Mapping[str, Any], events: list[Event]) -> None:
    *parts, last = events
    assert {part.name for part in parts} <= {"part"}
    assert last.name == "complete"
    shown = {name(one): one for one in resources(whole)}
    sent = [one for event in events for one in resources(event.data)]
    assert Counter(map(name, sent)) == Counter(shown.keys())
    assert all(one == shown[name(one)] for one in resources(last.data))
    assert all(bare(one) == bare(shown[name(one)]) for part in parts for one in resources(part.data))
    assert last.data["total"] == whole["total"]
    assert last.data["meta"]["tag"][1:] == whole["meta"]["tag"]
    assert outcome(last.data) == outcome(whole)
    for part in parts:
        assert not any(one["resourceType"] in ("Patient", "Linkage") for one in resources(part.data))
        assert "total" not in part.data


async def hold_rows_against(stack: Stack, request_id: str, events: list[Event]) -> None:
    """The rows of the parts name together what the row of the whole names."""
    [one] = await releases(stack, request_id)
    live = await releases(stack, events[-1].id.partition("/")[0])
    assert len(live) == len(events)
    assert sum((Counter(row.seen) for row in live), Counter[str]()) == Counter(one.seen)
    assert sum((ids_of(row) for row in live), Counter[str]()) == ids_of(one)
    assert live[-1].sources.keys() == one.sources.keys()
    assert (live[-1].withheld, live[-1].outlined) == (one.withheld, one.outlined)
    assert (live[-1].relationship, live[-1].total) == (one.relationship, one.total)
    assert sorted(alarm for row in live for alarm in kinds_of(row)) == sorted(kinds_of(one))


async def releases(stack: Stack, request_id: str) -> list[Row]:
    kept = await stack.parts.store.rows(request_id=request_id, kinds=frozenset({Kind.RELEASE}))
    return [one.row for one in kept]


def ids_of(row: Row) -> Counter[str]:
    return Counter(f"{prefix}.{digest}" for prefix, digests in row.seen_ids.items() for digest in digests)


def kinds_of(row: Row) -> list[tuple[str, str]]:
    return [(alarm.source, alarm.kind) for alarm in row.alarms]


def name(one: Mapping[str, Any]) -> str:
    return f"{one['resourceType']}/{one['id']}"


def bare(one: Mapping[str, Any]) -> dict[str, Any]:
    """Without a narrative that says nothing which the resource doesn't, and without the tag that one was taken out."""
    is_generated = one.get("text", {}).get("status") == "generated"
    tags = [tag for tag in one["meta"]["tag"] if tag != SUBSETTED]
    kept = {key: value for key, value in one.items() if not (is_generated and key == "text")}
    return {**kept, "meta": {**one["meta"], "tag": tags}}
