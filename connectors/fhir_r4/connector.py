"""Asks an R4 source: the Patient by NHS number, and one or more searches for each section, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from connectors.fhir_r4.settings import Search, Settings
from connectors.sdk.auth import authorizer, tls_context
from connectors.sdk.batch import read_batch, write_batch
from connectors.sdk.budget import Budget
from connectors.sdk.bundle import Entry, Page, read_bundle
from connectors.sdk.connector import Connector, Setup
from connectors.sdk.errors import (
    Ambiguous,
    NoRecord,
    SourceError,
    TooMuch,
    WrongContent,
)
from connectors.sdk.gaps import gap_of, tells_of_omission
from connectors.sdk.http import AiohttpTransport, Limits, SourceClient
from connectors.sdk.model import SECTION_OF_TYPE, SUPPORTING_TYPES, Answer, Ask, Gap, Item, Outcome, Section
from connectors.sdk.nhs_number import same_number


def connect(setup: Setup) -> Connector:
    """The connector for one organisation. Raises ConfigurationError where its secrets can't be read."""
    settings: Settings = setup.settings
    tls = tls_context(settings.tls, settings.auth)
    limits = Limits()
    address = setup.organisation.address or ""
    return FhirR4(
        setup.organisation.ods,
        settings,
        SourceClient(
            address,
            setup.transport or AiohttpTransport(limits, tls),
            limits=limits,
            authorize=authorizer(settings.auth, transport=setup.transport, tls=tls),
        ),
    )


@dataclass(slots=True)
class _Found:
    """What one search brought: its entries, and why they aren't all, where they aren't."""

    entries: list[Entry] = field(default_factory=list)
    held_back: int = 0
    gap: Gap | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Planned:
    """A search as it will be made: what its URL says before and after the patient is the same for everybody."""

    search: Search
    before: str
    after: str

    def url(self, by_patient: str) -> str:
        """Relative to the source's base address."""
        return f"{self.before}{by_patient}{self.after}"


Plan = Mapping[Section, tuple[_Planned, ...]]

_LIVE: Final = {"Cache-Control": "no-cache"}
"""RFC 9111, section 5.2.1.4: no answer from a cache. HAPI, for one, gives out what a search found up to a minute ago
unless it is told this, and an allergy that was just recorded would look as if nothing were recorded."""


def _plan(settings: Settings) -> Plan:
    return {section: tuple(_planned(one, settings) for one in settings.searches_for(section)) for section in Section}


def _planned(search: Search, settings: Settings) -> _Planned:
    query = [*search.params.items(), *(("_include", value) for value in search.include)]
    after = urlencode([*query, ("_count", str(settings.page_size))])
    return _Planned(search, f"{search.type}?{search.patient}", f"&{after}")


class _Looking:
    """One Ask on its way: the Patient, and every section's searches."""

    def __init__(self, settings: Settings, plan: Plan, client: SourceClient, ask: Ask) -> None:
        self._settings = settings
        self._plan = plan
        self._client = client
        self._ask = ask
        self._budget = Budget()
        self._came: dict[str, bytes | SourceError] = {}

    @property
    def calls(self) -> int:
        """How many requests went out for this Ask."""
        return self._client.calls

    async def look(self) -> tuple[Entry, dict[Section, list[_Found]]]:
        """The Patient, and what each asked section's searches brought. Raises a `SourceError` without a Patient."""
        if self._settings.patient_by == "identifier":
            return await self._at_once()
        patient = await self._patient()
        if not any(same_number(number, self._ask.nhs_number) for number in patient.findings.nhs_numbers):
            # Somebody else's id must not be searched with; the gateway's guard sees the Patient, and alarms.
            return patient, {section: [_Found(gap=Gap.IDENTITY_ALARM)] for section in self._ask.sections}
        by_id = f"={quote(str(patient.resource['id']), safe='')}"
        if self._settings.batch:
            await self._fetch_together(self._searches(by_id))
        return patient, await self._sections(by_id)

    async def _at_once(self) -> tuple[Entry, dict[Section, list[_Found]]]:
        if self._settings.batch:
            by_number = f".identifier={self._identifier()}"
            await self._fetch_together([self._search_for_patient(), *self._searches(by_number)])
            return await self._patient(), await self._sections(by_number)
        sections = asyncio.ensure_future(self._sections(f".identifier={self._identifier()}"))
        try:
            patient = await self._patient()
            return patient, await sections
        finally:
            sections.cancel()
            await asyncio.gather(sections, return_exceptions=True)  # its connections go back to the pool before we do

    def _identifier(self) -> str:
        return quote(f"{self._settings.identifier_system}|{self._ask.nhs_number}", safe="")

    def _search_for_patient(self) -> str:
        return f"Patient?identifier={self._identifier()}&_count=3"

    def _searches(self, by_patient: str) -> list[str]:
        planned = (planned for section in sorted(self._ask.sections) for planned in self._plan[section])
        return [one.url(by_patient) for one in planned]

    async def _fetch_together(self, searches: list[str]) -> None:
        """The first pages of several searches, in one call. Raises a `SourceError` where that call failed."""
        if not searches:
            return
        headers = {**self._headers(), "Content-Type": "application/fhir+json"}
        client = self._client
        body = await client.post(client.base_url, write_batch(searches), deadline=self._ask.deadline, headers=headers)
        self._budget.spend_bytes(len(body))
        self._came = read_batch(body, searches)

    async def _patient(self) -> Entry:
        page = await self._page(self._search_for_patient(), of_patient="identifier")
        patients = [entry for entry in page.entries if entry.mode == "match" and _type_of(entry) == "Patient"]
        if page.held_back:
            raise WrongContent("the Patient has a broken shape")
        if any(tells_of_omission(entry) for entry in page.entries):
            raise WrongContent("the source says that its answer about the Patient is not whole")
        if len(patients) > 1 or (page.total or 0) > 1:
            raise Ambiguous("several Patients carry the NHS number")
        if patients:
            return patients[0]
        if page.total or page.next is not None or any(_type_of(entry) == "Patient" for entry in page.entries):
            raise WrongContent("the source neither brings a Patient nor says that it has none")
        raise NoRecord("no Patient carries the NHS number")

    async def _sections(self, by_patient: str) -> dict[Section, list[_Found]]:
        """One entry for each asked section. A search that fails leaves a gap in its own section only."""
        plan = [(section, planned) for section in sorted(self._ask.sections) for planned in self._plan[section]]
        results = await asyncio.gather(*(self._search(planned, by_patient) for _, planned in plan))
        found: dict[Section, list[_Found]] = {section: [] for section in self._ask.sections}
        for (section, _), result in zip(plan, results, strict=True):
            found[section].append(result)
        return found

    async def _search(self, planned: _Planned, by_patient: str) -> _Found:
        search, found = planned.search, _Found()
        try:
            await self._read_pages(planned.url(by_patient), search, found)
        except SourceError as error:
            found.gap, found.detail = gap_of(error), f"{search.type}: {type(error).__name__}: {error}"
        return found

    async def _read_pages(self, url: str, search: Search, found: _Found) -> None:
        total: int | None = None
        seen = {self._client.resolve(url)}
        for number in range(self._settings.max_pages):
            page = await self._page(url, of_patient=None if number else str(search.patient), budget=self._budget)
            taken = self._budget.take_entries(len(page.entries))
            found.entries.extend(page.entries[:taken])
            found.held_back += page.held_back.total()
            if taken < len(page.entries):
                raise TooMuch("entries over the budget of the whole question")
            total = page.total if number == 0 else total
            if page.next is None:
                break
            url = self._client.resolve(page.next)
            if url in seen:
                raise WrongContent("the next links go in a circle")
            seen.add(url)
        else:
            raise TooMuch("pages over the cap")
        _check_complete(search, found, total)

    async def _page(self, url: str, *, of_patient: str | None, budget: Budget | None = None) -> Page:
        """One page. The Patient's draws on no budget: without it, nothing else that came could be shown."""
        page = read_bundle(await self._fetched(url, budget))
        if of_patient is not None and page.self_link is not None:
            _check_self_link(page.self_link, of_patient)
        return page

    async def _fetched(self, url: str, budget: Budget | None) -> bytes:
        """What came with others in one call, or else is asked for now. Raises a `SourceError`."""
        came = self._came.pop(url, None)
        if came is None:
            return await self._client.get(url, deadline=self._ask.deadline, headers=self._headers(), budget=budget)
        if isinstance(came, SourceError):
            raise came
        return came

    def _headers(self) -> dict[str, str]:
        return {**self._settings.headers, **_LIVE, "X-Request-ID": self._ask.request_id}


class FhirR4:
    """One R4 source."""

    def __init__(self, source: str, settings: Settings, client: SourceClient) -> None:
        self._source = source
        self._settings = settings
        self._plan = _plan(settings)
        self._client = client
        self._includes = frozenset(
            include for searches in self._plan.values() for planned in searches for include in planned.search.include
        )

    async def ask(self, ask: Ask) -> Answer:
        """See Connector."""
        looking = _Looking(self._settings, self._plan, self._client.counted(), ask)
        patient, found = await looking.look()
        answer = self._answer(patient, found, ask.sections)
        answer.calls = looking.calls
        return answer

    async def aclose(self) -> None:
        """See Connector."""
        await self._client.aclose()

    def _answer(self, patient: Entry, found: dict[Section, list[_Found]], asked: frozenset[Section]) -> Answer:
        answer = Answer(self._source, Outcome.ANSWERED, includes=self._includes)
        shown = asked | {Section.DEMOGRAPHICS}
        came = [patient, *(entry for searches in found.values() for search in searches for entry in search.entries)]
        answer.items = [self._item(entry) for entry in _each_once(came) if _belongs(entry, shown)]
        for section, searches in found.items():
            for search in searches:
                if search.gap is not None:
                    answer.gaps[section] = search.gap
                    answer.detail = "; ".join(filter(None, (answer.detail, search.detail)))
        if answer.gaps:
            answer.outcome = Outcome.PARTIAL
            answer.told = "answered in part"
        return answer

    def _item(self, entry: Entry) -> Item:
        return Item(
            source=self._source,
            resource=entry.resource,
            section=SECTION_OF_TYPE.get(_type_of(entry)),
            original_id=str(entry.resource.get("id", "")),
            full_url=entry.full_url,
            findings=entry.findings,
        )


def _each_once(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Every entry but those that came before, the same in every element: each page brings its practitioners again.

    Two versions under one id both stay.
    """
    before: dict[tuple[str, object, str | None], Entry] = {}
    for entry in entries:
        first = before.setdefault((_type_of(entry), entry.resource.get("id"), entry.full_url), entry)
        if first is entry or first.resource != entry.resource:
            yield entry


def _belongs(entry: Entry, shown: frozenset[Section]) -> bool:
    """True for a supporting resource, and for one of a section that was asked for: an include may bring any type."""
    kind = _type_of(entry)
    return kind in SUPPORTING_TYPES or SECTION_OF_TYPE.get(kind) in shown


def _check_complete(search: Search, found: _Found, total: int | None) -> None:
    """Notes a gap where the source counted more than it sent, or says itself that something is left out."""
    matches = len(
        {entry.resource["id"] for entry in found.entries if entry.mode == "match" and _type_of(entry) == search.type}
    )
    if found.held_back:
        found.gap, found.detail = Gap.HELD_BACK, f"{search.type}: {found.held_back} resources of broken shape held back"
    elif total is not None and total > matches:
        found.gap, found.detail = Gap.HELD_BACK, f"{search.type}: the source counted {total} and sent {matches}"
    for entry in found.entries:
        if tells_of_omission(entry):
            found.gap, found.detail = Gap.HELD_BACK, f"{search.type}: the source says that its answer is not whole"


def _type_of(entry: Entry) -> str:
    return str(entry.resource["resourceType"])


def _check_self_link(link: str, parameter: str) -> None:
    """A source that ignored the patient parameter says so in its self link; its answer is about everybody."""
    names = [name.partition(".")[0].partition(":")[0] for name, _ in parse_qsl(urlsplit(link).query)]
    accepted = {parameter, "patient", "subject"} if parameter != "identifier" else {"identifier"}
    if not accepted.intersection(names):
        raise WrongContent("the source's self link shows that it ignored the patient")
