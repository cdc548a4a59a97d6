"""How records are asked for: one by one, many at once, as fast as they come, or by the clock."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from statistics import median
from typing import Any, Final

import aiohttp

from tests.bench.figures import at_percent
from tests.bench.payload import MIXES
from tests.bench.world import Server

_CLINICAL: Final = frozenset(kind for mix in MIXES.values() for kind in mix)
_PATIENCE: Final = 120.0
_MUCH_THE_SAME: Final = 0.98


class Dishonest(Exception):
    """A server answered with something else than the record that the sources hold: its figures would mean nothing."""


@asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """Who asks. Its own processor time counts for nobody."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=_PATIENCE)
    headers = {"Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
        yield session


async def fetch(session: aiohttp.ClientSession, server: Server) -> bytes:
    """One record. Raises Dishonest for anything but a 200."""
    async with session.get(server.url, headers=server.headers) as answer:
        body = await answer.read()
        if answer.status != 200:
            raise Dishonest(f"{server.name} answered {answer.status}: {body[:300]!r}")
        return body


def resources_in(body: bytes) -> int:
    """How many clinical resources stand in an answer: in its Bundle, or in each of a list of Bundles."""
    read = json.loads(body)
    return sum(1 for kind in _types(read if isinstance(read, list) else [read]) if kind in _CLINICAL)


def _types(bundles: Iterable[dict[str, Any]]) -> Iterator[str]:
    for bundle in bundles:
        for entry in bundle.get("entry", ()):
            resource = entry.get("resource", {})
            if resource.get("type") in ("searchset", "batch-response"):
                yield from _types([resource])
            else:
                yield resource.get("resourceType", "")


async def warm(session: aiohttp.ClientSession, server: Server, expected: int, times: int = 3) -> int:
    """Ask a few times before anything is measured, and see that the answer is whole. Returns its bytes."""
    for _ in range(times - 1):
        await fetch(session, server)
    body = await fetch(session, server)
    if (found := resources_in(body)) != expected:
        raise Dishonest(f"{server.name} answered with {found} resources, and the sources hold {expected}")
    return len(body)


async def one_by_one(session: aiohttp.ClientSession, server: Server, times: int) -> list[float]:
    """Milliseconds of each."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        await fetch(session, server)
        found.append((time.perf_counter() - started) * 1000)
    return found


async def cost(session: aiohttp.ClientSession, server: Server, times: int) -> dict[str, float]:
    """Of records one by one: the median time, and processor time a record."""
    before = server.cpu_seconds()
    took = await one_by_one(session, server, times)
    spent = (server.cpu_seconds() - before) * 1000 / times
    return {"p50_ms": median(took), "cpu_ms": spent}


async def at_once(session: aiohttp.ClientSession, server: Server, together: int, whole: int) -> dict[str, float]:
    """So many records at the same moment: how many a second came, and how many did not come whole. `whole` is how many
    bytes a whole one has; an answer that lacks a source is shorter by far more than what differs from one to the next.
    """

    async def is_whole() -> bool:
        try:
            return len(await fetch(session, server)) >= whole * _MUCH_THE_SAME
        except Dishonest:
            return False

    started = time.perf_counter()
    came = await asyncio.gather(*(is_whole() for _ in range(together)))
    return {f"at{together}_rate": together / (time.perf_counter() - started), f"failed{together}": came.count(False)}


async def throughput(session: aiohttp.ClientSession, server: Server, workers: int, seconds: float) -> float:
    """Records a second where so many askers ask again as soon as they are answered."""
    done, until = 0, time.perf_counter() + seconds

    async def ask() -> None:
        nonlocal done
        while time.perf_counter() < until:
            await fetch(session, server)
            done += 1

    started = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(workers)))
    return done / (time.perf_counter() - started)


async def by_the_clock(
    session: aiohttp.ClientSession, server: Server, per_second: float, seconds: float
) -> dict[str, float]:
    """Open loop: records are asked for at their own times, however long those before them take; each one's time counts
    from when it was due."""
    start = time.perf_counter()

    async def due(moment: float) -> float:
        await asyncio.sleep(max(0.0, moment - time.perf_counter()))
        await fetch(session, server)
        return (time.perf_counter() - moment) * 1000

    arrivals = [start + number / per_second for number in range(max(2, round(per_second * seconds)))]
    took = await asyncio.gather(*(due(moment) for moment in arrivals))
    return {"p50_ms": median(took), "p99_ms": at_percent(took, 99)}
