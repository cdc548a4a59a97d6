"""One of three sources is hung, or storms: what the others' part, and other people's work, suffer."""

from __future__ import annotations

import asyncio
import json
import time
from statistics import median
from typing import Any, Final

import aiohttp

from tests.bench.figures import Rounds
from tests.bench.load import client, cost, fetch, resources_in, throughput, warm
from tests.bench.scenarios.scenario import Found, Scenario
from tests.bench.scenarios.waited import direct
from tests.bench.world import Held, Server, Sources, World

_DEADLINE: Final = 1.0
_NEVER: Final = 100_000
"""Failures in a row until a source is left alone. Here it never is: every record waits for it as the first one does."""
_OPEN_LOOKS: Final = 4
"""Whole records that are always under way beside the work of others."""
_SECONDS: Final = 3.0
_STREAMS: Final = 3
_PATIENT_ALONE: Final = frozenset({"Patient", "OperationOutcome"})


async def first_part(session: aiohttp.ClientSession, server: Server) -> float | None:
    """Ask for the record part by part: milliseconds until the first part with anything clinical in it. None where none
    came, or where the server answers with one Bundle instead."""
    started = time.perf_counter()
    headers = {**server.headers, "Accept": "text/event-stream"}
    async with session.get(server.url, headers=headers) as answer:
        if answer.content_type != "text/event-stream":
            await answer.read()
            return None
        came, found = b"", None
        async for chunk in answer.content.iter_any():
            took = (time.perf_counter() - started) * 1000  # whoever asks a source directly doesn't read it yet either
            *events, came = (came + chunk).split(b"\n\n")
            if found is None and any(_is_clinical(event) for event in events):
                found = took
        return found


def _is_clinical(event: bytes) -> bool:
    """Whether a part, a Bundle, holds more than who the patient is."""
    data = b"".join(line[5:] for line in event.split(b"\n") if line.startswith(b"data:"))
    entries = json.loads(data).get("entry", ()) if data else ()
    return any(entry["resource"]["resourceType"] not in _PATIENT_ALONE for entry in entries)


async def one_hung(world: World, rounds: int) -> Found:
    """Whole records end at the deadline; what was there before comes at once; others don't notice."""
    held = Held(each=100, delay_ms=50)
    sources = world.sources(held)
    server = await world.gateway("sqlite", sources, deadline=_DEADLINE, breaker_failures=_NEVER)
    found, notes = Rounds(), []
    async with client() as session:
        await warm(session, server, held.expected)
        item = await _one_item(session, server, sources)
        for _ in range(rounds):
            fastest = median([await direct(session, sources) for _ in range(5)])
            found.add("others-well", {"read_rate": await _others(session, server, item)})
            sources.behave(sources.last, "hung")
            found.add("others-hung", {"read_rate": await _others(session, server, item)})
            found.add("sqlite", {"past_deadline_ms": await _past_deadline(session, server, held)})
            if parts := [part for _ in range(_STREAMS) if (part := await first_part(session, server)) is not None]:
                found.add("fastest", {"first_ms": fastest})
                found.add("sqlite", {"first_ms": median(parts)})
            sources.behave(sources.last, "well")
    others = found.ratio("others-hung", "others-well", "read_rate")
    figures = found.figures() | others | found.ratio("sqlite", "fastest", "first_ms")
    if "sqlite.first_ms" not in figures:
        notes.append("a record part by part (text/event-stream) is not offered: its first section was not measured")
    return Found(figures, notes)


async def _one_item(session: aiohttp.ClientSession, server: Server, sources: Sources) -> Server:
    """Somebody else's work: one item of a source that is well, read by its id."""
    bundle = json.loads(await fetch(session, server))
    of_first = next(
        entry["fullUrl"]
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == "Condition" and _is_of(entry["resource"], next(iter(sources.addresses)))
    )
    return Server("others", of_first, server.pids, server.headers)


def _is_of(resource: dict[str, Any], ods: str) -> bool:
    return ods in json.dumps(resource.get("meta", {}))


async def _others(session: aiohttp.ClientSession, server: Server, item: Server) -> float:
    """Reads a second of one item, while whole records are asked for at a steady pace, whether or not a source hangs.
    Each of those is waited for, so that nothing of it is left for what is measured next."""
    pace, over = _DEADLINE / _OPEN_LOOKS, asyncio.Event()

    async def steadily() -> None:
        async with asyncio.TaskGroup() as looks:
            while not over.is_set():
                looks.create_task(fetch(session, server))
                await asyncio.sleep(pace)

    beside = asyncio.create_task(steadily())
    try:
        return await throughput(session, item, _OPEN_LOOKS, _SECONDS)
    finally:
        over.set()
        await beside


async def _past_deadline(session: aiohttp.ClientSession, server: Server, held: Held) -> float:
    """Milliseconds that a record with a hung source takes beyond the deadline; the others' part must be there."""
    started = time.perf_counter()
    body = await fetch(session, server)
    took = (time.perf_counter() - started - _DEADLINE) * 1000
    if (there := resources_in(body)) != held.expected * 2 // 3:
        raise RuntimeError(f"{there} resources came, and not those of the two sources that answer")
    return took


async def one_storming(world: World, rounds: int) -> Found:
    """A source that refuses every call at once: what the record costs then, retries and all."""
    held = Held(each=100, delay_ms=50)
    sources = world.sources(held)
    server = await world.gateway("sqlite", sources, breaker_failures=_NEVER)
    found = Rounds()
    async with client() as session:
        await warm(session, server, held.expected)
        for _ in range(rounds):
            found.add("well", await cost(session, server, 5))
            sources.behave(sources.last, "storming")
            sources.calls()
            found.add("storming", await cost(session, server, 5))
            found.add("storming", {"calls": sources.calls()[sources.last] / 5})
            sources.behave(sources.last, "well")
            await fetch(session, server)
    ratios = found.ratio("storming", "well", "cpu_ms") | found.ratio("storming", "well", "p50_ms")
    return Found(found.figures() | ratios)


SCENARIOS: Final = (
    Scenario("one-hung", "one of three sources at 50 ms takes calls and never answers", one_hung),
    Scenario("one-storming", "one of three sources at 50 ms refuses every call at once", one_storming),
)
