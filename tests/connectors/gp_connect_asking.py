"""What the tests of `gp_connect` ask with: a practice, and a system whose every answer is written in the test."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from connectors.gp_connect import Settings, connect
from connectors.sdk.connector import Connector, Setup
from connectors.sdk.http import Httpx2Transport, Limits, Transport
from connectors.sdk.model import NHS_NUMBER_SYSTEM, Section
from connectors.sdk.organisations import Organisation
from tests.connectors.asking import NHS_NUMBER

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
RECORDS = SHARED / "gp-connect" / "records"
ERRORS = SHARED / "gp-connect" / "errors"

SERVED = frozenset(Section) - {Section.CARE_TEAM}
PRACTICE = "G85005"
ADDRESS = "http://practice.test/fhir"


def practice(ods: str = PRACTICE, address: str = ADDRESS, **settings: Any) -> Organisation:
    """A practice behind the connector, with these settings."""
    return Organisation.model_validate(
        {
            "ods": ods,
            "name": f"Practice {ods}",
            "type": "gp-practice",
            "stage": "live",
            "connector": "gp_connect",
            "address": address,
            "sections": sorted(SERVED),
            "settings": settings,
        }
    )


def connected_by(transport: Transport | None, organisation: Organisation | None = None) -> Connector:
    """The connector of a practice, over a transport."""
    organisation = organisation or practice()
    settings = Settings.model_validate(dict(organisation.settings))
    return connect(Setup(organisation, settings, transport))


def over(app: Any) -> Transport:
    """An ASGI app as a transport."""
    return Httpx2Transport(Limits(), httpx2.ASGITransport(app=app))


@asynccontextmanager
async def asked_of(app: Any, organisation: Organisation | None = None) -> AsyncIterator[Connector]:
    """The connector of a practice in front of an ASGI app."""
    connector = connected_by(over(app), organisation)
    try:
        yield connector
    finally:
        await connector.aclose()


# ---- a system written in the test ----

LISTS = {
    "allergies": "886921000000105",
    "ended": "1103671000000101",
    "medicines": "933361000000108",
    "contacts": "1149501000000101",
    "results": "887191000000108",
    "uncategorised": "826501000000100",
    "problems": "717711000000103",
    "immunisations": "1102181000000102",
}
WARNING = "https://fhir.nhs.uk/STU3/StructureDefinition/Extension-CareConnect-GPC-ListWarningCode-1"
PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [{"system": NHS_NUMBER_SYSTEM, "value": NHS_NUMBER}],
    "active": True,
}
ABOUT = {"reference": "Patient/p1"}
ALLERGY = {
    "resourceType": "AllergyIntolerance",
    "id": "a1",
    "clinicalStatus": "active",
    "verificationStatus": "unconfirmed",
    "code": {"text": "Penicillin"},
    "patient": ABOUT,
    "assertedDate": "2020-01-01",
}
APPOINTMENT = {
    "resourceType": "Appointment",
    "id": "n1",
    "status": "booked",
    "start": "2027-01-12T10:30:00+00:00",
    "end": "2027-01-12T10:40:00+00:00",
    "participant": [{"actor": {"reference": "Patient/p1"}, "status": "accepted"}],
}


def a_list(name: str, *entries: str, warnings: tuple[str, ...] = (), reason: str | None = "no-content-recorded") -> Any:
    """The List of an area; empty, with the reason, where it has no entries."""
    found: dict[str, Any] = {
        "resourceType": "List",
        "status": "current",
        "mode": "snapshot",
        "title": name,
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": LISTS.get(name, name)}]},
        "subject": ABOUT,
        "extension": [{"url": WARNING, "valueCode": code} for code in warnings],
    }
    if entries:
        found["entry"] = [{"item": {"reference": entry}} for entry in entries]
    elif reason is not None:
        found["emptyReason"] = {"coding": [{"code": reason}]}
    return found


def empty_lists(*without: str) -> list[Any]:
    """Every List of a record in which nothing is recorded, but for some."""
    return [a_list(name) for name in LISTS if name not in without]


def bundle(*resources: Any, kind: str = "collection", **more: Any) -> dict[str, Any]:
    """A Bundle of resources."""
    return {"resourceType": "Bundle", "type": kind, "entry": [{"resource": one} for one in resources], **more}


def problem(code: str, diagnostics: str = "for the record of 9990000409") -> dict[str, Any]:
    """GP Connect's OperationOutcome; the code's system varies between suppliers."""
    coding = {"system": "https://fhir.nhs.uk/anything", "code": code}
    issue = {"severity": "error", "code": "invalid", "details": {"coding": [coding]}, "diagnostics": diagnostics}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


@dataclass
class Calls:
    """What came in: method, path with query, headers, body."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Written:
    """A practice's system: `record` answers the operation, `patients` the search, `appointments` the other one.

    Each is a Bundle, a status, or both: `(404, problem("PATIENT_NOT_FOUND"))`.
    """

    record: Any = field(default_factory=lambda: bundle(PATIENT, *empty_lists()))
    patients: Any = field(default_factory=lambda: bundle(PATIENT, kind="searchset"))
    appointments: Any = field(default_factory=lambda: bundle(kind="searchset"))
    calls: list[Calls] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = scope["query_string"].decode()
        path = scope["path"] + (f"?{query}" if query else "")
        self.calls.append(Calls(scope["method"], path, headers, body))
        told = self.appointments if scope["path"].endswith("/Appointment") else self.patients
        if scope["path"].endswith("$gpc.getstructuredrecord"):
            told = self.record
        status, said = told if isinstance(told, tuple) else (told, {}) if isinstance(told, int) else (200, told)
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/fhir+json")]}
        )
        await send(
            {"type": "http.response.body", "body": said if isinstance(said, bytes) else json.dumps(said).encode()}
        )

    def only(self, part: str) -> Calls:
        """The one call whose path holds this."""
        (found,) = [call for call in self.calls if part in call.path]
        return found
