"""A connector with no fault, small enough to plant one in: three searches of an R4 source, after the Patient.

Each step is a method, so that a mutant is this connector with one of them wrong. It stands on the SDK alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import TypeAdapter

from connectors.fhir_r4.sandbox import holdings
from connectors.fhir_r4.sandbox.flavours import Flavour
from connectors.fhir_r4.sandbox.holdings import Holdings
from connectors.fhir_r4.sandbox.server import FhirServer
from connectors.kit.sandbox import Sandbox
from connectors.kit.subject import KitSettings, Subject
from connectors.sdk.auth import AuthSettings, authorizer
from connectors.sdk.budget import Budget
from connectors.sdk.bundle import Page, read_bundle
from connectors.sdk.errors import Ambiguous, NoRecord, Refused, SourceError, SourceTimeout, TooMuch, WrongContent
from connectors.sdk.http import AiohttpTransport, Limits, SourceClient
from connectors.sdk.model import (
    NHS_NUMBER_SYSTEM,
    SECTION_OF_TYPE,
    SUPPORTING_TYPES,
    Answer,
    Ask,
    Gap,
    Item,
    Outcome,
    Resource,
    Section,
)
from connectors.sdk.nhs_number import same_number
from connectors.sdk.organisations import Organisation

KINDS: Mapping[Section, str] = {
    Section.ALLERGIES: "AllergyIntolerance",
    Section.CONTACTS: "Encounter",
    Section.RESULTS: "Observation",
}
LIMITS = Limits(max_bytes=8 * 1024 * 1024)
"""Less than the usual 32 MiB: bodies over the cap are read up to it, and a few dozen mutants read them all."""


@dataclass(slots=True)
class Look:
    """One question on its way."""

    ask: Ask
    client: SourceClient
    budget: Budget = field(default_factory=Budget)


@dataclass(slots=True)
class Part:
    """What one section brought."""

    resources: list[Resource] = field(default_factory=list)
    gap: Gap | None = None
    detail: str = ""


class Reference:
    """See the module."""

    max_pages = 10
    alone = False
    """True for a mutant that measures time itself: it is played by itself."""

    def __init__(self, organisation: Organisation) -> None:
        self.source = organisation.ods
        self.address = str(organisation.address)
        auth = TypeAdapter[Any](AuthSettings).validate_python(organisation.settings["auth"])
        self.authorize = authorizer(auth)
        self.transport = AiohttpTransport(LIMITS)
        self.client = self.make_client()

    def make_client(self) -> SourceClient:
        return SourceClient(self.address, self.transport, authorize=self.authorize, limits=LIMITS)

    async def aclose(self) -> None:
        await self.client.aclose()

    async def ask(self, ask: Ask) -> Answer:
        look = Look(ask, self.client.counted())
        patient = await self.person(look)
        asked = sorted(self.asked(ask))
        if self.carries(patient, ask.nhs_number):
            parts = await asyncio.gather(*(self.section(look, patient, section) for section in asked))
        else:
            parts = [Part(gap=Gap.IDENTITY_ALARM) for _ in asked]
        return self.answer(look, patient, dict(zip(asked, parts, strict=True)))

    def asked(self, ask: Ask) -> set[Section]:
        return set(ask.sections & KINDS.keys())

    def carries(self, patient: Resource, nhs_number: str) -> bool:
        return any(
            identifier.get("system") == NHS_NUMBER_SYSTEM and same_number(str(identifier.get("value")), nhs_number)
            for identifier in patient.get("identifier", [])
        )

    async def person(self, look: Look) -> Resource:
        page = await self.page(look, f"Patient?identifier={NHS_NUMBER_SYSTEM}%7C{look.ask.nhs_number}")
        found = [entry.resource for entry in page.entries if entry.resource["resourceType"] == "Patient"]
        if page.held_back:
            raise WrongContent("a Patient of broken shape")
        if len(found) > 1:
            raise Ambiguous("several Patients")
        if not found:
            raise NoRecord("no Patient")
        return found[0]

    async def section(self, look: Look, patient: Resource, section: Section) -> Part:
        part = Part()
        try:
            await self.pages(look, f"{KINDS[section]}?patient={patient['id']}", section, part)
        except SourceError as error:
            self.failed(error, section, part)
        return part

    def failed(self, error: SourceError, section: Section, part: Part) -> None:
        part.gap, part.detail = self.gap_of(error), f"{section}: {type(error).__name__}: {error}"

    async def pages(self, look: Look, url: str, section: Section, part: Part) -> None:
        total, held_back, seen = None, 0, {look.client.resolve(url)}
        for number in range(self.max_pages):
            page = await self.page(look, url)
            if number == 0:
                self.check_self(page)
                total = page.total
            part.resources += [e.resource for e in page.entries if self.belongs(e.resource, look.ask, section)]
            held_back += page.held_back.total()
            if page.next is None:
                break
            url = self.follow(look, page.next)
            if url in seen:
                raise WrongContent("a circle")
            seen.add(url)
        else:
            raise TooMuch("pages over the cap")
        self.check_whole(part, section, total, held_back)

    def belongs(self, resource: Resource, ask: Ask, section: Section) -> bool:
        kind = resource["resourceType"]
        return kind in SUPPORTING_TYPES or SECTION_OF_TYPE.get(kind) is section

    def check_self(self, page: Page) -> None:
        if page.self_link is not None and "patient" not in dict(parse_qsl(urlsplit(page.self_link).query)):
            raise WrongContent("the source ignored the patient")

    def check_whole(self, part: Part, section: Section, total: int | None, held_back: int) -> None:
        matches = {one["id"] for one in part.resources if one["resourceType"] == KINDS[section]}
        if held_back or (total is not None and total > len(matches)):
            part.gap, part.detail = Gap.HELD_BACK, f"{section}: not all that is counted came"

    def follow(self, look: Look, link: str) -> str:
        return look.client.resolve(link)

    async def page(self, look: Look, url: str) -> Page:
        return self.read(await self.fetch(look, url))

    async def fetch(self, look: Look, url: str) -> bytes:
        return await look.client.get(url, deadline=look.ask.deadline, budget=look.budget)

    def read(self, body: bytes) -> Page:
        return read_bundle(body)

    def gap_of(self, error: SourceError) -> Gap:
        if isinstance(error, SourceTimeout):
            return Gap.TIMED_OUT
        if isinstance(error, Refused):
            return Gap.REFUSED
        return Gap.TOO_MUCH if isinstance(error, TooMuch) else Gap.FAILED

    def answer(self, look: Look, patient: Resource, parts: Mapping[Section, Part]) -> Answer:
        gaps = {section: part.gap for section, part in parts.items() if part.gap is not None}
        found = [patient, *(resource for part in parts.values() for resource in part.resources)]
        return Answer(
            self.source,
            Outcome.PARTIAL if gaps else Outcome.ANSWERED,
            items=[self.item(resource) for resource in self.once(found)],
            gaps=gaps,
            told="answered in part" if gaps else "",
            detail="; ".join(part.detail for part in parts.values() if part.detail),
            calls=look.client.calls,
        )

    def once(self, resources: list[Resource]) -> list[Resource]:
        return [one for number, one in enumerate(resources) if one not in resources[:number]]

    def item(self, resource: Resource) -> Item:
        return Item(self.source, resource, SECTION_OF_TYPE.get(resource["resourceType"]), str(resource["id"]))


KIT = KitSettings.model_validate(
    {
        "ods": "G85005",
        "sections": ["demographics", *KINDS],
        "patient": "9990000891",
        "other": "9990000611",
        "empty": "9990001030",
        "unknown": "9990009996",
        "calls": 8,
        "settings": {"auth": {"scheme": "header", "name": "X-API-Key", "value_file": "${secret}"}},
    }
)


def held() -> Holdings:
    """What the sandbox holds, canaries planted."""
    return holdings("G85005", canaries=True)


def subject_of(mutant: type[Reference], books: Holdings) -> Subject:
    """What the kit checks: a mutant, or the reference itself, in front of the practice's sandbox with short pages."""

    def sandbox() -> Sandbox:
        return Sandbox("G85005", FhirServer(books, Flavour(page_size=4)))

    return Subject("reference", KIT, sandbox, mutant)
