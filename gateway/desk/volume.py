"""Unusual volume: somebody who looks at more patients in a day than their work explains.

Counted after a release, beside it: a count costs more the more somebody looked, and no patient's record waits for it.
Who asks for more than fair use allows (`gateway.fair_use`) is such a somebody too, whether or not anything was shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import msgspec

from gateway import log
from gateway.audit.bound import bound_to
from gateway.audit.journal import Journal
from gateway.audit.row import Kind
from gateway.caller.model import Caller
from gateway.desk.cases import new_case
from gateway.desk.model import JUDGED, CaseKind
from gateway.store.interface import CaseStore, JournalStore
from gateway.store.moments import Clock

WINDOW: Final = timedelta(hours=24)
DOOR: Final = "(unusual volume)"
_PAGE: Final = 200
_QUIET: Final = timedelta(minutes=5)
"""How long nobody counts again for whom a case is open: each look would only find that it is."""
_MOST_QUIET: Final = 4096
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class _Counted(JournalStore, CaseStore, Protocol):
    pass


class Volume:
    """Counts the patients whom each caller saw in the last 24 hours. Over `most` opens a case, once until it's judged;
    what a judged case was about is not counted again."""

    def __init__(self, store: _Counted, journal: Journal, clock: Clock, most: int) -> None:
        self._store = store
        self._journal = journal
        self._clock = clock
        self._most = most
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: dict[str, tuple[Caller, str]] = {}
        self._over: dict[str, tuple[Caller, str, str]] = {}
        self._quiet: dict[str, datetime] = {}

    def seen(self, caller: Caller, request_id: str) -> None:
        """The caller was shown a record. Returns at once; one count at a time for each caller, and always a last one
        after the last release."""
        self._again[caller.key] = (caller, request_id)
        self._begin(caller.key)

    def exceeded(self, caller: Caller, request_id: str, detail: str) -> None:
        """The caller asks for more than fair use allows, as `detail` says. Returns at once; opens a case, once until
        it's judged."""
        self._over[caller.key] = (caller, request_id, detail)
        self._begin(caller.key)

    def _begin(self, key: str) -> None:
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._count(key))

    async def settled(self) -> None:
        """Wait until everything that was released is counted."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def aclose(self) -> None:
        """Count what was released until now."""
        await self.settled()

    async def _count(self, key: str) -> None:
        try:
            while key in self._over or key in self._again:
                if over := self._over.pop(key, None):
                    await self._in_peace(self._open_unless_quiet(*over))
                if latest := self._again.pop(key, None):
                    await self._in_peace(self.check(*latest))
        finally:
            self._tasks.pop(key, None)

    async def _in_peace(self, checking: Awaitable[bool]) -> None:
        """The look is over and on the disk: what fails here fails nobody, and the next look is counted again."""
        try:
            await checking
        except Exception as error:
            log.failed("desk.volume-not-counted", error)

    async def check(self, caller: Caller, request_id: str) -> bool:
        """True where a case was opened. Raises AuditUnavailable."""
        if self._is_quiet(caller):
            return False
        since = self._clock() - WINDOW
        if await self._store.patients_seen(caller.key, since) <= self._most:
            return False
        judged = await self._last_judged(caller)
        if judged is not None and judged > since:
            since = judged
        count = await self._store.patients_seen(caller.key, since)
        detail = f"{count} patients within 24 hours, over {self._most}"
        return count > self._most and await self._open(caller, request_id, detail)

    def _is_quiet(self, caller: Caller) -> bool:
        return self._clock() < self._quiet.get(caller.key, _LONG_AGO)

    async def _open_unless_quiet(self, caller: Caller, request_id: str, detail: str) -> bool:
        return not self._is_quiet(caller) and await self._open(caller, request_id, detail)

    async def _open(self, caller: Caller, request_id: str, detail: str) -> bool:
        row = self._journal.row(Kind.CASE_OPENED, caller, request_id, DOOR, detail=detail)
        case = new_case(CaseKind.UNUSUAL_VOLUME, row)
        opened = await self._store.open_case(case, msgspec.structs.replace(row, cases=[case.id], bound=bound_to(case)))
        if len(self._quiet) >= _MOST_QUIET:
            self._quiet.clear()
        self._quiet[caller.key] = self._clock() + _QUIET
        return opened

    async def _last_judged(self, caller: Caller) -> datetime | None:
        """When the newest judged case about this caller's volume was judged."""
        after, newest = 0, None
        while True:
            page = await self._store.cases(
                status=JUDGED,
                kinds=frozenset({CaseKind.UNUSUAL_VOLUME}),
                organisation=caller.organisation,
                after=after,
                limit=_PAGE,
            )
            moments = [at for _, file in page if file.case.caller == caller.key and (at := file.judged_at)]
            newest = max([*moments, *([newest] if newest else [])], default=None)
            if len(page) < _PAGE:
                return newest
            after = page[-1][0]
