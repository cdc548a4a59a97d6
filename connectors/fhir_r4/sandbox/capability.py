"""GET /metadata: what this server holds and how it can be searched, generated from what it holds."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from connectors.fhir_r4.sandbox.elements import INCLUDES, PATIENT_PARAMETERS, TOKENS
from connectors.fhir_r4.sandbox.flavours import Flavour

_DATES: Final = frozenset({"birthdate"})


def capability(ods: str, flavour: Flavour, *, secured: bool) -> bytes:
    """The CapabilityStatement as JSON."""
    rest: dict[str, Any] = {"mode": "server"}
    if secured:
        rest["security"] = {"description": "Every call but this one needs the header that the organisation agreed."}
    rest["resource"] = [_resource(kind, flavour) for kind in sorted(flavour.types)]
    return msgspec.json.encode(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": "2026-09-01",
            "kind": "instance",
            "implementation": {"description": f"A sandbox that stands for {ods}; every patient is invented."},
            "fhirVersion": "4.0.1",
            "format": ["application/fhir+json"],
            "rest": [rest],
        }
    )


def _resource(kind: str, flavour: Flavour) -> dict[str, Any]:
    said: dict[str, Any] = {
        "type": kind,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": _parameters(kind),
    }
    if includes := [f"{kind}:{name}" for name in INCLUDES.get(kind, {})]:
        said["searchInclude"] = includes
    if kind == "Patient" and flavour.everything:
        definition = "http://hl7.org/fhir/OperationDefinition/Patient-everything"
        said["operation"] = [{"name": "everything", "definition": definition}]
    return said


def _parameters(kind: str) -> list[dict[str, str]]:
    listed = [{"name": "_id", "type": "token"}]
    listed += [{"name": name, "type": "date" if name in _DATES else "token"} for name in TOKENS[kind]]
    return listed + [{"name": name, "type": "reference"} for name in sorted(PATIENT_PARAMETERS.get(kind, ()))]
