"""How Consents are searched: by patient, and within that by status and category; whatever else is asked is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from gateway.api.authored import Authored, Listed
from gateway.api.authored_search import MOST_ON_A_PAGE, PAGE, R4, Cursors, count_of, patient_of, tokens_of
from gateway.choice.consent import STATES, Json
from gateway.choice.may import READ_CONSENTS
from gateway.errors import Gone
from gateway.sealed import Sealer
from gateway.search.parse import once
from gateway.search.query import Token
from gateway.search.refuse import wrong
from gateway.search.tokens import TokenTest

_WHERE: Final = "Consent can be searched by"
_RESULT: Final = ("_count", "_cursor", "_format")
_NAMES: Final = ("patient", "patient.identifier", "status", "category", *_RESULT)

CONSENT: Final = Authored(
    "Consent",
    READ_CONSENTS,
    "For privacy officers: every sharing choice and permission of one patient. patient.identifier, with the NHS "
    "number's system, says the same as patient.",
    (
        Listed("patient", "reference", "Required: the patient's NHS number", R4 + "clinical-patient"),
        Listed("status", "token", "active: in force; inactive: replaced, withdrawn or expired", R4 + "Consent-status"),
        Listed("category", "token", "IDSCL: sharing choices; INFA: permissions", R4 + "Consent-category"),
        Listed("_count", "special", f"How many on a page, up to {MOST_ON_A_PAGE}; 0 asks for their number alone"),
        Listed("_cursor", "special", "The next page: take the link as it stands"),
        Listed("_format", "special", "json"),
    ),
)


@dataclass(frozen=True, slots=True)
class ConsentQuery:
    """A search, understood. `after` is the id of the last Consent of the page before."""

    patient: str
    statuses: tuple[Token, ...] = ()
    categories: tuple[Token, ...] = ()
    count: int = PAGE
    pairs: tuple[tuple[str, str], ...] = ()
    after: str = ""

    def wants(self, consent: Json) -> bool:
        """Whether the Consent is one of those asked for."""
        if self.statuses and not TokenTest.of(self.statuses).holds(consent["status"], STATES):
            return False
        wanted = TokenTest.of(self.categories)
        return not self.categories or any(wanted.holds(category) for category in consent["category"])


@dataclass(frozen=True, slots=True)
class ConsentPage:
    """One page, the number of all matches, and its links by relation."""

    consents: tuple[Json, ...]
    total: int
    links: dict[str, str]


class ConsentPager:
    """Reads searches and cuts pages. A cursor holds the whole search, for its own caller and 15 minutes."""

    def __init__(self, sealer: Sealer, fhir_base: str, now: datetime, bound_to: str) -> None:
        self._cursors = Cursors(sealer, fhir_base, "Consent", now, bound_to)

    def read(self, pairs: Sequence[tuple[str, str]]) -> ConsentQuery:
        """The search that the parameters ask for. Raises BadRequest, naming the parameter."""
        given = once(pairs, _WHERE, _NAMES)
        if "_cursor" not in given:
            return _query(given)
        state = self._cursors.opened(given)
        return replace(_query(dict(state["q"])), after=state["a"])

    def page(self, query: ConsentQuery, consents: Sequence[Json]) -> ConsentPage:
        """The page that `query` is at, of all the patient's Consents, newest first.

        New ones come before the page's place, so those that follow it stay what they were. Raises Gone where the page
        before ended with one that isn't there any more.
        """
        found = [each for each in consents if query.wants(each)]
        begin = _begin(query.after, consents)
        rest = [each for each in consents[begin:] if query.wants(each)]
        links = {"self": self._self(query)}
        if query.count and len(rest) > query.count:
            links["next"] = self._cursors.later(query.pairs, a=rest[query.count - 1]["id"])
        return ConsentPage(tuple(rest[: query.count]), len(found), links)

    def _self(self, query: ConsentQuery) -> str:
        return self._cursors.later(query.pairs, a=query.after) if query.after else self._cursors.first(query.pairs)


def _begin(after: str, consents: Sequence[Json]) -> int:
    """After the last Consent of the page before."""
    if not after:
        return 0
    for place, each in enumerate(consents):
        if each["id"] == after:
            return place + 1
    raise Gone(
        "What the page before ended with is gone. Begin again with the first page of the search.",
        rule="search.cursor-stale",
        expression="http._cursor",
    )


def _query(given: dict[str, str]) -> ConsentQuery:
    return ConsentQuery(
        _patient(given),
        tokens_of(given, "status"),
        tokens_of(given, "category"),
        count_of(given, least=0),
        tuple((name, value) for name, value in given.items() if name != "_format"),
    )


def _patient(given: dict[str, str]) -> str:
    patient = patient_of(given)
    if patient is None:
        told = "is required: Consent is searched within one patient's choices, as patient= and the NHS number."
        raise wrong("patient", told, "search.patient-required")
    return patient
