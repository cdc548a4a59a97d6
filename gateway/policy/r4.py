"""What FHIR R4 says of an element: its type, whether it must be there, what it may refer to.

Read from R4's element tables, so that an outline or a removed reference can't leave a resource that R4 would refuse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from connectors.sdk.elements import R4
from connectors.sdk.elements import Element as R4Element
from connectors.sdk.model import SECTION_OF_TYPE, SUPPORTING_TYPES

KNOWN_TYPES: Final = frozenset(SECTION_OF_TYPE) | SUPPORTING_TYPES
_OPEN_TARGET: Final = "Resource"

NAMES_A_PARTY: Final = frozenset({"RelatedPerson", "HealthcareService", "DeviceMetric", "Substance"}) | SUPPORTING_TYPES
"""Types whose name may be shown though they are not: who, where, with what. Everything else is clinical content, whose
display would tell what was removed."""
_ABOUT_WHOM: Final = frozenset({"Patient", "Group", "CareTeam"})
_SUBJECT: Final = frozenset({"subject", "patient"})

NEEDS_ONE_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "AppointmentParticipant": ("type", "actor"),  # app-1
    "ConditionStage": ("summary", "assessment"),  # con-1
    "ConditionEvidence": ("code", "detail"),  # con-2
    "PatientContact": ("name", "telecom", "address", "organization"),  # pat-1
}
"""R4's invariants that say which elements a backbone element can't be without all of."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element: the model of its content (None for a primitive), whether R4 demands it, what it may refer to."""

    name: str
    model: str | None
    required: bool
    targets: frozenset[str]

    @property
    def names_a_subject(self) -> bool:
        """True for the element that says whom the resource is about."""
        return self.name in _SUBJECT

    @property
    def names_a_party(self) -> bool:
        """True for a reference that can only lead to a person, place, thing or patient, never to clinical content."""
        return bool(self.targets) and (self.names_a_subject or self.targets <= NAMES_A_PARTY | _ABOUT_WHOM)


@lru_cache(maxsize=512)
def elements(model: str) -> Mapping[str, Element]:
    """The elements of a resource type or data type, by JSON name; empty for what R4 doesn't know."""
    return {name: _element(name, element) for name, element in R4.elements(model).items()}


def prepare() -> None:
    """Read every table that a known type leads to, which the first patient whose record is looked at must not wait
    for."""
    models, waiting = set(KNOWN_TYPES), sorted(KNOWN_TYPES)
    while waiting:
        model = waiting.pop()
        demanded(model)
        further = {element.model for element in elements(model).values() if element.model} - models
        models |= further
        waiting.extend(sorted(further))


@lru_cache(maxsize=512)
def choices(model: str) -> tuple[frozenset[str], ...]:
    """The groups of elements (`medication[x]`, each with its `_sibling`) of which R4 demands one."""
    groups: dict[str, set[str]] = {}
    for name, element in R4.elements(model).items():
        if element.choice_required:
            groups.setdefault(element.choice, set()).update((name, f"_{name}"))
    return tuple(frozenset(group) for group in groups.values())


@lru_cache(maxsize=64)
def clinical_elements(resource_type: str) -> frozenset[str]:
    """The top-level elements of a type in or below which a reference may lead to clinical content."""
    return frozenset(name for name, element in elements(resource_type).items() if _leads_to_clinical(element, ()))


def _leads_to_clinical(element: Element, inside: tuple[str, ...]) -> bool:
    if element.model == "Reference":
        return not element.names_a_party
    if element.model is None or element.model in inside or element.model in ("Extension", "Resource", "Meta"):
        return False
    return any(_leads_to_clinical(part, (*inside, element.model)) for part in elements(element.model).values())


@lru_cache(maxsize=512)
def demanded(model: str) -> tuple[frozenset[str], ...]:
    """Groups of elements of each of which at least one must be there, or the object must go: R4's cardinalities,
    choices and the invariants above. A mandatory primitive counts with its `_sibling`, which may say why it is absent.
    """
    return (*_demanded(model), *choices(model), *([frozenset(NEEDS_ONE_OF[model])] if model in NEEDS_ONE_OF else []))


def _demanded(model: str) -> Iterator[frozenset[str]]:
    for element in elements(model).values():
        if element.required:
            yield frozenset({element.name, f"_{element.name}"} if element.model is None else {element.name})


def _element(name: str, element: R4Element) -> Element:
    targets = frozenset(element.targets or (_OPEN_TARGET,)) if element.type == "Reference" else frozenset()
    return Element(name, None if element.is_primitive else element.type, element.required, targets)
