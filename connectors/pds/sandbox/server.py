"""The register's two questions, GET /Patient/{NHS number} and GET /Patient?…, answered as it does: headers first."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs
from uuid import UUID

import msgspec

from connectors.kit.asgi import FHIR_JSON, Receive, Scope, Send, reply
from connectors.kit.faults import Mode, mode_of
from connectors.pds.sandbox.register import Criteria, Patient, Register, as_found, plain
from connectors.sdk.nhs_number import is_nhs_number

_SPINE: Final = "https://fhir.nhs.uk/R4/CodeSystem/Spine-ErrorOrWarningCode"
_PARAMETERS: Final = frozenset(
    {"family", "given", "birthdate", "gender", "address-postalcode", "_max-results", "_exact-match", "_fuzzy-match"}
)
_BIRTH_DATE: Final = re.compile(r"(?:eq)?(\d{4}-\d{2}-\d{2})", re.ASCII)
_DIGITS: Final = re.compile(r"[0-9]+", re.ASCII)
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_MIRRORED: Final = (b"x-request-id", b"x-correlation-id")


class Refusal(Exception):
    """The register answers with an OperationOutcome: `spine` is its own code, `code` R4's issue type."""

    def __init__(self, status: int, code: str, spine: str) -> None:
        super().__init__(spine)
        self.status, self.code, self.spine = status, code, spine

    @property
    def body(self) -> bytes:
        """The OperationOutcome."""
        details = {"coding": [{"system": _SPINE, "version": "1", "code": self.spine}]}
        issue = {"severity": "error", "code": self.code, "details": details}
        return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [issue]})


@dataclass(frozen=True, slots=True)
class Question:
    """One call: what lies below the base path, its parameters, its headers."""

    steps: tuple[str, ...]
    parameters: dict[str, list[str]] = field(repr=False)
    headers: dict[bytes, bytes] = field(repr=False)
    mode: Mode

    def one(self, name: str) -> str | None:
        """A parameter that may stand once. Raises Refusal."""
        values = self.parameters.get(name, [])
        if len(values) > 1:
            raise Refusal(400, "value", "TOO_MANY_VALUES_SUBMITTED")
        return values[0] if values else None


class RegisterServer:
    """ASGI app over a register, under `base_path`."""

    def __init__(self, register: Register, *, base_path: str = "/fhir") -> None:
        self._register = register
        self._base_path = base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        try:
            status, body = 200, self._answer(scope, headers)
        except Refusal as refusal:
            status, body = refusal.status, refusal.body
        mirrored = [(name, headers[name]) for name in _MIRRORED if name in headers]
        await reply(send, status, body, FHIR_JSON, *mirrored)

    def _answer(self, scope: Scope, headers: dict[bytes, bytes]) -> bytes:
        question = Question(
            tuple(scope["path"].removeprefix(self._base_path).strip("/").split("/")),
            parse_qs(scope["query_string"].decode("ascii", "replace"), keep_blank_values=True),
            headers,
            mode_of(scope),
        )
        if scope["method"] != "GET":
            raise Refusal(403, "forbidden", "INVALID_METHOD")
        _check_headers(headers)
        match question.steps:
            case ("Patient",):
                return self._search(question)
            case ("Patient", number):
                return self._retrieve(number, question.mode)
        raise Refusal(400, "processing", "UNSUPPORTED_SERVICE")

    def _retrieve(self, number: str, mode: Mode) -> bytes:
        if not is_nhs_number(number):
            raise Refusal(400, "value", "INVALID_RESOURCE_ID")
        if number in self._register.invalidated:
            raise Refusal(404, "processing", "INVALIDATED_RESOURCE")
        patient = self._register.patient(number)
        if patient is None:
            raise Refusal(404, "not-found", "RESOURCE_NOT_FOUND")
        return msgspec.json.encode(self._lied(patient, mode))

    def _search(self, question: Question) -> bytes:
        criteria = _criteria(question)
        found = self._register.search(criteria)
        if len(found) > criteria.most:
            raise Refusal(200, "multiple-matches", "TOO_MANY_MATCHES")
        return _searchset([(as_found(self._lied(patient, question.mode)), score) for patient, score in found])

    def _lied(self, patient: Patient, mode: Mode) -> Patient:
        """In a lying mode, somebody else: openly, or behind the id that was asked for."""
        if mode not in (Mode.LYING, Mode.LYING_QUIETLY):
            return patient
        other = self._register.next_after(patient["id"])
        return other if mode is Mode.LYING else {**other, "id": patient["id"]}


def _check_headers(headers: dict[bytes, bytes]) -> None:
    if b"x-request-id" not in headers:
        raise Refusal(400, "required", "MISSING_VALUE")
    try:
        UUID(headers[b"x-request-id"].decode("ascii"))
    except ValueError as error:
        raise Refusal(400, "value", "INVALID_VALUE") from error
    if not _DIGITS.fullmatch(headers.get(b"nhsd-session-urid", b"0").decode("latin-1")):
        raise Refusal(400, "value", "INVALID_VALUE")


def _criteria(question: Question) -> Criteria:
    if not question.parameters:
        raise Refusal(400, "processing", "UNSUPPORTED_SERVICE")
    if question.parameters.keys() - _PARAMETERS:
        raise Refusal(400, "invariant", "ADDITIONAL_PROPERTIES")
    born, family, given = question.one("birthdate"), question.one("family"), question.parameters.get("given", [])
    if born is None:
        raise Refusal(400, "required", "MISSING_VALUE")
    date = _BIRTH_DATE.fullmatch(born)
    if date is None:
        raise Refusal(400, "value", "INVALID_VALUE")
    if not family or any("*" in name for name in (family, *given)) or question.one("_fuzzy-match") == "true":
        raise Refusal(400, "value", "INVALID_SEARCH_DATA")  # the register knows both; the stand-in doesn't
    postcode = question.one("address-postalcode")
    return Criteria(
        family,
        date[1],
        tuple(given),
        question.one("gender"),
        None if postcode is None else plain(postcode),
        _most(question.one("_max-results")),
        exact=question.one("_exact-match") == "true",
    )


def _most(text: str | None) -> int:
    if text is None:
        return 50
    if not _DIGITS.fullmatch(text) or not 1 <= int(text) <= 50:
        raise Refusal(400, "value", "INVALID_VALUE")
    return int(text)


def _searchset(found: list[tuple[Patient, Any]]) -> bytes:
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "timestamp": "2026-09-01T08:15:00+00:00",
        "total": len(found),
    }
    if found:
        bundle["entry"] = [
            {
                "fullUrl": f"https://api.service.nhs.uk/personal-demographics/FHIR/R4/Patient/{patient['id']}",
                "search": {"score": score},
                "resource": patient,
            }
            for patient, score in found
        ]
    return _encode(bundle)
