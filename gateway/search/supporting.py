"""Supporting resources: what an item refers to, and by which `_include` each may be asked for.

They say who, where and with what, and are nobody's record by themselves. So they can be read by id and come along with
a search, and can't be searched. `INCLUDED_BY` says which elements are ever followed to one; the names here are R4's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from connectors.sdk.model import INCLUDED_BY, SECTION_OF_TYPE, Section
from gateway.search.table import SHOWN_TYPES

SUPPORTING_READS: Final = ("Medication", "Practitioner", "PractitionerRole", "Organization", "Location")
READABLE: Final = (*SHOWN_TYPES, *SUPPORTING_READS)
"""Every type that can be read by its id."""

_PEOPLE: Final = frozenset({"Practitioner", "PractitionerRole"})
_PARTIES: Final = _PEOPLE | {"Organization"}
_PLACES: Final = frozenset({"Location"})
_TARGETS: Final[Mapping[str, frozenset[str]]] = {
    "AllergyIntolerance:asserter": _PEOPLE,
    "AllergyIntolerance:recorder": _PEOPLE,
    "Appointment:actor": _PEOPLE | _PLACES,
    "Appointment:location": _PLACES,
    "Appointment:practitioner": frozenset({"Practitioner"}),
    "CareTeam:participant": _PARTIES,
    "Condition:asserter": _PEOPLE,
    "DiagnosticReport:performer": _PARTIES,
    "Encounter:location": _PLACES,
    "Encounter:participant": _PEOPLE,
    "Encounter:practitioner": frozenset({"Practitioner"}),
    "Encounter:service-provider": frozenset({"Organization"}),
    "Immunization:location": _PLACES,
    "Immunization:performer": _PARTIES,
    "MedicationRequest:medication": frozenset({"Medication"}),
    "MedicationRequest:requester": _PARTIES,
    "MedicationStatement:medication": frozenset({"Medication"}),
    "MedicationStatement:source": _PARTIES,
    "Observation:performer": _PARTIES,
}
"""What each include leads to, as far as it is among the supporting resources (R4's targets, less patients, relatives
and other items of the record, which have searches of their own)."""
_PATHS: Final = {**INCLUDED_BY, "Encounter:practitioner": INCLUDED_BY["Encounter:participant"]}


@dataclass(frozen=True, slots=True)
class Include:
    """One `_include`: the element of a match that is followed, and to which types."""

    name: str
    path: str
    targets: frozenset[str]


INCLUDES: Final[Mapping[str, Include]] = MappingProxyType(
    {name: Include(name, _PATHS[name], targets) for name, targets in _TARGETS.items()}
)


def includes_of(resource_type: str) -> tuple[str, ...]:
    """What `_include` takes in a search of this type."""
    return tuple(name for name in INCLUDES if name.startswith(f"{resource_type}:"))


def include(resource_type: str, text: str) -> Include | None:
    """One `_include` of a search of this type, `Type:parameter` or `Type:parameter:TargetType`; None for any other."""
    name, _, target = text.partition(":")[2].partition(":")
    found = INCLUDES.get(f"{resource_type}:{name}") if text.startswith(f"{resource_type}:") else None
    if found is None or text == f"{found.name}:":
        return None
    if not target:
        return found
    return Include(found.name, found.path, frozenset({target})) if target in found.targets else None


def _referring() -> dict[str, frozenset[Section]]:
    found: dict[str, set[Section]] = {kind: set() for kind in SUPPORTING_READS}
    for one in INCLUDES.values():
        for kind in one.targets:
            found[kind].add(SECTION_OF_TYPE[one.name.partition(":")[0]])
    return {kind: frozenset(sections) for kind, sections in found.items()}


REFERRED_FROM: Final[Mapping[str, frozenset[Section]]] = MappingProxyType(_referring())
"""The sections whose items may refer to a supporting type: those that a read of one looks through."""


def sections_of(resource_type: str) -> frozenset[Section]:
    """Where a resource of a readable type is found: in its own section, or in those that may refer to it."""
    if resource_type in REFERRED_FROM:
        return REFERRED_FROM[resource_type]
    return frozenset({SECTION_OF_TYPE[resource_type]})
