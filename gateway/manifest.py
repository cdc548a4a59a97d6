"""The completeness manifest: what each source said, and which sections can't be read as complete.

It depends on the sources' answers and on the caller's role and permission alone, never on what the policy hid. (What
differs between the sources' words for the patient is told of what is shown.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from connectors.sdk.model import Gap, Item, Outcome, Section, SourceWarning
from gateway.allergies import ANY, denied_category, stands

ALLERGY: Final = "AllergyIntolerance"


class AllergyState(StrEnum):
    """The four mandated states (NHS Common User Interface, patient banner, PAB-0064)."""

    KNOWN = "known"
    NONE_KNOWN = "none-known"
    NOT_RECORDED = "not-recorded"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """What one source said. `gaps` holds only sections that this caller's role may see.

    `speaks_for`: who would hold what is missing, where that isn't the source: a register's line tells of the practice.
    """

    source: str
    name: str
    outcome: Outcome
    gaps: Mapping[Section, Gap] = field(default_factory=dict)
    warnings: tuple[SourceWarning, ...] = ()
    told: str = ""
    speaks_for: str = ""

    def lacks(self, section: Section) -> bool:
        """True where this source may hold more of a section than it gave: a gap, or its own warning that it does."""
        return section in self.gaps or any(warning.section in (None, section) for warning in self.warnings)


@dataclass(frozen=True, slots=True)
class Difference:
    """An element of the patient's details in which sources differ: (organisation's name, its own value), the register's
    first."""

    element: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One line for every source that takes part for this patient, in order of ODS code.

    `asked` are the sections that were asked for, `asked_of` those that each source was asked for. `never_shown` is the
    standing statement for this role and permission.
    `allergies_limited`: this role and permission withhold some kind of allergy, whether or not there is one.
    `whereabouts`: why addresses and practice are held back from everybody; "" where they aren't. `differences` are
    between the sources' own words for the patient, as far as they are shown.
    """

    lines: tuple[ManifestLine, ...]
    asked: frozenset[Section]
    allergies: AllergyState | None = None
    never_shown: tuple[str, ...] = ()
    allergies_limited: bool = False
    whereabouts: str = ""
    differences: tuple[Difference, ...] = ()
    asked_of: Mapping[str, frozenset[Section]] = field(default_factory=dict)

    @property
    def sections_with_gaps(self) -> dict[Section, tuple[str, ...]]:
        """Each section that can't be read as complete, with the ODS codes of the sources that are missing from it."""
        missing: dict[Section, tuple[str, ...]] = {}
        for section in Section:
            sources = tuple(line.source for line in self.lines if section in line.gaps)
            if sources:
                missing[section] = sources
        return missing


def allergy_state(allergies: Iterable[Item], lines: Iterable[ManifestLine], *, in_part: bool = False) -> AllergyState:
    """The state a clinician may rely on. `in_part`: the application's token lets only some allergies through.

    A recorded allergy is known whoever else is silent. Without one, a single source that is missing for allergies
    makes the state unavailable, and so does a token that lets only some through: "no known allergies" never survives a
    gap. "No known food allergy" alone is not "no known allergies": of the rest nothing is recorded.
    """
    denied = [denied_category(item) for item in allergies if stands(item)]
    if None in denied:
        return AllergyState.KNOWN
    if in_part or any(line.lacks(Section.ALLERGIES) for line in lines):
        return AllergyState.UNAVAILABLE
    return AllergyState.NONE_KNOWN if ANY in denied else AllergyState.NOT_RECORDED
