"""The rows of those who are refused for asking too much: one a minute for each, which counts the rest.

A refusal is a row like every other. But whoever sends ten thousand requests a minute must not write ten thousand rows:
the journal is on every look's way, and each row costs a place in it for years.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway import log
from gateway.audit.journal import Journal
from gateway.audit.row import Kind
from gateway.caller.model import Caller, KnownCaller
from gateway.errors import GatewayError, TooMany
from gateway.fair_use.count import person_key
from gateway.store.moments import Clock

EVERY: Final = timedelta(minutes=1)
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Storm:
    """One caller's refusals since the last row: how many by rule, and what the next row names."""

    key: str
    caller: Caller | KnownCaller
    begun: datetime
    latest: TooMany
    request_id: str
    door: str
    uncounted: Counter[str] = field(default_factory=Counter)

    def is_over(self, now: datetime) -> bool:
        """Whether its minute is. A clock that was set back makes that minute begin anew, and none longer."""
        self.begun = min(self.begun, now)
        return now >= self.begun + EVERY


class Storms:
    """Journals refusals for fair use, bounded. A worker knows its own storms only."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._storms: dict[str, _Storm] = {}
        self._task: asyncio.Task[None] | None = None

    async def refused(self, error: TooMany, caller: Caller | KnownCaller, request_id: str, door: str) -> None:
        """The first refusal of a caller is a row before it's an answer, and so is the first of every later minute.
        The others are counted, into the next row. Raises AuditUnavailable."""
        key = _key(caller)
        storm = self._storms.get(key)
        if storm is not None:
            storm.latest, storm.request_id, storm.door = error, request_id, door
            storm.uncounted[error.rule] += 1
            if not storm.is_over(self._clock()):
                error.journalled = 0  # counted: nobody further out writes it as a row of its own
                return
        else:
            storm = _Storm(key, caller, self._clock(), error, request_id, door, Counter({error.rule: 1}))
            self._storms[key] = storm
            self._watch()
        error.journalled = await self._write(storm)

    async def tidy(self) -> None:
        """Write what was counted of each storm whose minute is over; forget those that are over themselves."""
        over = [storm for storm in self._storms.values() if storm.is_over(self._clock())]
        for storm in over:
            if storm.uncounted:
                await self._write_in_peace(storm)
            else:
                self._storms.pop(storm.key, None)

    async def aclose(self) -> None:
        """Write what was counted until now."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for storm in self._storms.values():
            if storm.uncounted:
                await self._write_in_peace(storm)

    async def _write(self, storm: _Storm) -> int:
        counted, storm.uncounted, storm.begun = storm.uncounted, Counter(), self._clock()
        row = self._journal.row(
            Kind.REFUSAL,
            storm.caller,
            storm.request_id,
            storm.door,
            status=storm.latest.status,
            rule=storm.latest.rule,
            detail=_told(counted, storm.latest),
        )
        try:
            return await self._journal.append(row)
        except BaseException:
            storm.uncounted += counted
            storm.begun = _LONG_AGO  # the next one tries again: it isn't merely counted
            raise

    async def _write_in_peace(self, storm: _Storm) -> None:
        try:
            await self._write(storm)
        except GatewayError as error:
            log.failed("fair-use.not-journalled", error)

    def _watch(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._tidying())

    async def _tidying(self) -> None:
        while self._storms:
            await asyncio.sleep(EVERY.total_seconds())
            await self.tidy()


def _key(caller: Caller | KnownCaller) -> str:
    """A caller in one role. Somebody who was refused in whichever role is one storm: they could name any."""
    return caller.key if isinstance(caller, Caller) else person_key(caller)


def _told(counted: Counter[str], latest: TooMany) -> str:
    """The number of requests that this row stands for, by rule; and the limit that the last one met."""
    each = ", ".join(f"{count} by {rule}" for rule, count in sorted(counted.items()))
    return f"refused since the row before: {each}; {latest.detail}"
