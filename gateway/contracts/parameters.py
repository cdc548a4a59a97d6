"""A parameter of the FHIR API, from its line in the CapabilityStatement to OpenAPI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from gateway.search.parse import MAX_CURSOR
from gateway.search.query import Summary
from gateway.search.results import MAX_COUNT, MAX_VALUE

Json = dict[str, Any]
_DATE: Final = r"^(eq|ne|gt|lt|ge|le|sa|eb|ap)?[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?"
_TEXT: Final[Mapping[str, Any]] = MappingProxyType({"type": "string", "minLength": 1, "maxLength": MAX_VALUE})
_NHS_NUMBER: Final[Mapping[str, Any]] = MappingProxyType({"type": "string", "pattern": "^(Patient/)?[0-9]{10}$"})

_BY_NAME: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "_count": {"type": "integer", "minimum": 0, "maximum": MAX_COUNT},
        "_summary": {"type": "string", "enum": [each.value for each in Summary]},
        "_total": {"type": "string", "enum": ["none", "estimate", "accurate"]},
        "_totalMethod": {"type": "string", "enum": ["count"]},
        "_format": {"type": "string", "enum": ["json", "application/json", "application/fhir+json"]},
        "_cursor": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": MAX_CURSOR},
        "_since": {"type": "string", "pattern": r"^[0-9]{4}"},
        "start": {"type": "string", "pattern": r"^[0-9]{4}"},
        "end": {"type": "string", "pattern": r"^[0-9]{4}"},
        "patient": _NHS_NUMBER,
        "gender": {"type": "string", "enum": ["male", "female", "other", "unknown"]},
    }
)
_BY_KIND: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {"date": {"type": "string", "pattern": _DATE, "maxLength": MAX_VALUE}}
)
_SAYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "_type": "Names of resource types, separated by commas",
        "_since": "What its source has changed since then",
        "start": "What is of this date or later",
        "end": "What is of this date or earlier",
        "_count": f"How many entries a page holds, 0 to {MAX_COUNT}",
        "_format": "json, application/json or application/fhir+json",
        "_cursor": "The next page, as a link of the page before gave it; alone",
        "_summary": "true, text, data or false",
        "_elements": "Names of top-level elements, separated by commas",
        "mode": "full",
        "profile": "The profile of the document: that of the IPS Composition alone is offered",
    }
)
"""What the parameters of operations and reads take, which the CapabilityStatement doesn't list."""


def listed(search_params: Iterable[Json], includes: Iterable[str] = ()) -> list[Json]:
    """The query parameters of a search, from the lines of the CapabilityStatement."""
    made = {line["name"]: _query(line["name"], line["type"], line["documentation"]) for line in search_params}
    if names := sorted(includes):
        made["_include"] = _include(names)
    return [made[name] for name in sorted(made)]


def named(names: Iterable[str]) -> list[Json]:
    """The query parameters of an operation or a read."""
    return [_query(name, "special", _SAYS[name]) for name in sorted(names)]


def id_of(resource_type: str) -> Json:
    """The logical id in an address."""
    says = "The NHS number, or an id that this server gave" if resource_type == "Patient" else "As this server gave it"
    schema = {"type": "string", "pattern": r"^[A-Za-z0-9.\-]{1,64}$"}
    return {"name": "id", "in": "path", "required": True, "description": says, "schema": schema}


def _include(names: list[str]) -> Json:
    """The one parameter that may be given several times."""
    schema = {"type": "array", "items": {"type": "string", "enum": names}, "minItems": 1}
    says = "What the matches refer to, to come with them"
    return {"name": "_include", "in": "query", "required": False, "description": says, "schema": schema}


def as_form(parameters: Iterable[Json]) -> Json:
    """The same parameters in the body of a POST `_search`."""
    return {
        "type": "object",
        "properties": {each["name"]: {**each["schema"], "description": each["description"]} for each in parameters},
        "additionalProperties": False,
    }


def schema_of(name: str, kind: str) -> Json:
    """What a parameter takes, as far as a schema can say it."""
    return dict(_BY_NAME.get(name) or _BY_KIND.get(kind) or _TEXT)


def _query(name: str, kind: str, says: str) -> Json:
    return {"name": name, "in": "query", "required": False, "description": says, "schema": schema_of(name, kind)}
