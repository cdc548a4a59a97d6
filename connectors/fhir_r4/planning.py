"""The searches that a source's settings plan, and what one of them brought."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from connectors.fhir_r4.settings import Search, Settings
from connectors.sdk.bundle import Entry
from connectors.sdk.model import Gap, Section


@dataclass(slots=True)
class Found:
    """What one search brought: its entries, and why they aren't all, where they aren't.

    `held_back` counts, by type, the resources of broken shape. `total` is what the source counted on the first page.
    """

    entries: list[Entry] = field(default_factory=list)
    held_back: Counter[str] = field(default_factory=Counter)
    total: int | None = None
    gap: Gap | None = None
    detail: str = ""

    def lacks(self, gap: Gap, detail: str) -> None:
        """Something of it isn't there."""
        self.gap, self.detail = gap, detail


@dataclass(frozen=True, slots=True)
class Planned:
    """A search as it will be made: what its URL says before and after the patient is the same for everybody."""

    search: Search
    before: str
    after: str

    def url(self, by_patient: str) -> str:
        """Relative to the source's base address."""
        return f"{self.before}{by_patient}{self.after}"


Plan = Mapping[Section, tuple[Planned, ...]]


def plan(settings: Settings) -> Plan:
    """Every section's searches."""
    return {section: tuple(_planned(one, settings) for one in settings.searches_for(section)) for section in Section}


def _planned(search: Search, settings: Settings) -> Planned:
    query = [*search.params.items(), *(("_include", value) for value in search.include)]
    after = urlencode([*query, ("_count", str(settings.page_size))])
    return Planned(search, f"{search.type}?{search.patient}", f"&{after}")


def type_of(entry: Entry) -> str:
    """The type of an entry's resource."""
    return str(entry.resource["resourceType"])
