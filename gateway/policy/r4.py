"""What FHIR R4 says of an element: its type, whether it must be there, what it may refer to.

Read from the element tables that `fhir.resources` carries, so that an outline or a removed reference can't leave a
resource that R4 would refuse. No resource is ever passed through those models here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from fhir.resources.R4B import get_fhir_model_class

from connectors.sdk.model import SECTION_OF_TYPE, SUPPORTING_TYPES

_COMPLEX: Final = re.compile(r"abc\.(\w+)Type\b")
KNOWN_TYPES: Final = frozenset(SECTION_OF_TYPE) | SUPPORTING_TYPES
_NOT_CONTENT: Final = frozenset({"fhir_comments", "resourceType"})
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
    try:
        fields = get_fhir_model_class(model).model_fields
    except ValueError:
        return {}
    found = (_element(field.alias or name, field) for name, field in fields.items() if name not in _NOT_CONTENT)
    return {element.name: element for element in found if not element.name.startswith("_")}


def prepare() -> None:
    """Read every table that a known type leads to: it takes a quarter of a second, which the first patient whose record
    is looked at must not wait for."""
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
    for name, field in get_fhir_model_class(model).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("one_of_many_required"):
            groups.setdefault(str(extra["one_of_many"]), set()).update((name, f"_{name}"))
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


def _element(name: str, field: Any) -> Element:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    match = _COMPLEX.search(str(field.annotation))
    model = match[1] if match else None
    required = field.is_required() or bool(extra.get("element_required"))
    targets = frozenset(extra.get("enum_reference_types") or (_OPEN_TARGET,)) if model == "Reference" else frozenset()
    return Element(name, model, required, targets)
