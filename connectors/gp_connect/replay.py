"""A saved structured record, answered to the connector's own calls: what became of each resource of it can be seen.

A payload is a Bundle of a structured record, a searchset of appointments, or an OperationOutcome, as it was saved.
Several records are answered as one. Nothing goes over a network.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from connectors.gp_connect.directory import stand_in
from connectors.sdk.bundle import read_object
from connectors.sdk.http import Call, Reply, Transport
from connectors.sdk.model import ODS_SYSTEM, Resource

MASKED: Final = "1234567890"
"""What stands for the NHS number in records that were masked before they were published."""

_ADDRESS: Final = "https://replay.invalid/fhir"
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


def replaying(payloads: Sequence[bytes], nhs_number: str) -> Transport:
    """A Transport that answers with the payloads. A masked NHS number in them becomes `nhs_number`, where it's given.

    Raises a `SourceError` for a payload that isn't JSON within the SDK's bounds, ValueError for one of another kind.
    """
    return _Replay([read_object(_unmasked(payload, nhs_number)) for payload in payloads])


def _unmasked(payload: bytes, nhs_number: str) -> bytes:
    return payload.replace(f'"{MASKED}"'.encode(), f'"{nhs_number}"'.encode()) if nhs_number else payload


class _Replay:
    def __init__(self, saved: Sequence[Resource]) -> None:
        self._problem: Resource | None = None
        self._record: list[Any] | None = None
        self._appointments: list[Any] = []
        for one in saved:
            self._sort(one)

    def _sort(self, saved: Resource) -> None:
        entries = saved.get("entry", [])
        match saved.get("resourceType"), saved.get("type"):
            case "OperationOutcome", _:
                self._problem = saved
            case "Bundle", "searchset" if isinstance(entries, list):
                self._appointments += entries
            case "Bundle", _ if isinstance(entries, list):
                self._record = [*(self._record or []), *entries]
            case _:
                raise ValueError("A payload is neither a Bundle nor an OperationOutcome.")

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[Reply]:
        """See Transport."""
        status, body = self._answer(call)
        yield _Saved(status, _encode(body))

    async def aclose(self) -> None:
        """Nothing is open."""

    def _answer(self, call: Call) -> tuple[int, Resource]:
        path = urlsplit(call.url).path
        if path.endswith(("/Endpoint", "/Device")):
            return 200, _directory(call.url)
        if path.endswith("/$gpc.getstructuredrecord"):
            if self._record is None:
                # The code in it decides, not the status; without one it is a question that wasn't understood.
                return 400, self._problem or {"resourceType": "OperationOutcome", "issue": []}
            return 200, {"resourceType": "Bundle", "type": "collection", "entry": self._record}
        found = self._appointments if path.endswith("/Appointment") else self._patients()
        return 200, {"resourceType": "Bundle", "type": "searchset", "entry": found}

    def _patients(self) -> list[Any]:
        found = [one for one in self._record or () if _type_of(one) == "Patient"]
        return found[:1]


def _type_of(entry: Any) -> Any:
    resource = entry.get("resource") if isinstance(entry, dict) else None
    return resource.get("resourceType") if isinstance(resource, dict) else None


def _directory(url: str) -> Resource:
    """An endpoint and an ASID for whoever is asked for: a replay leads nowhere else."""
    parts = urlsplit(url)
    ods = dict(parse_qsl(parts.query)).get("organization", "").partition("|")[2]
    owner = {"identifier": {"system": ODS_SYSTEM, "value": ods}}
    asid = [{"system": "https://fhir.nhs.uk/Id/nhsSpineASID", "value": stand_in(ods)}]
    found = (
        {"resourceType": "Endpoint", "status": "active", "address": _ADDRESS, "managingOrganization": owner}
        if parts.path.endswith("/Endpoint")
        else {"resourceType": "Device", "identifier": asid, "owner": owner}
    )
    return {"resourceType": "Bundle", "type": "searchset", "total": 1, "entry": [{"resource": found}]}


class _Saved:
    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self._body = body

    def header(self, name: str) -> str:
        return "application/fhir+json" if name.lower() == "content-type" else ""

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body
