"""The OpenAPI contract of Connect Care's own API (the FHIR API describes itself at `/fhir/R4/metadata`)."""

from __future__ import annotations

import json
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

from gateway.api.http import FHIR_JSON

_SCHEMAS: Final = "#/components/schemas/"
PUBLIC: Final = frozenset({"/livez", "/readyz", "/audit/checkpoint"})
"""Doors that are open to anybody: they say nothing about anybody."""

_ERRORS: Final = {
    "400": "The request is wrong in itself",
    "401": "No access token, or one that can't be accepted",
    "403": "Policy, sharing choice or permission says no",
    "413": "The body is too large",
    "415": "The body isn't JSON",
    "503": "The audit journal can't be written, or nobody could answer",
}
_OUTCOME: Final = {
    "description": "A FHIR R4 OperationOutcome: what is wrong, and what to do",
    "type": "object",
    "required": ["resourceType", "issue"],
    "properties": {"resourceType": {"const": "OperationOutcome"}, "issue": {"type": "array", "items": {}}},
}


def takes(model: type[BaseModel]) -> dict[str, Any]:
    """For a route that reads its own body: what that body is."""
    reference = {"$ref": _SCHEMAS + model.__name__}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": reference}}}}


def contract(app: FastAPI, models: tuple[type[BaseModel], ...]) -> str:
    """The document as sorted JSON text."""
    document = app.openapi()
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for model in models:
        schema = model.model_json_schema(ref_template=_SCHEMAS + "{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    schemas["OperationOutcome"] = _OUTCOME
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT (RFC 9068)"}
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete(operation, is_public=path in PUBLIC)
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _complete(operation: dict[str, Any], *, is_public: bool) -> None:
    operation["responses"].pop("422", None)
    if is_public:
        return
    operation["security"] = [{"bearer": []}]
    outcome = {FHIR_JSON: {"schema": {"$ref": _SCHEMAS + "OperationOutcome"}}}
    for status, description in _ERRORS.items():
        operation["responses"][status] = {"description": description, "content": outcome}
