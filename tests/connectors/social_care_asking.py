"""What the tests of `social_care` ask with: a council's connector, and a facade that says what the test wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from connectors.sdk.connector import Connector, connect
from connectors.sdk.http import Httpx2Transport, Limits, Transport
from connectors.sdk.model import NHS_NUMBER_SYSTEM, Answer, Item, Section, Traced
from connectors.sdk.organisations import Organisation
from tests.connectors.asking import BASE, NHS_NUMBER, Source, asking

GRACE, MIA = NHS_NUMBER, "9990000824"
LEONARD, DORIS, IRENE, STRANGER = "9990001049", "9990001057", "9990001073", "9990000018"
COUNCIL = frozenset({Section.DEMOGRAPHICS, Section.CONTACTS, Section.CARE_TEAM})
CONTACTS, TEAMS = frozenset({Section.CONTACTS}), frozenset({Section.CARE_TEAM})
STATUS = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NHSNumberVerificationStatus"
CLASS = {"code": "AMB"}
SUBJECT = {"reference": "Patient/p1"}
ABSENT = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}


def organisation(ods: str = "709", **settings: Any) -> Organisation:
    """A council behind the connector."""
    return Organisation.model_validate(
        {
            "ods": ods,
            "name": "A council",
            "type": "council",
            "stage": "live",
            "connector": "social_care",
            "address": BASE,
            "sections": sorted(COUNCIL),
            "settings": settings,
        }
    )


@asynccontextmanager
async def council(
    app: Any, ods: str = "709", transport: Transport | None = None, **settings: Any
) -> AsyncIterator[Connector]:
    """The connector of one council in front of an ASGI app, or of a transport."""
    through = transport or Httpx2Transport(Limits(), httpx2.ASGITransport(app=app))
    connector = connect(organisation(ods, **settings), transport=through)
    try:
        yield connector
    finally:
        await connector.aclose()


async def ask(
    app: Any,
    sections: frozenset[Section] = COUNCIL,
    nhs_number: str = NHS_NUMBER,
    *,
    ods: str = "709",
    seconds: float = 5.0,
    **settings: Any,
) -> Answer:
    """One question to one council."""
    async with council(app, ods, **settings) as connector:
        return await connector.ask(asking(nhs_number, sections, seconds))


def numbered(code: str | None = "01", number: str = NHS_NUMBER) -> dict[str, Any]:
    """An NHS number with a verification status; None for none."""
    status = {"url": STATUS, "valueCodeableConcept": {"coding": [{"system": "urn:x", "code": code}]}}
    return {"system": NHS_NUMBER_SYSTEM, "value": number, **({"extension": [status]} if code else {})}


def person(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "p1", "identifier": [numbered()], **more}


def case(id_: str = "c1", **more: Any) -> dict[str, Any]:
    return {"resourceType": "EpisodeOfCare", "id": id_, "status": "active", "patient": SUBJECT, **more}


def visit(id_: str = "v1", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Encounter", "id": id_, "status": "finished", "class": CLASS, "subject": SUBJECT, **more}


def bundle(*found: dict[str, Any], total: int | None = -1, **more: Any) -> dict[str, Any]:
    """An answer as a facade gives it; `total` counts the first resource's type unless it is given (None: none)."""
    first = found[0]["resourceType"] if found else ""
    counted = sum(one["resourceType"] == first for one in found) if total == -1 else total
    said = {} if counted is None else {"total": counted}
    entries = {"entry": [{"resource": one} for one in found]} if found else {}
    return {"resourceType": "Bundle", "type": "searchset", **said, **entries, **more}


def facade(*found: dict[str, Any], **plays: Any) -> Source:
    """A facade that answers the search for the type of `found` with it, and for the others as `plays` say."""
    answers: dict[str, Any] = {
        "Patient": bundle(person()),
        "EpisodeOfCare": bundle(total=0),
        "Encounter": bundle(total=0),
    }
    if found:
        answers[found[0]["resourceType"]] = bundle(*found)
    return Source({**answers, **plays})


def items(answer: Answer, kind: str) -> list[dict[str, Any]]:
    """The resources of one type."""
    return [item.resource for item in answer.items if item.type == kind]


def only(answer: Answer, kind: str) -> dict[str, Any]:
    """The one resource of a type."""
    (found,) = items(answer, kind)
    return found


def trace(answer: Answer, key: str) -> Traced:
    """What became of one resource."""
    (found,) = [one for one in answer.traced if one.key == key]
    return found


def keys(found: list[Item]) -> set[str]:
    return {item.key for item in found}
