"""What the tests of `pds` ask with: the register's stand-in, or one answer that is written in the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from connectors.pds.connector import Pds
from connectors.sdk.connector import connect
from connectors.sdk.http import Httpx2Transport, Limits, Transport
from connectors.sdk.model import Ask, AskedBy, Found, Item, PersonSought, Section
from connectors.sdk.organisations import Organisation
from tests.connectors.asking import ASKED_BY, NHS_NUMBER, asking

BASE = "http://register.test/fhir"
DATA = Path(__file__).parents[3] / "shared/data/pds"
"""The register's own team's examples, beside the repository; see its README. Tests skip where they are absent."""

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
DEMOGRAPHICS = frozenset({Section.DEMOGRAPHICS})


def organisation(**settings: Any) -> Organisation:
    """The register's entry."""
    return Organisation.model_validate(
        {
            "ods": "X26",
            "name": "NHS England, Personal Demographics Service",
            "type": "national-service",
            "stage": "live",
            "connector": "pds",
            "address": BASE,
            "sections": ["demographics"],
            "settings": settings,
        }
    )


@asynccontextmanager
async def registered(app: Any = None, *, transport: Transport | None = None, **settings: Any) -> AsyncIterator[Pds]:
    """The connector in front of an ASGI app or another transport."""
    inner = transport or Httpx2Transport(Limits(), httpx2.ASGITransport(app=app))
    connector = connect(organisation(**settings), transport=inner)
    assert isinstance(connector, Pds)
    try:
        yield connector
    finally:
        await connector.aclose()


def of(nhs_number: str = NHS_NUMBER, seconds: float = 5.0) -> Ask:
    """An Ask for who a person is."""
    return asking(nhs_number, DEMOGRAPHICS, seconds)


def person(
    family: str = "Adebayo",
    given: str = "Grace",
    birth_date: str = "1958-03-12",
    *,
    gender: str | None = None,
    postcode: str | None = None,
    asked_by: AskedBy = ASKED_BY,
    request_id: str = "4d1f0d0e-0000-4000-8000-000000000002",
) -> PersonSought:
    """Somebody whose number nobody knows: Grace Adebayo, but for what is given."""
    deadline = asyncio.get_running_loop().time() + 5.0
    return PersonSought(family, given, birth_date, asked_by, deadline, request_id, gender, postcode)


@dataclass
class Says:
    """An ASGI app that answers every call with one status and body, mirrors the request's id, and keeps the calls."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    mirrors: bool = True
    calls: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        asked = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        self.calls.append({"path": scope["path"], "query": scope["query_string"].decode(), **asked})
        headers = {"content-type": "application/fhir+json", **self.headers}
        if self.mirrors:
            headers["x-request-id"] = asked["x-request-id"].upper()
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        await send({"type": "http.response.start", "status": self.status, "headers": encoded})
        await send({"type": "http.response.body", "body": body})


def patient(nhs_number: str = NHS_NUMBER, security: str | None = "U", **more: Any) -> dict[str, Any]:
    """A small Patient as the register sends one."""
    meta = {"security": [{"system": CONFIDENTIALITY, "code": security}]} if security else {}
    return {
        "resourceType": "Patient",
        "id": nhs_number,
        "meta": {"versionId": "2", **meta},
        "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": nhs_number}],
        "name": [{"use": "usual", "family": "Adebayo", "given": ["Grace"]}],
        "gender": "female",
        "birthDate": "1958-03-12",
        **more,
    }


def searchset(*found: dict[str, Any], score: Any = 1, **more: Any) -> dict[str, Any]:
    """A searchset as the register sends one: no `mode`, a score for each."""
    entries = [{"search": {"score": score}, "resource": one} for one in found]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries} | more


def outcome(spine: str, code: str = "processing") -> dict[str, Any]:
    """An OperationOutcome as the register sends one."""
    coding = {"system": "https://fhir.nhs.uk/R4/CodeSystem/Spine-ErrorOrWarningCode", "code": spine}
    issue = {"severity": "error", "code": code, "details": {"coding": [coding]}, "diagnostics": f"on {NHS_NUMBER}"}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


async def asked_of(app: Any, ask: Ask | None = None) -> Item:
    """The one item of an answer."""
    async with registered(app) as connector:
        answer = await connector.ask(ask or of())
    (item,) = answer.items
    return item


async def found_by(app: Any, sought: PersonSought | None = None) -> Found:
    """What a search comes to."""
    async with registered(app) as connector:
        return await connector.find(sought or person())


WHEREABOUTS: dict[str, Any] = {
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">HIDDENPLACE</div>'},
    "contained": [{"resourceType": "Organization", "id": "o1", "name": "HIDDENPLACE"}],
    "address": [{"use": "home", "line": ["HIDDENPLACE"], "postalCode": "SE1 1AA"}],
    "telecom": [{"system": "phone", "value": "HIDDENPLACE"}],
    "contact": [{"telecom": [{"system": "phone", "value": "HIDDENPLACE"}]}],
    "photo": [{"title": "HIDDENPLACE"}],
    "generalPractitioner": [{"type": "Organization", "display": "HIDDENPLACE"}],
    "managingOrganization": {"reference": "#o1", "display": "HIDDENPLACE"},
    "extension": [
        {
            "url": "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NominatedPharmacy",
            "valueReference": {"display": "HIDDENPLACE"},
        },
        {
            "url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace",
            "valueAddress": {"city": "HIDDENPLACE"},
        },
    ],
    "_birthDate": {"extension": [{"url": "urn:x", "valueString": "HIDDENPLACE"}]},
    "link": [{"type": "seealso", "other": {"display": "HIDDENPLACE"}}],
    "unheardOf": "HIDDENPLACE",
}
"""Every element that could tell where somebody is, all with one word to look for."""
