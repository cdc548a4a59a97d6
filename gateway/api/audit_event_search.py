"""How AuditEvents are searched: by patient, person, organisation, time, action and outcome; whatever else is refused.

They come in the order in which the journal holds them, oldest first: what is written while somebody turns the pages
comes after all that there is to show, so no event is shown twice or left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from connectors.sdk.model import ODS_SYSTEM
from gateway.api.authored import Authored, Listed
from gateway.api.authored_search import MOST_ON_A_PAGE, PAGE, R4, Cursors, count_of, patient_of, tokens_of
from gateway.audit.events.pattern import action_of, outcome_of
from gateway.audit.read import Page, Query
from gateway.audit.row import Row
from gateway.choice.may import READ_AUDIT
from gateway.sealed import Sealer
from gateway.search.dates import span
from gateway.search.parse import once
from gateway.search.query import Token
from gateway.search.refuse import repeated, wrong
from gateway.search.tokens import TokenTest

ACTIONS: Final = "http://hl7.org/fhir/audit-event-action"
OUTCOMES: Final = "http://hl7.org/fhir/audit-event-outcome"
_WHERE: Final = "AuditEvent can be searched by"
_USER: Final = re.compile(r"[!-{}~]{1,100}", re.ASCII)
_ODS: Final = re.compile(r"[A-Z0-9]{2,6}", re.ASCII)
_DATE: Final = re.compile(r"(eq|ge|gt|le|lt|sa|eb)?([0-9].*)", re.ASCII)
_MOST_DATES: Final = 2
_NAMES: Final = (
    "patient", "patient.identifier", "date", "agent", "agent.identifier", "action", "outcome", "_count", "_cursor",
    "_format",
)  # fmt: skip
_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
_FIRST_DAY: Final = timedelta(days=1)
"""`dates.span` counts days as Python's ordinals do, from 1."""

AUDIT_EVENT: Final = Authored(
    "AuditEvent",
    READ_AUDIT,
    "For privacy officers: the audit journal, oldest first, by IHE Basic Audit Log Patterns 1.1.4. Reading it is an "
    "event too. patient.identifier, with the NHS number's system, says the same as patient.",
    (
        Listed("patient", "reference", "The patient's NHS number", R4 + "AuditEvent-patient"),
        Listed("date", "date", "When; may be given twice, as a beginning and an end", R4 + "AuditEvent-date"),
        Listed("agent", "reference", "The id of the person who acted", R4 + "AuditEvent-agent"),
        Listed(
            "agent.identifier",
            "token",
            "The person who acted, with their issuer or without; or an organisation, with the system of ODS codes",
        ),
        Listed("action", "token", "C, R, U, D or E", R4 + "AuditEvent-action"),
        Listed("outcome", "token", "0, 4 or 8", R4 + "AuditEvent-outcome"),
        Listed("_count", "special", f"How many on a page, from 1 to {MOST_ON_A_PAGE}"),
        Listed("_cursor", "special", "The next page: take the link as it stands"),
        Listed("_format", "special", "json"),
    ),
)


@dataclass(frozen=True, slots=True)
class EventQuery:
    """A search, understood. `after` and `before` say where in the journal a later page is."""

    rows: Query
    issuer: str = ""
    actions: tuple[Token, ...] = ()
    outcomes: tuple[Token, ...] = ()
    count: int = PAGE
    pairs: tuple[tuple[str, str], ...] = ()
    after: int = 0
    before: int | None = None

    def wants(self, row: Row) -> bool:
        """What the journal isn't searched by itself."""
        return (
            (not self.issuer or (row.who is not None and row.who.issuer == self.issuer))
            and (not self.actions or TokenTest.of(self.actions).holds(action_of(row), ACTIONS))
            and (not self.outcomes or TokenTest.of(self.outcomes).holds(outcome_of(row), OUTCOMES))
        )


class EventPager:
    """Reads searches and makes links. A cursor holds the whole search, for its own caller and 15 minutes."""

    def __init__(self, sealer: Sealer, fhir_base: str, now: datetime, bound_to: str) -> None:
        self._cursors = Cursors(sealer, fhir_base, "AuditEvent", now, bound_to)

    def read(self, pairs: Sequence[tuple[str, str]]) -> EventQuery:
        """The search that the parameters ask for. Raises BadRequest, naming the parameter."""
        if all(name != "_cursor" for name, _ in pairs):
            return _query(pairs)
        state = self._cursors.opened(once(pairs, _WHERE, _NAMES))
        return replace(_query(state["q"]), after=state["a"], before=state["b"])

    def links(self, query: EventQuery, page: Page) -> dict[str, str]:
        """The page's links by relation."""
        cursors, pairs = self._cursors, query.pairs
        self_ = cursors.later(pairs, a=query.after, b=query.before) if query.before else cursors.first(pairs)
        more = {"next": cursors.later(pairs, a=page.after, b=page.before)} if page.after is not None else {}
        return {"self": self_, **more}


def _query(pairs: Sequence[tuple[str, str]]) -> EventQuery:
    dates = [value for name, value in pairs if name == "date"]
    if len(dates) > _MOST_DATES:
        raise repeated("date")
    given = once([pair for pair in pairs if pair[0] != "date"], _WHERE, _NAMES)
    since, until = _between(dates)
    user, issuer, organisation = _agent(given)
    return EventQuery(
        Query(
            nhs_number=patient_of(given),
            user_id=user or None,
            organisation=organisation or None,
            since=since,
            until=until,
            sifted=" ".join(f"{name}={given[name]}" for name in ("action", "outcome") if name in given),
        ),
        issuer,
        tokens_of(given, "action"),
        tokens_of(given, "outcome"),
        count_of(given, least=1),
        tuple((name, value) for name, value in pairs if name != "_format"),
    )


def _agent(given: dict[str, str]) -> tuple[str, str, str]:
    """(user id, issuer, organisation), "" for what isn't asked for."""
    user = given.get("agent", "").removeprefix("Practitioner/")
    issuer, bar, value = given.get("agent.identifier", "").rpartition("|")
    if issuer == ODS_SYSTEM:
        if not _ODS.fullmatch(value):
            raise wrong("agent.identifier", "takes an ODS code after the system of ODS codes.")
        organisation = value
    else:
        organisation = ""
        if user and value and user != value:
            raise wrong("agent", "and `agent.identifier` name different people.")
        user = user or value
    named = "agent" in given or ("agent.identifier" in given and not organisation)
    if (named and not _USER.fullmatch(user)) or (bar and not issuer):
        raise wrong("agent.identifier" if "agent.identifier" in given else "agent", "takes the id of a person.")
    return user, "" if organisation else issuer, organisation


def _between(dates: Sequence[str]) -> tuple[datetime | None, datetime | None]:
    """[from, to) of all that the dates allow."""
    since: list[datetime] = []
    until: list[datetime] = []
    for said in dates:
        once([("date", said)], _WHERE, _NAMES)
        match = _DATE.fullmatch(said)
        covered = span(match[2]) if match else None
        if match is None or covered is None:
            raise wrong("date", "takes a date or time, with eq, ge, gt, le, lt, sa or eb before it or without.")
        low, high = _moment(covered.low), _moment(covered.high)
        match match[1] or "eq":
            case "ge":
                since.append(low)
            case "gt" | "sa":
                since.append(high)
            case "le":
                until.append(high)
            case "lt" | "eb":
                until.append(low)
            case _:
                since.append(low)
                until.append(high)
    return max(since, default=None), min(until, default=None)


def _moment(nanoseconds: int) -> datetime:
    try:
        return _BEGINNING + (timedelta(microseconds=nanoseconds // 1000) - _FIRST_DAY)
    except OverflowError:
        raise wrong("date", "is beyond the years that can be counted.") from None
