"""Looks that weren't about anything that could show a care relationship (a search for medicines, say): looked at again
once the caller has had the time to show one.

A follower of the journal. A quarter of an hour after such a look it asks whether the same caller had another look at
the same patient that does show a relationship; where there is none, a case is opened, as it would have been at a look
at everything. Otherwise whoever asks for little enough would never be noticed. It may run in any number of workers.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final, Protocol

import msgspec

from gateway import log
from gateway.audit.bound import bound_to
from gateway.audit.row import Kind, Row
from gateway.desk.cases import new_case
from gateway.desk.model import JUDGED, CaseKind
from gateway.relationship import Evidence
from gateway.store.interface import CaseStore, FollowerStore, JournalStore, Kept
from gateway.store.moments import Clock

FOLLOWER: Final = "desk.care-relationship"
DOOR: Final = "(care relationship)"
GRACE: Final = timedelta(minutes=15)
_AROUND: Final = timedelta(hours=12)
"""How far back a look that shows a relationship speaks for a later one: a shift."""
_EVERY_SECONDS: Final = 60.0
_PAGE: Final = 500
_KINDS: Final = frozenset({CaseKind.NO_RELATIONSHIP})
_RELEASED: Final = frozenset({Kind.RELEASE})
_SHOWN: Final = frozenset(word.value for word in Evidence if word.is_shown)


class _Followed(JournalStore, CaseStore, FollowerStore, Protocol):
    pass


class FollowUp:
    """Reads the journal behind the present, and opens what should have been opened."""

    def __init__(self, store: _Followed, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow, once a minute, until `aclose`."""
        self._task = asyncio.create_task(self._follow())

    async def aclose(self) -> None:
        """Stop. What isn't dealt with is dealt with after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            try:
                async with self._store.follow(FOLLOWER) as mine:
                    if mine:  # one among all workers: the others would read every row once more
                        await self.catch_up()
            except Exception as error:  # the store is away, say: the position stands, and the next minute tries again
                log.failed("desk.follow-up-failed", error)
            await asyncio.sleep(_EVERY_SECONDS)

    async def catch_up(self) -> int:
        """Deal with every look that is old enough; how many cases were opened. Raises AuditUnavailable."""
        opened, until = 0, self._clock() - GRACE
        after = await self._store.position(FOLLOWER)
        while page := await self._store.rows(kinds=_RELEASED, until=until, after=after, limit=_PAGE):
            for kept in _one_of_each(page):
                opened += await self._deal_with(kept.row)
            after = page[-1].seq
            await self._store.move_position(FOLLOWER, after)
        return opened

    async def _deal_with(self, row: Row) -> bool:
        if row.patient is None or await self._is_judged_elsewhere(row) or await self._is_judged(row):
            return False
        now = self._clock()
        written = msgspec.structs.replace(_about(row), at=now)
        case = new_case(CaseKind.NO_RELATIONSHIP, written)
        return await self._store.open_case(
            case, msgspec.structs.replace(written, cases=[case.id], bound=bound_to(case))
        )

    async def _is_judged_elsewhere(self, row: Row) -> bool:
        """Whether another look shows a relationship, or this one went on in further parts that could tell."""
        who, after = row.who, 0
        while who is not None:
            page = await self._store.rows(
                patient=row.patient,
                kinds=_RELEASED,
                user_id=who.user_id,
                organisation=who.organisation,
                since=row.at - _AROUND,
                until=row.at + GRACE,
                after=after,
                limit=_PAGE,
            )
            if any(kept.row.relationship in _SHOWN or _is_end_of(row, kept.row) for kept in page):
                return True
            if len(page) < _PAGE:
                return False
            after = page[-1].seq
        return False

    async def _is_judged(self, row: Row) -> bool:
        """Whether a privacy officer has judged such a case since the look."""
        who, after = row.who, 0
        while who is not None:
            page = await self._store.cases(
                status=JUDGED,
                kinds=_KINDS,
                patient=row.patient,
                organisation=who.organisation,
                after=after,
                limit=_PAGE,
            )
            judged = (file.judged_at for _, file in page if file.case.caller == who.key)
            if any(at is not None and at >= row.at for at in judged):
                return True
            if len(page) < _PAGE:
                return False
            after = page[-1][0]
        return False


def _is_end_of(part: Row, other: Row) -> bool:
    """Whether the other row ends the look of which this is a part: what that one says was judged on the whole."""
    same = part.intent is not None and other.intent == part.intent
    return same and other.relationship not in ("", Evidence.NOT_ASKED)


def _one_of_each(page: list[Kept]) -> list[Kept]:
    """The last of each caller's unasked looks at each patient: one case is enough."""
    last: dict[tuple[str, str | None], Kept] = {}
    for kept in page:
        if kept.row.relationship == Evidence.NOT_ASKED and kept.row.who is not None:
            last[kept.row.who.key, kept.row.patient] = kept
    return list(last.values())


def _about(row: Row) -> Row:
    """The row of a case about an earlier look: the same caller, patient and request, and nothing of what was seen."""
    return Row(
        kind=Kind.CASE_OPENED,
        request_id=row.request_id,
        at=row.at,
        door=DOOR,
        who=row.who,
        patient=row.patient,
        sealed_patient=row.sealed_patient,
        permission=row.permission,
        basis=row.basis,
        scope=row.scope,
        policy_hash=row.policy_hash,
        relationship=row.relationship,
    )
