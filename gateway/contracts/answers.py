"""Which answers a door gives, in both contracts: one table of statuses, and the doors say which of them they have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from gateway.api.http import FHIR_JSON
from gateway.contracts.schemas import OUTCOME, reference

Answer = dict[str, Any]

MEANS: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "The request is wrong in itself; no source was asked",
        401: "No access token, or one that can't be accepted",
        403: "Policy, sharing choice or permission says no; the text says what to do about it",
        404: "There is no such thing for this caller",
        406: "The client takes no JSON",
        409: "What the request is about isn't as the caller saw it any more: the text says what it is now",
        410: "What a page's cursor continues is gone: begin again with the first page",
        413: "The body is too large",
        415: "The body is of a type that this address doesn't read",
        429: "More was asked than fair use allows: Retry-After says in how many seconds to try again",
        503: "The audit journal can't be written, or no source could answer. It never means that there is nothing",
    }
)
_SECONDS: Final = {"schema": {"type": "string", "pattern": "^[0-9]+$"}, "required": True}
_HEADERS: Final[Mapping[int, Mapping[str, Any]]] = MappingProxyType(
    {
        401: {
            "WWW-Authenticate": {
                "description": "What is missing of the proof (RFC 6750)",
                "schema": {"type": "string"},
                "required": True,
            }
        },
        429: {"Retry-After": {"description": "Whole seconds", **_SECONDS}},
        503: {"Retry-After": {"description": "Whole seconds; not every 503 knows", **_SECONDS, "required": False}},
    }
)
SIGNED_IN: Final = (401, 403, 429, 503)
"""Every door that takes a token may say these."""
SOURCES: Final = {
    "Connect-Care-Sources": {
        "description": "What each organisation's system said: `ods;outcome`, separated by commas",
        "schema": {"type": "string"},
    }
}


BEARER: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT (RFC 9068)",
    "description": "The access token of a person. In production it's bound to its client's key: DPoP (RFC 9449) or a "
    "certificate (RFC 8705).",
}
"""The security scheme of both contracts."""


def refusals(statuses: Iterable[int]) -> dict[int | str, Answer]:
    """The answers that aren't what was asked for, by status: each an OperationOutcome, said once for all doors."""
    return {str(status): {"$ref": f"#/components/responses/{_name(status)}"} for status in sorted(set(statuses))}


def responses() -> dict[str, Answer]:
    """What `refusals` refers to, as `components.responses`."""
    return {_name(status): _refusal(status) for status in MEANS}


def _name(status: int) -> str:
    return f"Refused{status}"


def _refusal(status: int) -> Answer:
    answer: Answer = {
        "description": MEANS[status],
        "content": {FHIR_JSON: {"schema": reference(OUTCOME)}},
    }
    if status in _HEADERS:
        answer["headers"] = dict(_HEADERS[status])
    return answer


def shown(description: str, schema: str, *, of_sources: bool = False) -> Answer:
    """The answer that was asked for, as FHIR JSON."""
    answer: Answer = {"description": description, "content": {FHIR_JSON: {"schema": reference(schema)}}}
    return {**answer, "headers": dict(SOURCES)} if of_sources else answer
