"""One section of the page: its rows, or why there are none. Never just nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from connectors.sdk.model import Gap, Item, Section
from gateway.manifest import Manifest
from gateway.shown import Shown
from gateway.summary.absence import Limits, Standing, Why, standing_of, statements_of_none
from gateway.summary.limits import limits_of

TITLES: Final[Mapping[Section, str]] = {
    Section.ALLERGIES: "Allergies and reactions",
    Section.MEDICINES: "Medicines",
    Section.RESULTS: "Results",
    Section.CONTACTS: "Contacts",
    Section.PROBLEMS: "Problems",
    Section.IMMUNISATIONS: "Immunisations",
    Section.CARE_TEAM: "Care team",
    Section.DEMOGRAPHICS: "Who the organisations say this is",
}
"""In the page's order."""
_EMPTY: Final[Mapping[Why, str]] = {
    Why.NONE_KNOWN: "None known",
    Why.NOTHING_RECORDED: "None recorded by those who were asked",
    Why.UNAVAILABLE: "Unavailable",
    Why.NOT_ASKED: "Not shared",
}
_NOT_PERMITTED: Final = "Not permitted"
_NOT_SHARED: Final = "Not shared"


@dataclass(frozen=True, slots=True)
class Absence:
    """What is known of a section but its rows. `heading` is for where there are none; `sentences` say who answered and
    who didn't; `missing` names those of whom there may be more."""

    heading: str
    sentences: tuple[str, ...]
    missing: tuple[str, ...]


def absence_of(section: Section, items: list[Item], shown: Shown) -> Absence:
    """Of one section, of which `items` are shown."""
    manifest = shown.manifest
    limits = limits_of(section, shown.caller, manifest.asked)
    stated = bool(statements_of_none(section, items, manifest, limits))
    standing = standing_of(section, manifest, limits, stated=stated)
    missing = tuple(line.speaks_for or line.name for line in manifest.lines if line.lacks(section))
    return Absence(_heading(section, manifest, standing, limits), standing.sentences, missing)


def _heading(section: Section, manifest: Manifest, standing: Standing, limits: Limits) -> str:
    if standing.why is not Why.WITHHELD:
        return _EMPTY[standing.why]
    by_source = any(
        line.gaps.get(section) is Gap.WITHHELD_BY_SOURCE or (line.lacks(section) and section not in line.gaps)
        for line in manifest.lines
    )
    return _NOT_SHARED if by_source and section in manifest.asked else _NOT_PERMITTED
