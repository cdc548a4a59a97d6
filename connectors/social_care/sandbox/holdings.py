"""What one council's system holds, read from `data/`: more than its facade may send."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import msgspec

from connectors.kit.canaries import canary, plant

Held = dict[str, Any]
SUPPORTING: Final = frozenset({"Practitioner", "Organization", "Location"})
SUBJECT: Final = {"EpisodeOfCare": "patient", "Encounter": "subject"}

_decode: Final = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal).decode


@dataclass(slots=True)
class Holdings:
    """All resources of one council, in the order of the files.

    `canaries` stand where a reader may see them; `kept_back` stand where nobody outside the council may.
    """

    ods: str
    resources: list[Held] = field(default_factory=list)
    canaries: list[str] = field(default_factory=list)
    kept_back: list[str] = field(default_factory=list)

    def of_type(self, kind: str) -> list[Held]:
        """The resources of one type."""
        return [resource for resource in self.resources if resource["resourceType"] == kind]

    def with_number(self, system: str, value: str) -> list[Held]:
        """The people with this identifier: by system and value, and by nothing else."""
        wanted = (system, value)
        return [
            person
            for person in self.of_type("Patient")
            if any((one.get("system"), one.get("value")) == wanted for one in person.get("identifier", ()))
        ]

    def about(self, kind: str, person_id: str) -> list[Held]:
        """One person's cases or contacts, the newest first."""
        reference = f"Patient/{person_id}"
        found = [one for one in self.of_type(kind) if one[SUBJECT[kind]]["reference"] == reference]
        return sorted(found, key=lambda one: str(one["period"]["start"]), reverse=True)

    def named_in(self, resources: Iterable[Held]) -> list[Held]:
        """The workers, teams and places that resources refer to, and the teams' council."""
        wanted = {key for resource in resources for key in _references(resource)}
        first = [one for one in self.resources if _key(one) in wanted and one["resourceType"] in SUPPORTING]
        wanted |= {key for one in first for key in _references(one)}
        return [one for one in self.resources if _key(one) in wanted and one["resourceType"] in SUPPORTING]


def hold(ods: str, texts: Iterable[bytes], *, canaries: bool) -> Holdings:
    """Read the JSON lists of a council's resources; with `canaries`, plant two in each first."""
    held = Holdings(ods)
    for text in texts:
        for resource in _decode(text):
            if canaries:
                _plant(held, resource)
            held.resources.append(resource)
    return held


def _plant(held: Holdings, resource: Held) -> None:
    """One where it may be shown, one where a person wrote what nobody else may read."""
    kind = resource["resourceType"]
    shown = canary(held.ods, kind, resource["id"])
    if kind == "Patient":
        resource["communication"] = [{"language": {"text": shown}}]
    elif kind == "Practitioner":
        resource["qualification"].append({"code": {"text": shown}})
    else:
        resource.setdefault("type", []).append({"text": shown})
    held.canaries.append(shown)
    hidden = canary(held.ods, kind, resource["id"], "kept back")
    plant(resource, hidden)
    held.kept_back.append(hidden)


def _key(resource: Held) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _references(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _references(inner)
