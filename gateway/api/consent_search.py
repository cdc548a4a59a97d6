"""How Consents are searched: by patient, and within that by status and category; whatever else is asked is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

from connectors.sdk.model import NHS_NUMBER_SYSTEM
from gateway.api.authored import Authored, Listed
from gateway.choice.consent import STATES, Json
from gateway.choice.may import READ_CONSENTS
from gateway.errors import BadRequest, Gone
from gateway.sealed import Sealer, Unsealable
from gateway.search.parse import nhs_number, once
from gateway.search.query import Token
from gateway.search.refuse import wrong
from gateway.search.terms import alternatives
from gateway.search.tokens import TokenTest, parse_token

CURSOR_SECONDS: Final = 15 * 60
MOST_ON_A_PAGE: Final = 200
PAGE: Final = 50
_WHERE: Final = "Consent can be searched by"
_COUNT: Final = re.compile(r"[0-9]{1,3}", re.ASCII)
_R4: Final = "http://hl7.org/fhir/SearchParameter/"
_RESULT: Final = ("_count", "_cursor", "_format")
_NAMES: Final = ("patient", "patient.identifier", "status", "category", *_RESULT)

CONSENT: Final = Authored(
    "Consent",
    READ_CONSENTS,
    "For privacy officers: every sharing choice and permission of one patient. patient.identifier, with the NHS "
    "number's system, says the same as patient.",
    (
        Listed("patient", "reference", "Required: the patient's NHS number", _R4 + "clinical-patient"),
        Listed("status", "token", "active: in force; inactive: replaced, withdrawn or expired", _R4 + "Consent-status"),
        Listed("category", "token", "IDSCL: sharing choices; INFA: permissions", _R4 + "Consent-category"),
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
        self._sealer = sealer
        self._address = f"{fhir_base}/Consent"
        self._now = int(now.timestamp())
        self._bound_to = bound_to

    def read(self, pairs: Sequence[tuple[str, str]]) -> ConsentQuery:
        """The search that the parameters ask for. Raises BadRequest, naming the parameter."""
        given = once(pairs, _WHERE, _NAMES)
        if "_cursor" not in given:
            return _query(given)
        if set(given) - {"_cursor", "_format"}:
            raise wrong("_cursor", "already says the whole search: it can't be combined with other parameters.")
        return self._resumed(given["_cursor"])

    def _resumed(self, cursor: str) -> ConsentQuery:
        try:
            state: dict[str, Any] = self._sealer.open_cursor(cursor, self._bound_to)
        except Unsealable:
            raise _wrong_cursor("is not one that this server gave you.") from None
        if state.get("t") != "Consent":
            raise _wrong_cursor("belongs to another search.")
        if not 0 <= self._now - state["at"] <= CURSOR_SECONDS:
            raise _wrong_cursor("has expired.")
        query = _query(dict(state["q"]))
        return replace(query, after=state["a"])

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
            links["next"] = f"{self._address}?_cursor={self._cursor(query, rest[query.count - 1]['id'])}"
        return ConsentPage(tuple(rest[: query.count]), len(found), links)

    def _self(self, query: ConsentQuery) -> str:
        if query.after:
            return f"{self._address}?_cursor={self._cursor(query, query.after)}"
        return f"{self._address}?{urlencode(query.pairs, quote_via=quote, safe='/:,')}"

    def _cursor(self, query: ConsentQuery, after: str) -> str:
        state = {"t": "Consent", "q": query.pairs, "a": after, "at": self._now}
        return self._sealer.seal_cursor(state, self._bound_to)


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
        _tokens(given, "status"),
        _tokens(given, "category"),
        _count(given),
        tuple((name, value) for name, value in given.items() if name != "_format"),
    )


def _patient(given: dict[str, str]) -> str:
    numbers = set()
    if "patient" in given:
        numbers.add(nhs_number(given["patient"].removeprefix("Patient/"), "patient"))
    if "patient.identifier" in given:
        system, bar, value = given["patient.identifier"].partition("|")
        if not bar or system != NHS_NUMBER_SYSTEM:
            raise wrong("patient.identifier", f"takes {NHS_NUMBER_SYSTEM}| followed by the NHS number.")
        numbers.add(nhs_number(value, "patient.identifier"))
    if not numbers:
        told = "is required: Consent is searched within one patient's choices, as patient= and the NHS number."
        raise wrong("patient", told, "search.patient-required")
    if len(numbers) > 1:
        raise wrong("patient", "and `patient.identifier` name different patients.", "search.nhs-number")
    return numbers.pop()


def _tokens(given: dict[str, str], name: str) -> tuple[Token, ...]:
    if name not in given:
        return ()
    try:
        return tuple(parse_token(one) for one in alternatives(name, given[name]))
    except ValueError:
        raise wrong(name, "takes a code, or a system, one bar and a code; alternatives after a comma.") from None


def _count(given: dict[str, str]) -> int:
    said = given.get("_count", str(PAGE))
    if not _COUNT.fullmatch(said) or int(said) > MOST_ON_A_PAGE:
        raise wrong("_count", f"takes a whole number from 0 to {MOST_ON_A_PAGE}.")
    return int(said)


def _wrong_cursor(why: str) -> BadRequest:
    told = f"The parameter `_cursor` {why} Begin again with the first page of the search."
    return BadRequest(told, rule="search.cursor", expression="http._cursor")
