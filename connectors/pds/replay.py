"""Answers this connector's own calls from saved payload files: `connectcare connector replay pds FILE…`.

A payload is what the register once sent: a Patient, a searchset, or an OperationOutcome. The status that came with it
isn't in the file, so an OperationOutcome gets the one that the register's specification gives its code.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from connectors.pds.mirrored import REQUEST_ID
from connectors.pds.outcomes import TOO_MANY_MATCHES, codes_of
from connectors.sdk.errors import WrongContent
from connectors.sdk.port import Call, Reply, Transport

_STATUS: Final = (
    (404, frozenset({"RESOURCE_NOT_FOUND", "INVALIDATED_RESOURCE"})),
    (200, frozenset({TOO_MANY_MATCHES, "not-supported"})),
    (401, frozenset({"ACCESS_DENIED"})),
    (403, frozenset({"INVALID_METHOD", "FORBIDDEN_UPDATE"})),
    (408, frozenset({"UNABLE_TO_CALL_SERVICE"})),
    (429, frozenset({"TOO_MANY_REQUESTS"})),
)
_NOBODY: Final = msgspec.json.encode(
    {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "not-found", "details": {"coding": [{"code": "RESOURCE_NOT_FOUND"}]}}],
    }
)


class _Raw(msgspec.Struct):
    resource: msgspec.Raw


class _Payload(msgspec.Struct):
    resourceType: str  # noqa: N815
    id: str = ""
    entry: list[_Raw] = []


def replaying(payloads: Sequence[bytes], nhs_number: str) -> Transport:
    """A Transport that answers a retrieval of `nhs_number`, and any search, with what of `payloads` answers it.

    Raises WrongContent for one that is not a FHIR resource in JSON.
    """
    return _Replaying(payloads, nhs_number)


class _Replaying:
    def __init__(self, payloads: Sequence[bytes], nhs_number: str) -> None:
        self._sent = [(payload, _read(payload)) for payload in payloads]
        self._nhs_number = nhs_number

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[Reply]:
        """See Transport."""
        body = self._found() if "?" in call.url else self._patient()
        yield _Saved(_status(body), body, call.headers.get(REQUEST_ID, ""))

    async def aclose(self) -> None:
        """Nothing is open."""

    def _patient(self) -> bytes:
        """The Patient of the number; else any, as for a number that was replaced; else what the register said."""
        patients = list(self._patients())
        own = [body for number, body in patients if number == self._nhs_number]
        return next(iter([*own, *(body for _, body in patients), *self._of("OperationOutcome")]), _NOBODY)

    def _patients(self) -> Iterator[tuple[str, bytes]]:
        for body, payload in self._sent:
            if payload.resourceType == "Patient":
                yield payload.id, body
            for entry in payload.entry:
                yield _read(bytes(entry.resource)).id, bytes(entry.resource)

    def _found(self) -> bytes:
        return next(iter([*self._of("Bundle"), *self._of("OperationOutcome")]), _NOBODY)

    def _of(self, kind: str) -> list[bytes]:
        return [body for body, payload in self._sent if payload.resourceType == kind]


class _Saved:
    def __init__(self, status: int, body: bytes, request_id: str) -> None:
        self.status = status
        self._body = body
        self._headers: dict[str, Any] = {"content-type": "application/fhir+json", REQUEST_ID.lower(): request_id}

    def header(self, name: str) -> str:
        return str(self._headers.get(name.lower(), ""))

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body


def _status(body: bytes) -> int:
    codes = codes_of(body)
    if codes is None:
        return 200
    return next((status for status, those in _STATUS if codes & those), 400)


def _read(payload: bytes) -> _Payload:
    try:
        return msgspec.json.decode(payload, type=_Payload)
    except (ValueError, RecursionError) as error:
        raise WrongContent("a saved payload is not a FHIR resource in JSON") from error
