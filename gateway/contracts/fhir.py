"""The OpenAPI contract of the FHIR API, made from the CapabilityStatement: what that lists has a path here, no more.

The CapabilityStatement is made from the tables that the parser obeys, so that the three can't come apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from gateway.api.http import FHIR_JSON, FORM
from gateway.contracts.answers import BEARER, SIGNED_IN, refusals, responses, shown
from gateway.contracts.parameters import as_form, id_of, listed, named
from gateway.contracts.schemas import BUNDLE, PARAMETERS, STATEMENT, components, reference
from gateway.search.representation import EVENT_STREAM
from gateway.search.table import EVERYTHING_PARAMS, READ_PARAMS

Json = dict[str, Any]
BASE: Final = "/fhir/R4"
OPERATION_PARAMS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"everything": EVERYTHING_PARAMS, "summary": ("profile", "_format")}
)
"""What an operation takes, by name. One that isn't here can't be published: nobody could call it."""

_SEARCH: Final = (*SIGNED_IN, 400, 404, 406, 409, 410)
_READ: Final = (*SIGNED_IN, 400, 404, 406, 409)
_BODY: Final = (413, 415)
_GIVES: Final[Mapping[str, tuple[str, tuple[int, ...]]]] = MappingProxyType(
    {
        "everything": ("The patient's whole record, as far as the caller may see it, page by page", _SEARCH),
        "summary": ("An International Patient Summary: a document; an empty section says why it is", _READ),
    }
)
_STREAMED: Final = frozenset({"everything"})
_EVENTS: Final = (
    "`part` events as sources answer, then one `complete`, or one `stopped`. The data of each is FHIR JSON on one "
    "line: a Bundle, of `stopped` an OperationOutcome."
)
_OWN: Final = (*SIGNED_IN, 400, 404, 406, 410)
"""Consents and AuditEvents are the gateway's own: no source is asked for them, and no number can be replaced."""


class Door(NamedTuple):
    """One method of one path."""

    method: str
    path: str
    operation: Json


def fhir_contract(statement: Mapping[str, Any], version: str) -> Json:
    """The document, for the server that this CapabilityStatement describes. Raises KeyError for an operation of whose
    parameters nothing is known."""
    [rest] = statement["rest"]
    paths: dict[str, Json] = {}
    for door in doors(rest):
        paths.setdefault(door.path, {})[door.method] = door.operation
    types = [resource["type"] for resource in rest.get("resource", ())]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Connect Care FHIR R4",
            "version": version,
            "description": "A patient's existing records, live, as FHIR R4 4.0.1. Read only.",
        },
        "paths": paths,
        "components": {
            "responses": responses(),
            "schemas": components(types),
            "securitySchemes": {"bearer": BEARER},
        },
    }


def doors(rest: Mapping[str, Any]) -> Iterator[Door]:
    """Every door that the `rest` of a CapabilityStatement speaks of."""
    yield _metadata()
    if any(each["code"] == "batch" for each in rest.get("interaction", ())):
        yield _batch()
    resources = {resource["type"]: resource for resource in rest.get("resource", ())}
    for resource in resources.values():
        yield from _of_type(resource)
    if "Patient" in resources and rest.get("compartment"):
        yield from (_compartment(name, one) for name, one in resources.items() if _in_compartment(one))


def _of_type(resource: Json) -> Iterator[Door]:
    name, offers = resource["type"], {each["code"] for each in resource.get("interaction", ())}
    if "search-type" in offers:
        parameters = listed(resource.get("searchParam", ()), resource.get("searchInclude", ()))
        yield _search(name, resource, parameters)
        yield _post_search(name, resource, parameters)
    if "read" in offers:
        yield _read(name, resource)
    for operation in resource.get("operation", ()):
        yield _operation(name, operation)
        yield _post_operation(name, operation)


def _metadata() -> Door:
    operation = {
        "operationId": "metadata",
        "summary": "What this server offers",
        "description": "It needs no token. With one, it's what the caller's role may ever see.",
        "tags": ["server"],
        "parameters": named(("_format", "mode")),
        "responses": {
            "200": shown("The CapabilityStatement", STATEMENT),
            **refusals((400, 401, 403, 406, 429, 503)),
        },
    }
    return Door("get", f"{BASE}/metadata", operation)


def _batch() -> Door:
    body = {"required": True, "content": {FHIR_JSON: {"schema": reference("Batch")}}}
    operation = {
        **_signed_in("batch", "Several reads and searches at once", "server"),
        "requestBody": body,
        "responses": {
            "200": shown("A batch-response: each entry has its own status", BUNDLE),
            **refusals((*SIGNED_IN, 400, 406, *_BODY)),
        },
    }
    return Door("post", BASE, operation)


def _search(name: str, resource: Json, parameters: list[Json]) -> Door:
    operation = {
        **_signed_in(f"search{name}", f"Search {name}", name),
        "description": resource.get("documentation", "Parameters that aren't listed are refused."),
        "parameters": parameters,
        "responses": _found(resource),
    }
    return Door("get", f"{BASE}/{name}", operation)


def _post_search(name: str, resource: Json, parameters: list[Json]) -> Door:
    operation = {
        **_signed_in(f"postSearch{name}", f"Search {name}, with the parameters in the body", name),
        "description": resource.get("documentation", "Nothing of what is asked stands in an address, or in its logs."),
        "requestBody": {"required": True, "content": {FORM: {"schema": as_form(parameters)}}},
        "responses": _found(resource, *_BODY),
    }
    return Door("post", f"{BASE}/{name}/_search", operation)


def _found(resource: Json, *more: int) -> Mapping[int | str, Json]:
    own = _is_own(resource)
    found = shown(f"A searchset of {resource['type']}, and what may come with it", BUNDLE, of_sources=not own)
    return {"200": found, **refusals((*(_OWN if own else _SEARCH), *more))}


def _is_own(resource: Json) -> bool:
    """True for what the gateway makes itself (Consent, AuditEvent): it is given whole, and no source is asked."""
    lines = resource.get("searchParam", ())
    return bool(lines) and all(line["name"] != "_summary" for line in lines)


def _read(name: str, resource: Json) -> Door:
    own = _is_own(resource)
    operation = {
        **_signed_in(f"read{name}", f"Read one {name}", name),
        "parameters": [id_of(name), *named(("_format",) if own else READ_PARAMS)],
        "responses": {"200": shown(f"The {name}", name, of_sources=not own), **refusals(_OWN if own else _READ)},
    }
    return Door("get", f"{BASE}/{name}/{{id}}", operation)


def _operation(name: str, listing: Json) -> Door:
    code = listing["name"]
    gives, statuses = _GIVES[code]
    operation = {
        **_signed_in(f"{code}{name}", gives, name),
        "description": listing.get("documentation", ""),
        "parameters": [id_of(name), *named(OPERATION_PARAMS[code])],
        "responses": {"200": _given(code, gives), **refusals(statuses)},
    }
    return Door("get", f"{BASE}/{name}/{{id}}/${code}", operation)


def _given(code: str, gives: str) -> Json:
    answer = dict(shown(gives, BUNDLE, of_sources=True))
    if code in _STREAMED:
        answer["content"] = {**answer["content"], EVENT_STREAM: {"schema": {"type": "string", "description": _EVENTS}}}
    return answer


def _post_operation(name: str, listing: Json) -> Door:
    got = _operation(name, listing)
    operation = {
        **got.operation,
        "operationId": f"post{listing['name'].capitalize()}{name}",
        "requestBody": {"content": {FHIR_JSON: {"schema": reference(PARAMETERS)}}},
        "responses": {**got.operation["responses"], **refusals(_BODY)},
    }
    return Door("post", got.path, operation)


def _in_compartment(resource: Json) -> bool:
    offers = {each["code"] for each in resource.get("interaction", ())}
    names = {line["name"] for line in resource.get("searchParam", ())}
    return "search-type" in offers and "patient" in names and "_lastUpdated" in names


def _compartment(name: str, resource: Json) -> Door:
    everything = listed(resource["searchParam"], resource.get("searchInclude", ()))
    parameters = [each for each in everything if each["name"] != "patient"]
    operation = {
        **_signed_in(f"compartment{name}", f"Search {name} of one patient", name),
        "description": "The same search, with the patient in the address.",
        "parameters": [id_of("Patient"), *parameters],
        "responses": _found(resource),
    }
    return Door("get", f"{BASE}/Patient/{{id}}/{name}", operation)


def _signed_in(operation_id: str, summary: str, tag: str) -> Json:
    return {"operationId": operation_id, "summary": summary, "tags": [tag], "security": [{"bearer": []}]}
