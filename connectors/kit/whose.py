"""Whose an item is, as any reader of the answer would take it: by its references, and by the Patients beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from connectors.sdk.model import NHS_NUMBER_SYSTEM, Item, Resource
from connectors.sdk.nhs_number import means_nhs_number, same_number
from connectors.sdk.objects import objects

_DEEPEST: Final = 100


def taken_for(items: Collection[Item], nhs_number: str) -> list[Item]:
    """Those that a reader would take for this patient's: they lead to a Patient who carries the number, and to nobody
    else. The gateway's guard is stricter; what is not in this list can't slip through it either."""
    ours = {key for item in items if _is_patient(item, nhs_number) for key in _names(item)}
    return [item for item in items if _leads_to(item, ours, nhs_number)]


def _is_patient(item: Item, nhs_number: str) -> bool:
    return item.type == "Patient" and any(
        identifier.get("system") == NHS_NUMBER_SYSTEM and same_number(str(identifier.get("value", "")), nhs_number)
        for identifier in objects(item.resource.get("identifier"))
    )


def _names(item: Item) -> Iterator[str]:
    yield item.key
    if item.full_url:
        yield item.full_url


def _leads_to(item: Item, ours: Collection[str], nhs_number: str) -> bool:
    numbers = {str(node["value"]) for node in walk(item.resource) if _holds_number(node)}
    if any(not same_number(number, nhs_number) for number in numbers):
        return False
    if item.type == "Patient":
        return item.key in ours
    leads = [str(node["reference"]) for node in walk(item.resource) if "reference" in node]
    to_patients = [lead for lead in leads if lead in ours or "Patient/" in lead]
    return bool(to_patients) and all(lead in ours or _relative(lead) in ours for lead in to_patients)


def _holds_number(node: dict[str, Any]) -> bool:
    system = node.get("system")
    return isinstance(system, str) and "value" in node and means_nhs_number(system)


def _relative(reference: str) -> str:
    """`Patient/17` of `https://x/fhir/Patient/17`."""
    return "/".join(reference.partition("/_history/")[0].split("/")[-2:])


def walk(resource: Resource) -> Iterator[dict[str, Any]]:
    """Every object in a resource, itself first."""
    level: list[Any] = [resource]
    for _ in range(_DEEPEST):
        yield from (node for node in level if isinstance(node, dict))
        values = [node.values() if isinstance(node, dict) else node for node in level]
        level = [value for group in values for value in group if isinstance(value, dict | list)]
        if not level:
            return
