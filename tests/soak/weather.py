"""Sources that fall ill and get well at random, each by itself."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from connectors.kit import bodies
from connectors.kit.exchange import Fault
from connectors.kit.fault_server import (
    FaultServer,
    blackhole,
    changed,
    drip,
    latency,
    redirect,
    reset,
    saying,
    status,
    truncate,
    well,
)

ILLNESSES: Final[Mapping[str, Callable[[], Fault]]] = {
    "slow": lambda: latency(0.3),
    "hung": lambda: blackhole,
    "dripping": lambda: drip(0.05),
    "reset": lambda: reset,
    "cut short": truncate,
    "unwell": lambda: status(500),
    "busy": lambda: status(429),
    "refusing": lambda: status(403),
    "redirecting": redirect,
    "corrupt": lambda: changed(bodies.corrupt),
    "a page to sign in": lambda: saying(b"<!doctype html>"),
    "deep": lambda: saying(bodies.deep()),
}
_WELL_SECONDS: Final = (2.0, 12.0)
_ILL_SECONDS: Final = (1.0, 8.0)


@asynccontextmanager
async def weather(sources: Mapping[str, FaultServer], seed: int) -> AsyncIterator[Counter[str]]:
    """While the block runs. Yields how often each illness came; at the end all are well again."""
    came: Counter[str] = Counter()
    tasks = [asyncio.create_task(_of(server, random.Random(f"{seed}-{ods}"), came)) for ods, server in sources.items()]
    try:
        yield came
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in sources.values():
            server.fault = well


async def _of(server: FaultServer, chance: random.Random, came: Counter[str]) -> None:
    while True:
        server.fault = well
        await asyncio.sleep(chance.uniform(*_WELL_SECONDS))
        illness = chance.choice(list(ILLNESSES))
        came[illness] += 1
        server.fault = ILLNESSES[illness]()
        await asyncio.sleep(chance.uniform(*_ILL_SECONDS))
