"""Observation: a result, a finding, or anything else that the practice recorded under a code.

Values are never interpreted: a number that came as text ("Ap 2.400") stays text.
"""

from __future__ import annotations

from typing import Any, Final

from connectors.gp_connect.stu3.naming import of_stu3
from connectors.gp_connect.stu3.rules import (
    Draft,
    Rules,
    To,
    as_extension,
    code,
    encounter,
    kept,
    objects,
    only,
    text_as_note,
)
from connectors.sdk.model import Resource

_STATUS: Final = frozenset(
    {"registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown"}
)
_VALUES: Final = (
    "valueQuantity",
    "valueCodeableConcept",
    "valueString",
    "valueRange",
    "valueRatio",
    "valueSampledData",
    "valueTime",
    "valueDateTime",
    "valuePeriod",
)
_RELATED: Final = {"has-member": "hasMember", "derived-from": "derivedFrom"}
_HL7: Final = "http://hl7.org/fhir/StructureDefinition/observation-"
_RELATED_BY_EXTENSION: Final = {"sequel-to": f"{_HL7}sequelTo", "replaces": f"{_HL7}replaces"}


def _related(draft: Draft, value: Any) -> None:
    """R4 has an element for the two relations that gather results, and extensions for the others."""
    for related in objects(value, "related"):
        only(draft, related, {"target"}, "related")
        kind, target = related.get("type"), related.get("target")
        if target is None:
            continue
        if kind in _RELATED:
            draft.add(_RELATED[kind], target)
        elif kind in _RELATED_BY_EXTENSION:
            draft.extend({"url": _RELATED_BY_EXTENSION[kind], "valueReference": target})
        else:
            path = f"Observation.related.{kind}" if isinstance(kind, str) else "Observation.related"
            draft.extend(of_stu3(path, "valueReference", target))


def _components(draft: Draft, value: Any) -> None:
    draft.r4["component"] = [_component(component) for component in objects(value, "component")]


def _component(component: Resource) -> Resource:
    found = dict(component)
    if isinstance(found.get("interpretation"), dict):
        found["interpretation"] = [found["interpretation"]]
    if "valueAttachment" in found:
        attachment = of_stu3("Observation.component.valueAttachment", "valueAttachment", found.pop("valueAttachment"))
        found["extension"] = [*found.get("extension", []), attachment]
    return found


OBSERVATION: Final = Rules(
    "Observation",
    {
        **kept("identifier", "basedOn", "category", "code", "subject", "effectiveDateTime", "effectivePeriod"),
        **kept("issued", "performer", "valueBoolean", *_VALUES, "dataAbsentReason", "bodySite", "method"),
        **kept("specimen", "device", "referenceRange"),
        "status": code("status", _STATUS),
        "context": encounter,
        "valueAttachment": as_extension("valueAttachment", "valueAttachment"),
        "interpretation": To("interpretation", many=True),
        "comment": text_as_note,
        "related": _related,
        "component": _components,
    },
    demanded=("status",),
)
