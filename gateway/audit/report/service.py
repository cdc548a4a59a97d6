"""Makes access reports for those whom policy lets: privacy officers, and patients of themselves. Others are refused,
and that's a row too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway import log
from gateway.audit.checkpoints import LogForked
from gateway.audit.journal import Journal
from gateway.audit.log.checkpoint import NotSigned, open_note
from gateway.audit.log.notary import NoSignature
from gateway.audit.log.patient_map import MapDamaged
from gateway.audit.log.signer import SignerAhead
from gateway.audit.report.make import NotProven, ReportMaker
from gateway.audit.report.model import Period, Report
from gateway.audit.report.opened import is_moment
from gateway.audit.row import Kind
from gateway.caller.model import Caller
from gateway.choice.may import MAKE_REPORT, May, demand_about
from gateway.errors import BadRequest
from gateway.store.kept import LogDamaged

DOOR: Final = "POST /access-reports"
_MOMENT: Final = 0.05
_STEPS: Final = 20
"""Checkpoints at most that one report waits for: each takes in some thousands of rows."""


@dataclass(frozen=True, slots=True)
class Reports:
    """The reports of one gateway. `checkpoint` signs what isn't signed yet, and says whether there was any; one that is
    younger than `fresh` is new enough for a page."""

    maker: ReportMaker
    journal: Journal
    may: May
    checkpoint: Callable[[], Awaitable[bool]]
    fresh: timedelta = timedelta(0)

    async def make(
        self,
        caller: Caller,
        nhs_number: str,
        period: Period,
        request_id: str,
        *,
        door: str = DOOR,
        is_page: bool = False,
    ) -> Report:
        """The report, whose last line says that it was made, by whom. That row is on the disk before anything is read.

        `is_page`: nobody keeps it as a proof. Whoever loads their page again and again has nothing signed then: lines
        that are newer than a checkpoint of just now stand there all the same, as not proven yet.

        Raises Refusal, BadRequest for a wrong NHS number or a period in which nothing can be, and NotProven where the
        journal can't be proven.
        """
        async with self.journal.refusals(caller, request_id, door, nhs_number=nhs_number):
            patient = demand_about(self.may, MAKE_REPORT, caller, nhs_number)
            _check(period)
        row = self.journal.row(
            Kind.AUDIT_READ, caller, request_id, door, nhs_number=patient, subject=f"access report{_said(period)}"
        )
        seq = await self.journal.append(row)
        if not (is_page and await self._is_fresh()):
            await self._sign_up_to(seq)
        try:
            return await self.maker.make(patient, period)
        except NotProven:
            # Rows may just have been erased: the row that says so is proven by the next checkpoint.
            await self._sign_up_to(await self.maker.store.log_size())
            return await self.maker.make(patient, period)

    async def _is_fresh(self) -> bool:
        """Whether a checkpoint was just signed. Raises NotProven where the newest isn't ours."""
        kept = await self.maker.store.newest_checkpoint()
        try:
            return kept is not None and self.maker.clock() - open_note(kept.note, self.maker.public).at < self.fresh
        except NotSigned as error:
            raise NotProven(str(error)) from error

    async def _sign_up_to(self, seq: int) -> None:
        """Have all rows up to this one signed. Where nobody signs now, the report says what isn't proven yet; where the
        journal isn't the one that was signed before, there is none."""
        trouble: Exception | None = None
        for _ in range(_STEPS):
            newest = await self.maker.store.newest_checkpoint()
            if newest is not None and newest.size >= seq:
                return
            try:
                if not await self.checkpoint():
                    return
            except (SignerAhead, MapDamaged) as error:
                trouble = error  # others sign at the same moment, and what they signed is about to be kept
                await asyncio.sleep(_MOMENT)
            except NoSignature as error:
                trouble = error
                break
            except (LogForked, LogDamaged, NotSigned) as error:
                raise NotProven(str(error)) from error
        if trouble is not None:
            log.failed("report.not-signed", trouble, alarm="checkpoint-failed")


def _check(period: Period) -> None:
    for name, moment in (("since", period.since), ("until", period.until)):
        if moment is not None and not is_moment(moment):
            raise BadRequest(
                f"{name} must be a time of our days, with its time zone: 2026-05-03T00:00:00Z.",
                rule="report.period",
                expression=name,
            )
    if period.since is not None and period.until is not None and period.since >= period.until:
        raise BadRequest("since must be before until.", rule="report.period", expression="since")


def _said(period: Period) -> str:
    named: tuple[tuple[str, datetime | None], ...] = (("since", period.since), ("until", period.until))
    return "".join(f" {name}={moment.isoformat()}" for name, moment in named if moment is not None)
