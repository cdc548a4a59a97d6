"""The sections of the summary, by their LOINC codes.

Source: HL7 International Patient Summary 2.0.0 (R4), `Composition-uv-ips`: allergies, medicines and problems are
required; the rest of its sections are optional, and the list is open. Attendances and the care team have no section
there: theirs are those of HL7's Consolidated CDA. Procedures and devices are listed because IPS recommends them, and
because a reader must not take for "none" what nobody was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from connectors.sdk.model import Item, Section
from connectors.sdk.objects import objects

LOINC: Final = "http://loinc.org"
PROFILE: Final = "http://hl7.org/fhir/uv/ips/StructureDefinition/Composition-uv-ips"
SUMMARY: Final = ("60591-5", "Patient summary Document")
_CATEGORIES: Final = "http://terminology.hl7.org/CodeSystem/observation-category"


@dataclass(frozen=True, slots=True)
class Part:
    """One section of the document.

    `section` is the section of the record that it draws on; None where Connect Care asks nobody for such things.
    `category`: of observations, only those of this category. `optional`: left out where it would be empty, since
    another part of the same section says so already.
    """

    title: str
    code: str
    display: str
    section: Section | None
    category: str = ""
    optional: bool = False

    def as_code(self) -> dict[str, Any]:
        """The section's code."""
        return {"coding": [{"system": LOINC, "code": self.code, "display": self.display}]}


PARTS: Final = (
    Part("Allergies and intolerances", "48765-2", "Allergies and adverse reactions Document", Section.ALLERGIES),
    Part("Medication summary", "10160-0", "History of Medication use Narrative", Section.MEDICINES),
    Part("Problem list", "11450-4", "Problem list - Reported", Section.PROBLEMS),
    Part("Immunisations", "11369-6", "History of Immunization Narrative", Section.IMMUNISATIONS),
    Part("Results", "30954-2", "Relevant diagnostic tests/laboratory data Narrative", Section.RESULTS),
    Part("Vital signs", "8716-3", "Vital signs", Section.RESULTS, category="vital-signs", optional=True),
    Part("Social history", "29762-2", "Social history Narrative", Section.RESULTS, "social-history", optional=True),
    Part(
        "Attendances and appointments",
        "46240-8",
        "History of Hospitalizations+Outpatient visits Narrative",
        Section.CONTACTS,
    ),
    Part("Care team", "85847-2", "Patient Care team Information", Section.CARE_TEAM),
    Part("History of procedures", "47519-4", "History of Procedures Document", None),
    Part("Medical devices", "46264-8", "History of medical device use", None),
)
REQUIRED: Final = frozenset({"48765-2", "10160-0", "11450-4"})
"""The codes without which a document isn't an IPS."""


def divided(items: Sequence[Item]) -> dict[str, list[Item]]:
    """The items of the record by the code of their part, in the record's order; each in exactly one."""
    by_code: dict[str, list[Item]] = {part.code: [] for part in PARTS}
    for item in items:
        part = next((part for part in PARTS if _belongs(item, part)), None)
        if part is not None:
            by_code[part.code].append(item)
    return by_code


def _belongs(item: Item, part: Part) -> bool:
    if item.section is None or item.section is not part.section:
        return False
    own = _categories(item) & _SPECIAL if item.type == "Observation" else frozenset[str]()
    return part.category in own if part.category else not own


_SPECIAL: Final = frozenset(part.category for part in PARTS if part.category)


def _categories(item: Item) -> frozenset[str]:
    concepts = item.resource.get("category")
    return frozenset(
        str(coding.get("code"))
        for concept in objects(concepts)
        for coding in objects(concept.get("coding"))
        if coding.get("system") == _CATEGORIES
    )
