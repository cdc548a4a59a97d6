"""Canaries: strings that exist nowhere else, planted in every resource, so that a leak can be found by a plain search.

A scan of a store, a log or a temporary file for them proves whether clinical content was ever written there.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

PATTERN: Final = re.compile(r"CANARY-[A-Z0-9]+-[0-9a-f]{8}")

_NOTED: Final = frozenset(
    {
        "AllergyIntolerance",
        "CareTeam",
        "Condition",
        "Immunization",
        "MedicationRequest",
        "MedicationStatement",
        "Observation",
        "Specimen",
    }
)
_TEXT_ELEMENT: Final = {
    "Appointment": "comment",
    "DiagnosticReport": "conclusion",
    "Location": "description",
}


def canary(ods: str, *parts: str) -> str:
    """The canary of one thing: `CANARY-RJ2-0f3a9c41`. The same parts always give the same canary."""
    digest = hashlib.blake2b("\x1f".join((ods, *parts)).encode(), digest_size=4).hexdigest()
    return f"CANARY-{ods}-{digest}"


def plant(resource: dict[str, Any], mark: str) -> None:
    """Put `mark` where people write: a note, a comment, the reason of a contact; else in the narrative.

    Only free text is touched, so a planted resource means clinically what it meant before.
    """
    kind = resource["resourceType"]
    if kind in _NOTED:
        resource.setdefault("note", []).append({"text": mark})
    elif element := _TEXT_ELEMENT.get(kind):
        resource[element] = f"{resource[element]} {mark}" if element in resource else mark
    elif kind == "Encounter":
        resource.setdefault("reasonCode", []).append({"text": mark})
    else:
        _plant_in_narrative(resource, mark)


def _plant_in_narrative(resource: dict[str, Any], mark: str) -> None:
    narrative = resource.setdefault(
        "text", {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"></div>'}
    )
    narrative["div"] = narrative["div"].removesuffix("</div>") + f"<p>{mark}</p></div>"
