"""Follows the journal in the background, row by row in order, and never past one that the copy doesn't hold.

A row is dealt with at least once: the position moves after the copy holds the row, so whatever is cut short is done
again. Among all who share a store, one follows under each name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from secrets import SystemRandom
from typing import Final

from gateway import log
from gateway.audit.followers.model import Copy, CopyFailed, CopyStopped, Followed
from gateway.errors import AuditUnavailable
from gateway.store.interface import Entry

POLL_SECONDS: Final = 1.0
"""How long a follower that has caught up waits before it looks again."""
OTHERS_SECONDS: Final = 5.0
"""How long it waits before it asks again whether whoever follows has gone."""
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 60.0
_MOST_DOUBLINGS: Final = 16
_CHANCE: Final = SystemRandom()
Pause = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class Following:
    """How a follower is doing. `last_error` is a sentence or a type, without identifiers; "" while all is well."""

    mine: bool = False
    position: int = 0
    failures: int = 0
    last_error: str = ""


def pause_after(failures: int) -> float:
    """Seconds before the next try: doubled each time, up to a minute, and spread by chance over its upper half, so
    that many gateways don't come back to a repository all at once."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, _MOST_DOUBLINGS))
    return _CHANCE.uniform(longest / 2, longest)


class Follower:
    """One copy and its place in the journal. `pause` waits; tests give one that doesn't."""

    def __init__(self, store: Followed, copy: Copy, *, pause: Pause = asyncio.sleep) -> None:
        self._store = store
        self._pause = pause
        self.copy = copy
        self.state = Following()

    async def run(self) -> None:
        """Follow until cancelled, whatever goes wrong."""
        while True:
            try:
                async with self._store.follow(self.copy.name) as mine:
                    self.state.mine = mine
                    if mine:
                        await self._follow()
            except Exception as error:
                await self._failed(error)
            else:
                await self._pause(OTHERS_SECONDS)
            finally:
                self.state.mine = False

    async def _follow(self) -> None:
        try:
            kept = await self._store.position(self.copy.name)
            position = self.state.position = await self.copy.begin(kept)
            if position != kept:
                await self._store.move_position(self.copy.name, position)
            while True:
                position = await self._step(position)
        finally:
            await self.copy.end()

    async def _step(self, position: int) -> int:
        """Copy what comes after the position; returns the new one. Whoever has caught up waits, so that a busy journal
        is copied in large pieces and not row by row."""
        held, entries = position, await self._after(position)
        if entries:
            held = await self.copy.take(entries)
            await self._store.move_position(self.copy.name, held)
            self._moved(held)
        if held == position + len(entries) and len(entries) < self.copy.most:
            await self._pause(POLL_SECONDS)
        return held

    async def _after(self, position: int) -> list[Entry]:
        """The next rows, without a gap: a row that is missing from the store is never stepped over."""
        found: list[Entry] = []
        async for batch in self._store.entries(after=position, until=position + self.copy.most):
            found += batch
        for expected, entry in enumerate(found, position + 1):
            if entry.leaf.seq != expected:
                raise CopyStopped("a row is missing from the journal", expected)
        return found

    def _moved(self, position: int) -> None:
        if self.state.failures:
            log.event("audit.copy-recovered", kind=self.copy.name, attempt=self.state.failures, row=position)
        self.state.position, self.state.failures, self.state.last_error = position, 0, ""

    async def _failed(self, error: Exception) -> None:
        self.state.failures += 1
        self.state.last_error = said = _said(error)
        name, attempt = self.copy.name, self.state.failures
        if isinstance(error, CopyStopped):
            level, row = logging.ERROR, error.row
            log.failed("audit.copy-stopped", error, level=level, kind=name, attempt=attempt, row=row, detail=said)
        else:
            log.failed("audit.copy-failed", error, kind=name, attempt=attempt, detail=said)
        await self._pause(pause_after(self.state.failures))


def _said(error: Exception) -> str:
    """Our own words, or the error's type: another library's text may quote what it choked on."""
    if isinstance(error, CopyFailed):
        return str(error)
    if isinstance(error, AuditUnavailable):
        return "the journal can't be read"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__


class Followers:
    """All copies of one gateway, each in a task of its own."""

    def __init__(self, followers: Sequence[Follower]) -> None:
        self.all = tuple(followers)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to follow. Needs a running loop."""
        self._tasks = [asyncio.create_task(each.run(), name=f"audit-{each.copy.name}") for each in self.all]

    async def aclose(self) -> None:
        """Stop, and wait until nothing of it is under way: what wasn't copied is copied after the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for each in self.all:
            await each.copy.aclose()
