"""Reading the journal, which is itself journalled: the row that says who read is on the disk before anyone reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.audit.journal import Journal
from gateway.audit.row import Kind
from gateway.caller.model import Caller
from gateway.choice.may import READ_AUDIT, May, demand
from gateway.choice.number import nhs_number_of
from gateway.errors import BadRequest
from gateway.sealed import Sealer
from gateway.store.interface import Kept, Store

MOST_ON_A_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows: about one patient, by one person, from one organisation, of some kinds, in a time. At least one.

    `since` is inclusive, `until` exclusive.
    """

    nhs_number: str | None = None
    user_id: str | None = None
    organisation: str | None = None
    kinds: frozenset[Kind] | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

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
        return " ".join(f"{name}={value}" for name, value in named if value)


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
    ) -> Page:
        """One page. For the next, hand back the page's `after` and `before`.

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
        return await self._page(query, patient, after, before or written, limit)

    async def _page(self, query: Query, patient: str | None, after: int, before: int, limit: int) -> Page:
        rows = await self._store.rows(
            patient=self._sealer.patient_tag(patient) if patient else None,
            kinds=query.kinds,
            user_id=query.user_id,
            organisation=query.organisation,
            request_id=query.request_id,
            since=query.since,
            until=query.until,
            after=after,
            before=before,
            limit=limit + 1,
        )
        page = tuple(rows[:limit])
        return Page(page, page[-1].seq if len(rows) > limit else None, before)


def _check(query: Query, limit: int) -> None:
    if query == Query() or query.kinds == frozenset():
        raise BadRequest(
            "Say which rows: by patient, user, organisation, kind, request or time.", rule="audit.query-empty"
        )
    if not 1 <= limit <= MOST_ON_A_PAGE:
        raise BadRequest(f"A page has 1 to {MOST_ON_A_PAGE} rows.", rule="audit.page-size", expression="limit")
