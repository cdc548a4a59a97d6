"""The completeness manifest: what each source said, and which sections can't be read as complete.

It depends on the sources' answers and on the caller's role and permission alone, never on what the policy hid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from connectors.sdk.model import Gap, Item, Outcome, Section, SourceWarning

_NO_KNOWN_ALLERGY_CODES = frozenset(
    {
        ("http://snomed.info/sct", "716186003"),  # No known allergy
        ("http://snomed.info/sct", "409137002"),  # No known drug allergy
        ("http://snomed.info/sct", "428197003"),  # No known insect allergy
        ("http://snomed.info/sct", "429625007"),  # No known food allergy
        ("http://snomed.info/sct", "428607008"),  # No known environmental allergy
        ("http://snomed.info/sct", "1003774007"),  # No known latex allergy
    }
)
_NOT_TRUE = frozenset({"refuted", "entered-in-error"})


class AllergyState(StrEnum):
    """The four mandated states (NHS Common User Interface, patient banner, PAB-0064)."""

    KNOWN = "known"
    NONE_KNOWN = "none-known"
    NOT_RECORDED = "not-recorded"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """What one source said. `gaps` holds only sections that this caller's role may see."""

    source: str
    name: str
    outcome: Outcome
    gaps: Mapping[Section, Gap] = field(default_factory=dict)
    warnings: tuple[SourceWarning, ...] = ()
    told: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One line for every source that takes part for this patient, in order of ODS code.

    `asked` are the sections that were asked for. `never_shown` is the standing statement for this role and permission.
    """

    lines: tuple[ManifestLine, ...]
    asked: frozenset[Section]
    allergies: AllergyState | None = None
    never_shown: tuple[str, ...] = ()

    @property
    def sections_with_gaps(self) -> dict[Section, tuple[str, ...]]:
        """Each section that can't be read as complete, with the ODS codes of the sources that are missing from it."""
        missing: dict[Section, tuple[str, ...]] = {}
        for section in Section:
            sources = tuple(line.source for line in self.lines if section in line.gaps)
            if sources:
                missing[section] = sources
        return missing


def is_no_known_allergy(item: Item) -> bool:
    """True for a statement that the patient has no (known) allergy, rather than an allergy."""
    codings = item.resource.get("code", {}).get("coding", ())
    return any((coding.get("system"), coding.get("code")) in _NO_KNOWN_ALLERGY_CODES for coding in codings)


def _is_denied(item: Item) -> bool:
    statuses = item.resource.get("verificationStatus", {}).get("coding", ())
    return any(status.get("code") in _NOT_TRUE for status in statuses)


def allergy_state(allergies: Iterable[Item], lines: Iterable[ManifestLine]) -> AllergyState:
    """The state a clinician may rely on.

    A recorded allergy is known whoever else is silent. Without one, a single source that is missing for allergies
    makes the state unavailable: "no known allergies" never survives a gap.
    """
    stated = [item for item in allergies if not _is_denied(item)]
    if any(not is_no_known_allergy(item) for item in stated):
        return AllergyState.KNOWN
    if any(Section.ALLERGIES in line.gaps for line in lines):
        return AllergyState.UNAVAILABLE
    return AllergyState.NONE_KNOWN if stated else AllergyState.NOT_RECORDED
