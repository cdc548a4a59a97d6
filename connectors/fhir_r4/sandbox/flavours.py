"""How the sandboxes differ, as real servers do. Ids differ in the data: UUIDs at the trusts, and at G85004 ids such as
`P_100~1`, some longer than 64 characters, which break FHIR's own rule for ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from connectors.fhir_r4.sandbox.elements import TOKENS


@dataclass(frozen=True, slots=True)
class Flavour:
    """What one server can do.

    `types` are the resource types that it serves. `page_size` is the most it puts on one page, however many `_count`
    asks for; None: it has no pages. Without `links` a Bundle has no `link` at all, without `full_urls` no entry has a
    `fullUrl`. A `lenient` server ignores parameters that it doesn't know, as FHIR allows by default; a strict one
    answers 400.
    """

    page_size: int | None = 50
    types: frozenset[str] = frozenset(TOKENS)
    links: bool = True
    full_urls: bool = True
    everything: bool = True
    lenient: bool = False
    batch: bool = True


TRUST: Final = Flavour(page_size=20)
PRACTICE: Final = Flavour()
COUNCIL: Final = Flavour(
    page_size=None,
    types=frozenset({"Patient", "Appointment", "CareTeam", "Encounter", "Location", "Organization", "Practitioner"}),
    links=False,
    full_urls=False,
    everything=False,
    lenient=True,
    batch=False,
)

FLAVOURS: Final[Mapping[str, Flavour]] = {
    "RJ2": TRUST,
    "RPG": TRUST,
    "G85004": Flavour(everything=False),
    "G85005": PRACTICE,
    "G83021": PRACTICE,
    "709": COUNCIL,
    "703": COUNCIL,
}
