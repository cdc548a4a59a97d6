"""The parts in force, and those that requests began with: a request that began on one generation ends on it.

The parts are swapped by one assignment. What they alone hold, the connections to sources, is closed when the last
request that began with them has been answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from gateway import log
from gateway.lifetime import close_sources
from gateway.parts import Parts


@dataclass(slots=True)
class _Generation:
    parts: Parts
    held: int = 0
    unheld: asyncio.Event = field(default_factory=asyncio.Event)


class Generations:
    """The generations of one process. Everything here runs on its event loop."""

    def __init__(self, first: Parts) -> None:
        self._newest = _Generation(first)
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def newest(self) -> Parts:
        """The parts that a request that begins now gets."""
        return self._newest.parts

    @contextmanager
    def hold(self) -> Iterator[Parts]:
        """The newest parts; they stay usable within the block, whatever comes into force."""
        generation = self._newest
        generation.held += 1
        try:
            yield generation.parts
        finally:
            generation.held -= 1
            if not generation.held:
                generation.unheld.set()

    def replace(self, parts: Parts) -> None:
        """From now on requests begin with these."""
        before, self._newest = self._newest, _Generation(parts)
        task = asyncio.create_task(self._leave(before))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def aclose(self) -> None:
        """Close what earlier generations still hold, whoever uses it."""
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    async def _leave(self, generation: _Generation) -> None:
        with suppress(asyncio.CancelledError):
            while generation.held:
                generation.unheld.clear()
                await generation.unheld.wait()
            await generation.parts.shadow.settled()
        await generation.parts.shadow.aclose()  # what is cut off here asks nobody over a connection that is closed
        await close_sources(generation.parts)
        log.event("generation.ended", policy_hash=generation.parts.policy.hash)
