"""A refusal or fault as a FHIR OperationOutcome."""

from __future__ import annotations

from typing import Any, Final

from fhir.resources.R4B.operationoutcome import OperationOutcome

from gateway.errors import GatewayError

_LONGEST_REQUEST_ID: Final = 128


def operation_outcome(error: GatewayError, request_id: str) -> bytes:
    """The body of an error answer: `told`, where it is known to lie, and the request id. Never the operator's text."""
    issue: dict[str, Any] = {"severity": "error", "code": error.code, "details": {"text": error.told}}
    printable = "".join(character for character in request_id if character.isprintable()).strip()
    if printable:
        issue["diagnostics"] = f"Request {printable[:_LONGEST_REQUEST_ID]}"
    if error.expression:
        issue["expression"] = [error.expression]
    return OperationOutcome.model_validate({"issue": [issue]}).model_dump_json().encode()
