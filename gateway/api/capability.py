"""The CapabilityStatement, generated: the search table says what can be asked, policy and connectors what is there.

What it lists is what `gateway.search.parse` accepts, no more and no less; a test walks both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from connectors.sdk.model import SECTION_OF_TYPE, Section
from gateway.api.authored import Authored
from gateway.caller.model import Role
from gateway.search.table import (
    BIRTHDATE,
    ID_DEFINITION,
    LAST_UPDATED,
    NOT_FOR_PATIENT,
    OFFERED,
    PATIENT_IDENTIFIER,
    PERSON_PARAMS,
    RESULT_PARAMS,
    SHOWN_TYPES,
    Param,
    person_definition,
)

EVERYTHING: Final = "http://hl7.org/fhir/OperationDefinition/Patient-everything"
_OAUTH_URIS: Final = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_FINDING: Final = (
    "Where nobody knows the NHS number, a person is sought by family, given and birthdate, with gender and "
    "address-postalcode if known, and without identifier or _id. The answer holds one Patient who fits exactly, "
    "reduced to who they are, or none."
)
_OAUTH: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
    "code": "OAuth",
    "display": "OAuth",
}


def _nobody(_action: str, _role: Role) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class OAuthAddresses:
    """Where clients sign in; some read it from the CapabilityStatement only."""

    authorize: str
    token: str


class Capabilities:
    """The statement for everybody, and for each role. Made once each, kept as bytes.

    `offered` are the sections that some connector offers; `sections_for` says which of them a role may ever see.
    `finds_people`: a register takes part that can look for a person by name. `authored` are the types that the gateway
    makes of its own records; `may_read` says whom their doors let in.
    """

    def __init__(
        self,
        *,
        public_base: str,
        version: str,
        released: datetime,
        offered: frozenset[Section],
        sections_for: Callable[[Role], frozenset[Section]],
        oauth: OAuthAddresses | None = None,
        finds_people: bool = False,
        authored: Sequence[Authored] = (),
        may_read: Callable[[str, Role], bool] = _nobody,
    ) -> None:
        self._fhir = public_base.rstrip("/") + "/fhir/R4"
        self._version = version
        self._released = released
        self._offered = offered
        self._sections_for = sections_for
        self._oauth = oauth
        self._finds_people = finds_people
        self._authored = authored
        self._may_read = may_read
        self._kept: dict[Role | None, bytes] = {}

    def document(self, role: Role | None = None) -> bytes:
        """FHIR JSON. None: all that the server offers, whoever asks."""
        if role not in self._kept:
            self._kept[role] = self._made(role).model_dump_json().encode()
        return self._kept[role]

    def _made(self, role: Role | None) -> CapabilityStatement:
        visible = self._offered if role is None else self._offered & self._sections_for(role)
        types = [name for name in SHOWN_TYPES if SECTION_OF_TYPE[name] in visible]
        statement = {
            "url": f"{self._fhir}/metadata",
            "version": self._version,
            "name": "ConnectCare",
            "title": "Connect Care: existing records, live, from the organisations that hold them",
            "status": "active",
            "date": self._released.astimezone(UTC).isoformat(timespec="seconds"),
            "kind": "instance",
            "software": {"name": "Connect Care", "version": self._version},
            "implementation": {"description": "Connect Care gateway, read only", "url": self._fhir},
            "fhirVersion": "4.0.1",
            "format": ["json", "application/fhir+json"],
            "rest": [self._rest(types, self._readable(role))],
        }
        contained = [self._own_definition(name, param) for name in types for param in _own_params(name)]
        if contained:
            statement["contained"] = contained
        return CapabilityStatement.model_validate(statement)

    def _readable(self, role: Role | None) -> list[Authored]:
        return [one for one in self._authored if role is None or self._may_read(one.action, role)]

    def _rest(self, types: list[str], authored: list[Authored]) -> dict[str, Any]:
        rest: dict[str, Any] = {
            "mode": "server",
            "documentation": "Parameters, modifiers, chains and joins that are not listed are refused. "
            "Each parameter may be given once, with alternatives after a comma.",
            "security": self._security(),
        }
        if types or authored:
            rest["resource"] = [_resource(name, finds_people=self._finds_people) for name in types]
            rest["resource"] += [one.resource() for one in authored]
        return rest

    def _security(self) -> dict[str, Any]:
        security: dict[str, Any] = {
            "cors": False,
            "service": [{"coding": [_OAUTH], "text": "OAuth 2 access token of a person, never of a bare system"}],
            "description": "The patient's sharing choice and a permission for this patient are needed as well.",
        }
        if self._oauth:
            addresses = (("authorize", self._oauth.authorize), ("token", self._oauth.token))
            inner = [{"url": name, "valueUri": address} for name, address in addresses]
            security["extension"] = [{"url": _OAUTH_URIS, "extension": inner}]
        return security

    def _own_definition(self, resource_type: str, param: Param) -> dict[str, Any]:
        """A SearchParameter for a name that means here what R4 doesn't define."""
        return {
            "resourceType": "SearchParameter",
            "id": _own_id(resource_type, param),
            "url": f"{self._fhir}/metadata#{_own_id(resource_type, param)}",
            "name": _own_id(resource_type, param).replace("-", ""),
            "status": "active",
            "description": param.says,
            "code": param.name,
            "base": [resource_type],
            "type": param.kind.value,
            "expression": " | ".join(f"{resource_type}.{path}" for path in _in_fhirpath(param)),
        }


def _in_fhirpath(param: Param) -> tuple[str, ...]:
    """FHIRPath names a choice once: `effective`, not `effectiveDateTime | effectivePeriod`."""
    if all(path.startswith("effective") for path in param.paths):
        return ("effective",)
    return param.paths


def _own_params(resource_type: str) -> Iterator[Param]:
    if resource_type in OFFERED:
        yield from (param for param in OFFERED[resource_type].params.values() if param.own)


def _own_id(resource_type: str, param: Param) -> str:
    return f"{resource_type}-{param.name}"


def _resource(resource_type: str, *, finds_people: bool) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "type": resource_type,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "no-version",
        "readHistory": False,
        "updateCreate": False,
        "conditionalCreate": False,
        "searchParam": _search_params(resource_type),
    }
    if resource_type == "Patient" and finds_people:
        resource["searchParam"] += _person_params()
        resource["documentation"] = _FINDING
    if resource_type == "Patient":
        resource["operation"] = [
            {
                "name": "everything",
                "definition": EVERYTHING,
                "documentation": "Takes _type, _count and _cursor; other parameters are refused.",
            }
        ]
    return resource


def _search_params(resource_type: str) -> list[dict[str, Any]]:
    if resource_type == "Patient":
        found = [
            _listed("identifier", "token", "Required (or _id): the NHS number, with its system", PATIENT_IDENTIFIER),
            _listed("_id", "token", "The NHS number", ID_DEFINITION),
            _listed(BIRTHDATE.name, BIRTHDATE.kind, BIRTHDATE.says, BIRTHDATE.definition),
        ]
    else:
        offer = OFFERED[resource_type]
        found = [_listed("patient", "reference", "Required: the patient's NHS number", offer.patient_definition)]
        found += [_listed_param(resource_type, param) for param in offer.params.values()]
        found.append(_listed("_id", "token", "Ids that this server gave", ID_DEFINITION))
        found.append(_listed_param(resource_type, LAST_UPDATED))
    skipped = NOT_FOR_PATIENT if resource_type == "Patient" else frozenset()
    found += [_listed(name, "special", says) for name, says in RESULT_PARAMS.items() if name not in skipped]
    return found


def _person_params() -> list[dict[str, Any]]:
    named = ((name, kind, says) for name, (kind, says, _) in PERSON_PARAMS.items() if name != BIRTHDATE.name)
    return [_listed(name, kind, says, person_definition(name)) for name, kind, says in named]


def _listed_param(resource_type: str, param: Param) -> dict[str, Any]:
    return _listed(param.name, param.kind, param.says, param.definition or f"#{_own_id(resource_type, param)}")


def _listed(name: str, kind: str, says: str, definition: str = "") -> dict[str, Any]:
    listed = {"name": name, "type": str(kind), "documentation": says}
    return {**listed, "definition": definition} if definition else listed
