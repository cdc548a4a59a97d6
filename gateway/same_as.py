"""Same-as groups: what several organisations recorded of one thing, side by side, with the reason and the conflict.

Nothing is merged or dropped for being similar. Groups are made of what policy lets this caller see and of nothing else,
so that neither a group nor a conflict can tell of a hidden item or of an element that an outline left out.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from connectors.sdk.model import Item, Section
from gateway.allergies import contradicts, is_no_known_allergy, stands

_SNOMED: Final = "http://snomed.info/sct"
_SAME_SYSTEM: Final = {"https://dmd.nhs.uk": _SNOMED}
"""dm+d identifiers are SNOMED CT identifiers: the same code in either system is the same medicine."""

_CODE_ELEMENT: Final = {
    "MedicationStatement": "medicationCodeableConcept",
    "MedicationRequest": "medicationCodeableConcept",
    "AllergyIntolerance": "code",
    "Condition": "code",
    "Immunization": "vaccineCode",
}
Key = tuple[str, ...]
Resolve = Callable[[dict[str, Any]], Item | None]


@dataclass(frozen=True, slots=True)
class Conflict:
    """An element in which the members differ, with each member's own value as text."""

    element: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Group:
    """Items of at least two sources that record the same thing."""

    section: Section
    reason: str
    members: tuple[Item, ...]
    conflicts: tuple[Conflict, ...]

    @property
    def id(self) -> str:
        """Stable for the same members."""
        together = "|".join(item.sealed_id for item in self.members)
        return hashlib.sha256(together.encode()).hexdigest()[:32]


def same_as(items: Iterable[Item], resolve: Resolve) -> list[Group]:
    """The groups among items that are shown, in the order of their first members."""
    by_key: dict[tuple[Section, Key], list[Item]] = defaultdict(list)
    for item in items:
        for key in _keys(item, resolve):
            if item.section is not None:
                by_key[item.section, key].append(item)
    groups: dict[tuple[str, ...], Group] = {}
    for (section, key), members in by_key.items():
        if len({member.source for member in members}) > 1:
            identity = tuple(member.sealed_id for member in members)
            groups.setdefault(identity, Group(section, _reason(key), tuple(members), _conflicts(members)))
    contradiction = _contradicted_allergies(items)
    return [*groups.values(), *([contradiction] if contradiction else [])]


def _keys(item: Item, resolve: Resolve) -> set[Key]:
    element = _CODE_ELEMENT.get(item.type)
    if element is None or (item.section is Section.ALLERGIES and is_no_known_allergy(item)):
        return set()
    concept = item.resource.get(element)
    if concept is None and "medicationReference" in item.resource:
        medication = resolve(item.resource["medicationReference"])
        concept = medication.resource.get("code") if medication else None
    when = (str(item.resource.get("occurrenceDateTime", ""))[:10],) if item.type == "Immunization" else ()
    return {
        (_SAME_SYSTEM.get(coding["system"], coding["system"]), coding["code"], *when)
        for coding in (concept or {}).get("coding", ())
        if "system" in coding and "code" in coding
    }


def _reason(key: Key) -> str:
    system = "SNOMED CT or dm+d" if key[0] == _SNOMED else key[0]
    return f"The same code in each: {system} {key[1]}" + (f", given on {key[2]}" if len(key) > 2 else "")


def _conflicts(members: list[Item]) -> tuple[Conflict, ...]:
    found = []
    for element, read in _COMPARED.items():
        values = {f"{item.type}/{item.sealed_id}": value for item in members if (value := read(item.resource))}
        if len(set(values.values())) > 1:
            found.append(Conflict(element, values))
    return tuple(found)


def _dosage(resource: dict[str, Any]) -> str:
    dosages = resource.get("dosage") or resource.get("dosageInstruction") or ()
    return "; ".join(filter(None, (dosage.get("text") or _dose(dosage) for dosage in dosages)))


def _dose(dosage: dict[str, Any]) -> str:
    quantities = (rate.get("doseQuantity", {}) for rate in dosage.get("doseAndRate", ()))
    return ", ".join(f"{quantity.get('value')} {quantity.get('unit', '')}".strip() for quantity in quantities)


def _status(resource: dict[str, Any]) -> str:
    status = resource.get("status")
    return status if isinstance(status, str) else ""


def _coded(name: str) -> Callable[[dict[str, Any]], str]:
    def read(resource: dict[str, Any]) -> str:
        codings = resource.get(name, {}).get("coding", ()) if isinstance(resource.get(name), dict) else ()
        return ", ".join(str(coding.get("code", "")) for coding in codings)

    return read


_COMPARED: Final[Mapping[str, Callable[[dict[str, Any]], str]]] = {
    "status": _status,
    "dosage": _dosage,
    "clinicalStatus": _coded("clinicalStatus"),
    "verificationStatus": _coded("verificationStatus"),
}


def _contradicted_allergies(items: Iterable[Item]) -> Group | None:
    """ "No known allergies" at one organisation and an allergy at another: the statement can't be relied on."""
    allergies = [item for item in items if item.section is Section.ALLERGIES]
    none_known = [item for item in allergies if is_no_known_allergy(item)]
    if not none_known or len(none_known) == len(allergies):
        return None
    values = {
        f"{item.type}/{item.sealed_id}": "no known allergy" if item in none_known else "an allergy is recorded"
        for item in allergies
    }
    return Group(
        Section.ALLERGIES,
        "One organisation records no known allergy, another records an allergy",
        tuple(allergies),
        (Conflict("code", values),),
    )


_EXTENSION: Final = "https://connect-care.example/fhir/StructureDefinition/same-as-"


def as_linkage(group: Group) -> dict[str, Any]:
    """The group as a FHIR Linkage, so that any client can read it. Reason and conflicts are extensions."""
    conflicts = [
        {
            "url": f"{_EXTENSION}conflict",
            "extension": [
                {"url": "element", "valueString": conflict.element},
                *(
                    {"url": "value", "extension": _conflicting(reference, value)}
                    for reference, value in conflict.values.items()
                ),
            ],
        }
        for conflict in group.conflicts
    ]
    return {
        "resourceType": "Linkage",
        "id": group.id,
        "meta": {"tag": _tags(group.members)},
        "extension": [{"url": f"{_EXTENSION}reason", "valueString": group.reason}, *conflicts],
        "active": True,
        "item": [
            {"type": "alternate", "resource": {"reference": f"{item.type}/{item.sealed_id}"}} for item in group.members
        ],
    }


def _conflicting(reference: str, value: str) -> list[dict[str, Any]]:
    return [
        {"url": "item", "valueReference": {"reference": reference}},
        {"url": "text", "valueString": value},
    ]


def _tags(members: Iterable[Item]) -> list[dict[str, Any]]:
    by_source = {item.source: item.resource["meta"]["tag"][0] for item in members}
    return [by_source[source] for source in sorted(by_source)]
