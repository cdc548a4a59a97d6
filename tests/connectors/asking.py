"""What the connectors' tests ask with: an Ask, and a source whose every page is written in the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

import httpx2

from connectors.sdk.connector import Connector, connect
from connectors.sdk.http import Httpx2Transport, Limits
from connectors.sdk.model import NHS_NUMBER_SYSTEM, Answer, Ask, AskedBy, Item, Section
from connectors.sdk.organisations import Organisation

BASE = "http://source.test/fhir"
NHS_NUMBER = "9990000409"
ALL = frozenset(Section)

ASKED_BY = AskedBy(
    user_id="555021935107",
    name="Dr Test",
    role_profile_id="555021941100",
    job_role_code="R8000",
    role="gp",
    organisation="G85005",
    organisation_name="South Lewisham",
    purpose="TREAT",
)


def asking(nhs_number: str = NHS_NUMBER, sections: frozenset[Section] = ALL, seconds: float = 5.0) -> Ask:
    """An Ask for some sections of one patient."""
    deadline = asyncio.get_running_loop().time() + seconds
    return Ask(nhs_number, sections, ASKED_BY, deadline, "4d1f0d0e-0000-4000-8000-000000000001")


def trust(settings: Mapping[str, Any] = MappingProxyType({}), address: str = BASE) -> Organisation:
    """A trust that holds every section, behind `fhir_r4` as `settings` describe it."""
    return Organisation.model_validate(
        {
            "ods": "RJ2",
            "name": "A trust",
            "type": "acute-trust",
            "stage": "live",
            "connector": "fhir_r4",
            "address": address,
            "sections": list(Section),
            "settings": dict(settings),
        }
    )


@asynccontextmanager
async def connected(app: Any, **settings: Any) -> AsyncIterator[Connector]:
    """The connector that `settings` describe, in front of an ASGI app, without a network."""
    async with in_front_of(httpx2.ASGITransport(app=app), trust(settings)) as connector:
        yield connector


@asynccontextmanager
async def in_front_of(system: httpx2.AsyncBaseTransport, organisation: Organisation) -> AsyncIterator[Connector]:
    """The organisation's connector, in front of what answers in the network's place."""
    connector = connect(organisation, transport=Httpx2Transport(Limits(), system))
    try:
        yield connector
    finally:
        await connector.aclose()


PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [{"system": NHS_NUMBER_SYSTEM, "value": NHS_NUMBER}],
}
SUBJECT = {"reference": "Patient/p1"}


def resource(kind: str, number: int | str, **more: Any) -> dict[str, Any]:
    """A small well-shaped resource of the patient."""
    elements: dict[str, dict[str, Any]] = {
        "AllergyIntolerance": {"patient": SUBJECT},
        "Observation": {"status": "final", "code": {"text": "x"}, "subject": SUBJECT},
        "MedicationStatement": {
            "status": "active",
            "subject": SUBJECT,
            "medicationReference": {"reference": "Medication/1"},
        },
        "Encounter": {"status": "finished", "class": {"code": "AMB"}, "subject": SUBJECT},
    }
    return {"resourceType": kind, "id": f"{kind[:3]}{number}", **elements.get(kind, {}), **more}


def outcome(code: str, severity: str = "warning") -> dict[str, Any]:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code}]}


def entry(found: dict[str, Any], mode: str = "match") -> dict[str, Any]:
    return {"resource": found, "search": {"mode": mode}}


def page(*found: dict[str, Any], links: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """A searchset of resources, or of whole entries where they have a `resource`."""
    entries = [one if "resource" in one else entry(one) for one in found]
    given = [{"relation": relation, "url": url} for relation, url in (links or {}).items()]
    return {"resourceType": "Bundle", "type": "searchset", "link": given, "entry": entries, **more}


Play = Callable[["Question"], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Question:
    """One call: the path below the base, and its parameters."""

    kind: str
    query: str
    headers: dict[str, str]

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl(self.query))


@dataclass
class Source:
    """A source that answers each type with what stands in `plays`: a page, a status, bytes, or a function of the call.

    A type that isn't there has an empty page; the Patient is there from the beginning.
    """

    plays: dict[str, Any] = field(default_factory=dict)
    calls: list[Question] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        kind = scope["path"].removeprefix("/fhir").strip("/")
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        question = Question(kind, scope["query_string"].decode(), headers)
        self.calls.append(question)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            play = self.plays.get(kind, page(PATIENT) if kind == "Patient" else page())
            told = await play(question) if callable(play) else play
        finally:
            self.under_way -= 1
        status, body = (told, b"{}") if isinstance(told, int) else (200, told)
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        content_type = [(b"content-type", b"application/fhir+json")]
        await send({"type": "http.response.start", "status": status, "headers": content_type})
        await send({"type": "http.response.body", "body": body})

    def kinds(self) -> list[str]:
        return [question.kind for question in self.calls]


def ids(answer: Answer, kind: str) -> list[str]:
    """The original ids of an answer's items of one type, in its order."""
    found: list[Item] = [item for item in answer.items if item.type == kind]
    return [item.original_id for item in found]
