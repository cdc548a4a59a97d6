"""Which elements a search looks at: search parameters, patients and includes, by resource type (R4 search registry)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

Token = tuple[str, str]
"""(system, code); the system is empty for a plain code."""

_EVERY: Final = {"identifier": "identifier"}
_ENTRY: Final = {**_EVERY, "category": "category", "code": "code", "status": "status"}

TOKENS: Final[Mapping[str, Mapping[str, str]]] = {
    "Patient": {**_EVERY, "birthdate": "birthDate"},
    "AllergyIntolerance": {
        **_EVERY,
        "category": "category",
        "clinical-status": "clinicalStatus",
        "code": "code",
        "verification-status": "verificationStatus",
    },
    "Appointment": {**_EVERY, "status": "status", "service-category": "serviceCategory"},
    "CareTeam": {**_EVERY, "category": "category", "status": "status"},
    "Condition": {**_EVERY, "category": "category", "clinical-status": "clinicalStatus", "code": "code"},
    "DiagnosticReport": _ENTRY,
    "Encounter": {**_EVERY, "class": "class", "status": "status", "type": "type"},
    "Immunization": {**_EVERY, "status": "status", "vaccine-code": "vaccineCode"},
    "MedicationRequest": {**_ENTRY, "code": "medicationCodeableConcept", "intent": "intent"},
    "MedicationStatement": {**_ENTRY, "code": "medicationCodeableConcept"},
    "Observation": _ENTRY,
    "Location": _EVERY,
    "Medication": {**_EVERY, "code": "code"},
    "Organization": _EVERY,
    "Practitioner": _EVERY,
}
"""Token search parameters, and the element that each one matches. (Patient `birthdate` is a date: equality only.)"""

PATIENT_PARAMETERS: Final[Mapping[str, frozenset[str]]] = {
    "AllergyIntolerance": frozenset({"patient"}),
    "Appointment": frozenset({"patient", "actor"}),
    "Immunization": frozenset({"patient"}),
    **dict.fromkeys(
        (
            "CareTeam",
            "Condition",
            "DiagnosticReport",
            "Encounter",
            "MedicationRequest",
            "MedicationStatement",
            "Observation",
        ),
        frozenset({"patient", "subject"}),
    ),
}
"""Search parameters that name the patient. Each can be chained to the patient's `identifier`."""

PATIENT_ELEMENTS: Final = ("subject", "patient", "participant.actor")

INCLUDES: Final[Mapping[str, Mapping[str, str]]] = {
    "Patient": {"general-practitioner": "generalPractitioner", "organization": "managingOrganization"},
    "AllergyIntolerance": {"recorder": "recorder", "asserter": "asserter"},
    "Appointment": {"actor": "participant.actor", "location": "participant.actor", "practitioner": "participant.actor"},
    "CareTeam": {"participant": "participant.member"},
    "Condition": {"asserter": "asserter", "recorder": "recorder"},
    "DiagnosticReport": {"performer": "performer", "result": "result"},
    "Encounter": {
        "location": "location.location",
        "participant": "participant.individual",
        "service-provider": "serviceProvider",
    },
    "Immunization": {"location": "location", "performer": "performer.actor"},
    "MedicationRequest": {"medication": "medicationReference", "requester": "requester"},
    "MedicationStatement": {"medication": "medicationReference", "source": "informationSource"},
    "Observation": {"performer": "performer"},
}
"""`_include` parameters. `location` and `practitioner` of an Appointment take the actors of that type only."""

_ONLY_TYPE: Final = {("Appointment", "location"): "Location", ("Appointment", "practitioner"): "Practitioner"}


def reach(value: Any, path: str) -> Iterator[Any]:
    """Every value at a dotted path, lists opened."""
    head, _, rest = path.partition(".")
    found = value.get(head) if isinstance(value, dict) else None
    for inner in found if isinstance(found, list) else [found]:
        if inner is not None:
            yield from reach(inner, rest) if rest else [inner]


def tokens(value: Any) -> Iterator[Token]:
    """The tokens of a code, Coding, CodeableConcept or Identifier."""
    if isinstance(value, str):
        yield "", value
    elif "coding" in value:
        for coding in value["coding"]:
            yield from tokens(coding)
    elif code := value.get("code") or value.get("value"):
        yield value.get("system", ""), code


def local_keys(value: Any) -> Iterator[str]:
    """Every relative reference (`Practitioner/p1`) anywhere inside a resource."""
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and not reference.startswith(("#", "http:", "https:", "urn:")):
            yield reference
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from local_keys(inner)


def include_targets(resource: dict[str, Any], parameter: str) -> Iterator[str]:
    """The local keys that `_include=<Type>:<parameter>` adds for this resource; `*` takes every parameter."""
    kind = resource["resourceType"]
    table = INCLUDES.get(kind, {})
    for name in table if parameter == "*" else [parameter]:
        only = _ONLY_TYPE.get((kind, name), "")
        for reference in reach(resource, table[name]):
            yield from (key for key in local_keys(reference) if key.startswith(only))
