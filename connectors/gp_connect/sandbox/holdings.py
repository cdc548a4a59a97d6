"""What one practice's sandbox holds: every person's record as STU3 resources, by NHS number.

A file of `data/` is one person: `resources`, and where it matters `dissent` (true: the patient doesn't share) and
`warnings` (the codes on the Lists of a section). `_organisation.json` holds the people and places that they refer to.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from connectors.kit.canaries import canary, plant

Resource = dict[str, Any]

NHS_NUMBER: Final = "https://fhir.nhs.uk/Id/nhs-number"
SUPPORTING: Final = frozenset({"Location", "Medication", "Organization", "Practitioner", "PractitionerRole"})

_DATA: Final = Path(__file__).parent / "data"
_decode: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


@dataclass(slots=True)
class Person:
    """One patient's record. `warnings` has the codes on a section's Lists."""

    patient: Resource
    resources: list[Resource]
    dissent: bool = False
    warnings: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        """False for one who has left the practice or died: GP Connect serves neither."""
        return self.patient.get("active") is True and "deceasedDateTime" not in self.patient

    def of(self, *kinds: str) -> list[Resource]:
        """The resources of these types, in the order of the file."""
        return [one for one in self.resources if one["resourceType"] in kinds]


@dataclass(slots=True)
class Holdings:
    """All that one practice holds."""

    ods: str
    people: dict[str, Person] = field(default_factory=dict)
    shared: dict[str, Resource] = field(default_factory=dict)
    canaries: list[str] = field(default_factory=list)

    def someone_else(self, nhs_number: str) -> Person | None:
        """Another patient whose record could be sent, for the lies that the switch can demand."""
        others = (
            person
            for number, person in self.people.items()
            if number != nhs_number and person.is_active and not person.dissent
        )
        return next(others, None)

    def by_id(self, patient_id: str) -> str | None:
        """The NHS number of the patient with this logical id."""
        return next((number for number, one in self.people.items() if one.patient["id"] == patient_id), None)

    def explained(self, resources: list[Resource]) -> list[Resource]:
        """The people, places and medicines that resources refer to, and those that these refer to, each once."""
        own = {key_of(one): one for person in self.people.values() for one in person.of("Medication")}
        found: dict[str, Resource] = {}
        waiting = [key for one in resources for key in references(one)]
        while waiting:
            key = waiting.pop()
            target = self.shared.get(key) or own.get(key)
            if target is not None and key not in found:
                found[key] = target
                waiting += references(target)
        roles = [one for one in self.shared.values() if one["resourceType"] == "PractitionerRole"]
        found.update({key_of(role): role for role in roles if role["practitioner"]["reference"] in found})
        return list(found.values())


@functools.cache
def organisations() -> tuple[str, ...]:
    """The ODS codes that there is data for, in order."""
    return tuple(sorted(folder.name for folder in _DATA.iterdir() if folder.is_dir()))


def hold(ods: str, *, canaries: bool) -> Holdings:
    """Read a practice's files; with `canaries`, plant one in each resource."""
    held = Holdings(ods)
    for file in sorted((_DATA / ods).glob("*.json")):
        content = _decode(file.read_bytes())
        resources = content["resources"]
        if canaries:
            held.canaries += [_plant(ods, one) for one in resources if one["resourceType"] != "List"]
        if file.name.startswith("_"):
            held.shared = {key_of(one): one for one in resources}
            continue
        patient = next(one for one in resources if one["resourceType"] == "Patient")
        held.people[number_of(patient)] = Person(
            patient, resources, content.get("dissent", False), content.get("warnings", {})
        )
    return held


def _plant(ods: str, resource: Resource) -> str:
    mark = canary(ods, resource["resourceType"], resource["id"])
    match resource["resourceType"]:
        case "Observation":  # STU3 has neither notes on it …
            resource["comment"] = " ".join(filter(None, (resource.get("comment"), mark)))
        case "Encounter":  # … nor reason codes here
            resource["reason"] = [{"text": mark}]
        case _:
            plant(resource, mark)
    return mark


def number_of(patient: Resource) -> str:
    """The NHS number that a Patient carries."""
    return str(next(one["value"] for one in patient["identifier"] if one["system"] == NHS_NUMBER))


def key_of(resource: Resource) -> str:
    """`Observation/17`."""
    return f"{resource['resourceType']}/{resource['id']}"


def references(node: Any) -> Iterator[str]:
    """Every literal reference in a resource."""
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            yield node["reference"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)
