"""The OpenAPI contract of Connect Care's own API (`gateway.contracts.fhir` makes that of the FHIR API).

Its refusals are OperationOutcomes like those of the FHIR API: one shape for a client that uses both, and one maker of
them (docs/decisions/0019-contracts-and-fair-use.md).
"""

from __future__ import annotations

import copy
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

from gateway.contracts.answers import BEARER, SIGNED_IN, refusals, responses
from gateway.contracts.schemas import SCHEMAS, components

PUBLIC: Final = frozenset({"/livez", "/readyz", "/audit/checkpoint"})
"""Doors that are open to anybody: they say nothing about anybody."""

Json = dict[str, Any]


def takes(model: type[BaseModel]) -> Json:
    """For a route that reads its own body: what that body is."""
    reference = {"$ref": SCHEMAS + model.__name__}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": reference}}}}


def own_contract(app: FastAPI, models: tuple[type[BaseModel], ...]) -> Json:
    """The document of all doors that the app lists (`include_in_schema`)."""
    document = copy.deepcopy(app.openapi())
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for model in models:
        schema = model.model_json_schema(ref_template=SCHEMAS + "{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    schemas.update(components(()))
    document["components"] |= {"responses": responses(), "securitySchemes": {"bearer": BEARER}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete(operation, path)
    return document


def _complete(operation: Json, path: str) -> None:
    """What every door of its kind may answer; a route says itself what is its own."""
    answers = operation["responses"]
    answers.pop("422", None)
    for answer in answers.values():
        if "$ref" in answer:
            answer.pop("description", None)  # FastAPI's own: the reference says more
    if path in PUBLIC:
        return
    operation.setdefault("security", [{"bearer": []}])
    usual = [*SIGNED_IN, 400]
    if any(parameter["in"] == "path" for parameter in operation.get("parameters", ())):
        usual.append(404)
    if "requestBody" in operation:
        usual += [413, 415]
    for status, answer in refusals(usual).items():
        answers.setdefault(status, answer)
