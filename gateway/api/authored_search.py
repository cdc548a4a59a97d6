"""What the searches of the gateway's own records (Consent, AuditEvent) have in common: their parameters and cursors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

from connectors.sdk.model import NHS_NUMBER_SYSTEM
from gateway.sealed import Sealer, Unsealable
from gateway.search.page import CURSOR_SECONDS
from gateway.search.parse import nhs_number
from gateway.search.query import Token
from gateway.search.refuse import wrong, wrong_cursor
from gateway.search.terms import alternatives
from gateway.search.tokens import parse_token

MOST_ON_A_PAGE: Final = 200
PAGE: Final = 50
R4: Final = "http://hl7.org/fhir/SearchParameter/"
_COUNT: Final = re.compile(r"[0-9]{1,3}", re.ASCII)

Pairs = Sequence[tuple[str, str]]


class Cursors:
    """Addresses of one type's searches and their pages. A cursor holds the whole search, for its own caller
    (`bound_to`) and 15 minutes."""

    def __init__(self, sealer: Sealer, fhir_base: str, resource_type: str, now: datetime, bound_to: str) -> None:
        self._sealer = sealer
        self._type = resource_type
        self._address = f"{fhir_base}/{resource_type}"
        self._now = int(now.timestamp())
        self._bound_to = bound_to

    def first(self, pairs: Pairs) -> str:
        """The address of a search's first page."""
        return f"{self._address}?{urlencode(pairs, quote_via=quote, safe='/:,')}"

    def later(self, pairs: Pairs, **place: Any) -> str:
        """The address of another page of it, which begins at `place`."""
        state = {"t": self._type, "q": pairs, "at": self._now, **place}
        return f"{self._address}?_cursor={self._sealer.seal_cursor(state, self._bound_to)}"

    def opened(self, given: Mapping[str, str]) -> dict[str, Any]:
        """What a cursor holds: the search's pairs as `q`, and its place. Raises BadRequest."""
        if set(given) - {"_cursor", "_format"}:
            raise wrong("_cursor", "already says the whole search: it can't be combined with other parameters.")
        try:
            state: dict[str, Any] = self._sealer.open_cursor(given["_cursor"], self._bound_to)
        except Unsealable:
            raise wrong_cursor("is not one that this server gave you.") from None
        if state.get("t") != self._type:
            raise wrong_cursor("belongs to another search.")
        if not 0 <= self._now - state["at"] <= CURSOR_SECONDS:
            raise wrong_cursor("has expired.")
        return state | {"q": [(name, value) for name, value in state["q"]]}


def patient_of(given: Mapping[str, str]) -> str | None:
    """The NHS number that `patient` or `patient.identifier` names. Raises BadRequest where they name two."""
    numbers = set()
    if "patient" in given:
        numbers.add(nhs_number(given["patient"].removeprefix("Patient/"), "patient"))
    if "patient.identifier" in given:
        system, bar, value = given["patient.identifier"].partition("|")
        if not bar or system != NHS_NUMBER_SYSTEM:
            raise wrong("patient.identifier", f"takes {NHS_NUMBER_SYSTEM}| followed by the NHS number.")
        numbers.add(nhs_number(value, "patient.identifier"))
    if len(numbers) > 1:
        raise wrong("patient", "and `patient.identifier` name different patients.", "search.nhs-number")
    return numbers.pop() if numbers else None


def tokens_of(given: Mapping[str, str], name: str) -> tuple[Token, ...]:
    """The alternatives of a token parameter; none where it isn't given. Raises BadRequest."""
    if name not in given:
        return ()
    try:
        return tuple(parse_token(one) for one in alternatives(name, given[name]))
    except ValueError:
        raise wrong(name, "takes a code, or a system, one bar and a code; alternatives after a comma.") from None


def count_of(given: Mapping[str, str], least: int) -> int:
    """How many on a page, from `least`. Raises BadRequest."""
    said = given.get("_count", str(PAGE))
    if not _COUNT.fullmatch(said) or not least <= int(said) <= MOST_ON_A_PAGE:
        raise wrong("_count", f"takes a whole number from {least} to {MOST_ON_A_PAGE}.")
    return int(said)
