"""What the CapabilityStatement says of one resource type: interactions, parameters, includes, operations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from gateway.search.param import LAST_UPDATED, Param
from gateway.search.supporting import SUPPORTING_READS, includes_of
from gateway.search.table import (
    BIRTHDATE,
    ID_DEFINITION,
    NOT_FOR_PATIENT,
    OFFERED,
    PATIENT_IDENTIFIER,
    PERSON_PARAMS,
    RESULT_PARAMS,
    person_definition,
)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on a Patient: its name without the dollar sign, R4's definition, what it takes."""

    name: str
    definition: str
    says: str

    def listed(self) -> Json:
        """As `CapabilityStatement.rest.resource.operation`."""
        return {"name": self.name, "definition": self.definition, "documentation": self.says}


EVERYTHING: Final = Operation(
    "everything",
    "http://hl7.org/fhir/OperationDefinition/Patient-everything",
    "By GET, or by POST with Parameters. start and end are dates of care: what began before and still stands is in, "
    "and so is what gives no date. _since is when a source last changed an item; what doesn't say so is in. _type and "
    "_count as in R4. The answer says which of these limit it. Other parameters are refused. With Accept: "
    "text/event-stream it answers part by part, as the sources do; then _count is refused too.",
)
SUMMARY: Final = Operation(
    "summary",
    "http://hl7.org/fhir/uv/ips/OperationDefinition/summary",
    "The record as an International Patient Summary, a document. Takes profile.",
)
OPERATIONS: Final = (EVERYTHING, SUMMARY)
_FINDING: Final = (
    "Where nobody knows the NHS number, a person is sought by family, given and birthdate, with gender and "
    "address-postalcode if known, and without identifier or _id. The answer holds one Patient who fits exactly, "
    "reduced to who they are, or none."
)
_SUPPORTING: Final = (
    "By id alone, as an item that you are shown refers to it: it is readable as long as one such item is. It isn't "
    "searched on its own; ask for it with _include."
)
_FIXED: Final = {
    "versioning": "no-version",
    "readHistory": False,
    "updateCreate": False,
    "conditionalCreate": False,
    "conditionalRead": "not-supported",
}


def listed(resource_type: str, *, finds_people: bool, operations: Iterable[Operation]) -> Json:
    """As `CapabilityStatement.rest.resource`. `finds_people`: this caller may seek a person by name."""
    if resource_type in SUPPORTING_READS:
        return {"type": resource_type, "documentation": _SUPPORTING, "interaction": [{"code": "read"}], **_FIXED}
    resource: Json = {
        "type": resource_type,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        **_FIXED,
        "searchParam": _search_params(resource_type),
    }
    if includes := includes_of(resource_type):
        resource["searchInclude"] = list(includes)
    if resource_type == "Patient":
        resource["operation"] = [one.listed() for one in operations]
        if finds_people:
            resource["searchParam"] += _person_params()
            resource["documentation"] = _FINDING
    return resource


def own_definition(base: str, resource_type: str, param: Param) -> Json:
    """A SearchParameter for a name that means here what R4 doesn't define. `base`: the statement's own address."""
    return {
        "resourceType": "SearchParameter",
        "id": _own_id(resource_type, param),
        "url": f"{base}#{_own_id(resource_type, param)}",
        "name": _own_id(resource_type, param).replace("-", ""),
        "status": "active",
        "description": param.says,
        "code": param.name,
        "base": [resource_type],
        "type": param.kind.value,
        "expression": " | ".join(f"{resource_type}.{path}" for path in _in_fhirpath(param)),
    }


def own_params(resource_type: str) -> Iterator[Param]:
    """The parameters of a type whose meaning is this server's own."""
    if resource_type in OFFERED:
        yield from (param for param in OFFERED[resource_type].params.values() if param.own)


def _in_fhirpath(param: Param) -> tuple[str, ...]:
    """FHIRPath names a choice once: `effective`, not `effectiveDateTime | effectivePeriod`."""
    if all(path.startswith("effective") for path in param.paths):
        return ("effective",)
    return param.paths


def _own_id(resource_type: str, param: Param) -> str:
    return f"{resource_type}-{param.name}"


def _search_params(resource_type: str) -> list[Json]:
    if resource_type == "Patient":
        found = [
            _listed("identifier", "token", "Required (or _id): the NHS number, with its system", PATIENT_IDENTIFIER),
            _listed("_id", "token", "The NHS number", ID_DEFINITION),
            _listed(BIRTHDATE.name, BIRTHDATE.kind, BIRTHDATE.says, BIRTHDATE.definition),
        ]
    else:
        offer = OFFERED[resource_type]
        says = "Required, but where the address names the patient: the patient's NHS number"
        found = [_listed("patient", "reference", says, offer.patient_definition)]
        found += [_listed_param(resource_type, param) for param in offer.params.values()]
        found.append(_listed("_id", "token", "Ids that this server gave", ID_DEFINITION))
        found.append(_listed_param(resource_type, LAST_UPDATED))
    skipped = NOT_FOR_PATIENT if resource_type == "Patient" else frozenset()
    found += [_listed(name, "special", says) for name, says in RESULT_PARAMS.items() if name not in skipped]
    return found


def _person_params() -> list[Json]:
    named = ((name, kind, says) for name, (kind, says, _) in PERSON_PARAMS.items() if name != BIRTHDATE.name)
    return [_listed(name, kind, says, person_definition(name)) for name, kind, says in named]


def _listed_param(resource_type: str, param: Param) -> Json:
    return _listed(param.name, param.kind, param.says, param.definition or f"#{_own_id(resource_type, param)}")


def _listed(name: str, kind: str, says: str, definition: str = "") -> Json:
    found = {"name": name, "type": str(kind), "documentation": says}
    return {**found, "definition": definition} if definition else found
