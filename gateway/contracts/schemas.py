"""What an answer of the FHIR API looks like, as JSON Schema: the frame that every client reads.

FHIR R4 itself says what stands inside a resource; to repeat its 700 pages here would be a second place to be wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

Schema = dict[str, Any]
SCHEMAS: Final = "#/components/schemas/"
OUTCOME: Final = "OperationOutcome"
BUNDLE: Final = "Bundle"
STATEMENT: Final = "CapabilityStatement"
PARAMETERS: Final = "Parameters"

_ISSUE_CODES: Final = (
    *("invalid", "structure", "required", "value", "invariant", "security", "login", "unknown", "expired", "forbidden"),
    *("suppressed", "processing", "not-supported", "duplicate", "multiple-matches", "not-found", "deleted", "too-long"),
    *("code-invalid", "extension", "too-costly", "business-rule", "conflict", "transient", "lock-error", "no-store"),
    *("exception", "timeout", "incomplete", "throttled", "informational"),
)
"""FHIR R4's issue-type: the value set is required, so a client may rely on it."""

OPERATION_OUTCOME: Final[Schema] = {
    "description": "A FHIR R4 OperationOutcome: what is wrong, and what to do",
    "type": "object",
    "required": ["resourceType", "issue"],
    "properties": {
        "resourceType": {"const": OUTCOME},
        "issue": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["severity", "code", "details"],
                "properties": {
                    "severity": {"enum": ["fatal", "error", "warning", "information"]},
                    "code": {"enum": list(_ISSUE_CODES)},
                    "details": {
                        "type": "object",
                        "properties": {"text": {"type": "string", "description": "In words, for a person"}},
                    },
                    "diagnostics": {"type": "string", "description": "The request's id, for whoever looks into it"},
                    "expression": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
    },
}

_LINK: Final[Schema] = {
    "type": "object",
    "required": ["relation", "url"],
    "properties": {
        "relation": {"type": "string", "description": "self, and next where there is another page"},
        "url": {"type": "string"},
    },
}
_ENTRY: Final[Schema] = {
    "type": "object",
    "properties": {
        "fullUrl": {"type": "string"},
        "resource": {"$ref": SCHEMAS + "Resource"},
        "search": {
            "type": "object",
            "required": ["mode"],
            "properties": {"mode": {"enum": ["match", "include", "outcome"]}},
        },
        "response": {
            "type": "object",
            "required": ["status"],
            "properties": {"status": {"type": "string"}, "outcome": {"$ref": SCHEMAS + "Resource"}},
        },
    },
}
_BUNDLE: Final[Schema] = {
    "description": "A FHIR R4 Bundle. A searchset that isn't whole says so three ways: an entry with "
    "search.mode=outcome, meta.tag, and the header Connect-Care-Sources.",
    "type": "object",
    "required": ["resourceType", "type"],
    "properties": {
        "resourceType": {"const": BUNDLE},
        "id": {"type": "string"},
        "type": {"enum": ["searchset", "document", "batch-response"]},
        "total": {"type": "integer", "minimum": 0, "description": "Matches on all pages, of those that may be shown"},
        "link": {"type": "array", "items": _LINK},
        "entry": {"type": "array", "items": {"$ref": SCHEMAS + "Entry"}},
    },
}
_RESOURCE: Final[Schema] = {
    "description": "A FHIR R4 resource",
    "type": "object",
    "required": ["resourceType"],
    "properties": {"resourceType": {"type": "string"}, "id": {"type": "string"}},
}
_PARAMETERS: Final[Schema] = {
    "description": "A FHIR R4 Parameters resource: the operation's parameters, each with a value of its own type",
    "type": "object",
    "required": ["resourceType"],
    "properties": {
        "resourceType": {"const": PARAMETERS},
        "parameter": {
            "type": "array",
            "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        },
    },
}
_BATCH: Final[Schema] = {
    "description": "A batch of reads and searches; each is answered, refused and audited by itself",
    "type": "object",
    "required": ["resourceType", "type", "entry"],
    "properties": {
        "resourceType": {"const": BUNDLE},
        "type": {"const": "batch"},
        "entry": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["request"],
                "properties": {
                    "request": {
                        "type": "object",
                        "required": ["method", "url"],
                        "properties": {"method": {"const": "GET"}, "url": {"type": "string"}},
                    }
                },
            },
        },
    },
}


def resource_of(resource_type: str) -> Schema:
    """One resource of this type, with its logical id."""
    return {
        "description": f"A FHIR R4 {resource_type}",
        "type": "object",
        "required": ["resourceType", "id"],
        "properties": {"resourceType": {"const": resource_type}, "id": {"type": "string"}},
    }


def components(resource_types: Iterable[str]) -> dict[str, Schema]:
    """The schemas of the FHIR contract by name."""
    statement = {**resource_of(STATEMENT), "required": ["resourceType", "status", "rest"]}
    return {
        OUTCOME: OPERATION_OUTCOME,
        BUNDLE: _BUNDLE,
        "Entry": _ENTRY,
        "Resource": _RESOURCE,
        "Batch": _BATCH,
        PARAMETERS: _PARAMETERS,
        STATEMENT: statement,
        **{name: resource_of(name) for name in resource_types},
    }


def reference(name: str) -> Schema:
    """A reference to one of them."""
    return {"$ref": SCHEMAS + name}
