"""Reading the journal, which is itself journalled: the row that says who read is on the disk before anyone reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.audit.journal import Journal
from gateway.audit.row import Kind, Row
from gateway.caller.model import Caller
from gateway.choice.may import READ_AUDIT, May, demand
from gateway.choice.number import nhs_number_of
from gateway.errors import BadRequest, NotFound
from gateway.sealed import Sealer
from gateway.store.interface import Kept, Store

MOST_ON_A_PAGE: Final = 500
_MOST_READINGS: Final = 20
"""How often one page reads on where rows are sifted: a page may then hold fewer than were asked for, or none."""
Keep = Callable[[Row], bool]


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows: about one patient, by one person, from one organisation, of some kinds, in a time. At least one.

    `since` is inclusive, `until` exclusive. `sifted` says in words what else they must be, where the reading is given a
    `Keep`.
    """

    nhs_number: str | None = None
    user_id: str | None = None
    organisation: str | None = None
    kinds: frozenset[Kind] | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    sifted: str = ""

    @property
    def said(self) -> str:
        """For the audit row: what was asked for. The patient is in the row's own field."""
        named = (
            ("user", self.user_id),
            ("organisation", self.organisation),
            ("kinds", ",".join(sorted(self.kinds)) if self.kinds else None),
            ("request", self.request_id),
            ("since", self.since and self.since.isoformat()),
            ("until", self.until and self.until.isoformat()),
        )
        return " ".join([*(f"{name}={value}" for name, value in named if value), self.sifted]).strip()


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in order, `after` to go on from (None on the last page), and `before`: where the journal ended when the
    reading began, so that the rows which the reading itself adds never make it endless."""

    rows: tuple[Kept, ...]
    after: int | None
    before: int


class AuditReader:
    """Lets those read whom policy lets (privacy officers); refuses others, and that's a row too."""

    def __init__(self, store: Store, sealer: Sealer, journal: Journal, may: May) -> None:
        self._store = store
        self._sealer = sealer
        self._journal = journal
        self._may = may

    async def read(
        self,
        caller: Caller,
        query: Query,
        request_id: str,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int = 100,
        door: str = "POST /audit/_search",
        keep: Keep | None = None,
    ) -> Page:
        """One page. For the next, hand back the page's `after` and `before`. `keep` sifts what the query finds.

        Raises Refusal, BadRequest for a query that names nothing or a page size that isn't offered, and
        AuditUnavailable where the reading itself can't be journalled.
        """
        async with self._journal.refusals(caller, request_id, door, nhs_number=query.nhs_number):
            demand(self._may, READ_AUDIT, caller)
            patient = nhs_number_of(query.nhs_number) if query.nhs_number is not None else None
            _check(query, limit)
        row = self._journal.row(
            Kind.AUDIT_READ, caller, request_id, door, nhs_number=patient, subject=f"{query.said} after={after}".strip()
        )
        written = await self._journal.append(row)
        return await self._page(query, patient, after, before or written, limit, keep)

    async def one(self, caller: Caller, seq: int | None, request_id: str, *, door: str) -> Kept:
        """The row with this number. That it was read, and about whom it is, is on the disk before it is returned.

        Raises Refusal, and NotFound where there is no such row, or it was erased.
        """
        async with self._journal.refusals(caller, request_id, door):
            demand(self._may, READ_AUDIT, caller)
            rows = await self._store.rows(after=seq - 1, before=seq + 1, limit=1) if seq else []
            if not rows:
                raise NotFound("There is no such row in the audit, or it was erased.", rule="audit.no-such-row")
        (kept,) = rows
        sealed = kept.row.sealed_patient
        patient = self._sealer.open_patient(sealed) if sealed else None
        subject = f"row={kept.seq}"
        await self._journal.append(
            self._journal.row(Kind.AUDIT_READ, caller, request_id, door, nhs_number=patient, subject=subject)
        )
        return kept

    async def _page(
        self, query: Query, patient: str | None, after: int, before: int, limit: int, keep: Keep | None
    ) -> Page:
        found: list[Kept] = []
        for _ in range(_MOST_READINGS):
            rows = await self._rows(query, patient, after, before, limit + 1)
            found += [kept for kept in rows if keep is None or keep(kept.row)]
            if len(found) > limit:
                return Page(tuple(found[:limit]), found[limit - 1].seq, before)
            if len(rows) <= limit:
                return Page(tuple(found), None, before)
            after = rows[-1].seq
        return Page(tuple(found), after, before)

    async def _rows(self, query: Query, patient: str | None, after: int, before: int, limit: int) -> list[Kept]:
        return await self._store.rows(
            patient=self._sealer.patient_tag(patient) if patient else None,
            kinds=query.kinds,
            user_id=query.user_id,
            organisation=query.organisation,
            request_id=query.request_id,
            since=query.since,
            until=query.until,
            after=after,
            before=before,
            limit=limit,
        )


def _check(query: Query, limit: int) -> None:
    if query == Query() or query.kinds == frozenset():
        raise BadRequest(
            "Say which rows: by patient, user, organisation, kind, request or time.", rule="audit.query-empty"
        )
    if not 1 <= limit <= MOST_ON_A_PAGE:
        raise BadRequest(f"A page has 1 to {MOST_ON_A_PAGE} rows.", rule="audit.page-size", expression="limit")
