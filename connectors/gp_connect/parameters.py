"""What is asked for: the Parameters of `$gpc.getstructuredrecord`, of the asked sections and nothing more.

No date or status filter is ever set. A provider must refuse most of them where consultations or problems are asked for
as well, and a section that was filtered could not be read as complete.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from connectors.sdk.model import NHS_NUMBER_SYSTEM, Section

Area = dict[str, Any]

_AREAS: Final[dict[Section, tuple[Area, ...]]] = {
    Section.ALLERGIES: (
        {"name": "includeAllergies", "part": [{"name": "includeResolvedAllergies", "valueBoolean": True}]},
    ),
    Section.MEDICINES: (
        {"name": "includeMedication", "part": [{"name": "includePrescriptionIssues", "valueBoolean": True}]},
    ),
    Section.CONTACTS: ({"name": "includeConsultations"},),
    Section.RESULTS: ({"name": "includeInvestigations"},),
    Section.PROBLEMS: ({"name": "includeProblems"},),
    Section.IMMUNISATIONS: ({"name": "includeImmunisations"},),
}
"""The clinical areas of each section. An area whose parts are all optional stands without any."""

_UNCATEGORISED: Final[Area] = {"name": "includeUncategorisedData"}

SERVED: Final = frozenset(_AREAS)
"""The clinical sections that a structured record can answer."""


def areas(sections: Iterable[Section], *, uncategorised: bool) -> list[Area]:
    """The areas to ask for, in the order of the sections; none where no section has one."""
    asked = frozenset(sections)
    found = [area for section in Section if section in asked for area in _AREAS.get(section, ())]
    return [*found, _UNCATEGORISED] if uncategorised and Section.RESULTS in asked else found


def request(nhs_number: str, asked: list[Area]) -> bytes:
    """The body of the operation."""
    who = {"name": "patientNHSNumber", "valueIdentifier": {"system": NHS_NUMBER_SYSTEM, "value": nhs_number}}
    return msgspec.json.encode({"resourceType": "Parameters", "parameter": [who, *asked]})
