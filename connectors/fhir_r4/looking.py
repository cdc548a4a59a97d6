"""One Ask on its way: the Patient by NHS number, and what each section's searches or one call for everything bring."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

from connectors.fhir_r4.everything import Everything
from connectors.fhir_r4.pages import Pages
from connectors.fhir_r4.planning import Found, Plan, Planned, type_of
from connectors.fhir_r4.settings import Search, Settings
from connectors.sdk.bundle import Entry
from connectors.sdk.errors import Ambiguous, NoRecord, NotUnderstood, SourceError, WrongContent
from connectors.sdk.gaps import gap_of, tells_of_omission
from connectors.sdk.http import SourceClient
from connectors.sdk.model import SECTION_OF_TYPE, Ask, Gap, Section
from connectors.sdk.nhs_number import same_number

BySection = dict[Section, list[Found]]
_T = TypeVar("_T")


class Looking:
    """The Patient, and every section's searches."""

    def __init__(self, settings: Settings, plan: Plan, client: SourceClient, ask: Ask) -> None:
        self._settings = settings
        self._plan = plan
        self._ask = ask
        self._pages = Pages(settings, client, ask)

    @property
    def calls(self) -> int:
        """How many requests went out for this Ask."""
        return self._pages.calls

    async def look(self) -> tuple[Entry, BySection]:
        """The Patient, and what each asked section's searches brought. Raises a `SourceError` without a Patient."""
        by_number = self._by_number()
        if by_number is None:
            return await self._one_after_the_other()
        whole = self._everything(self._ask.nhs_number) if self._settings.patient_by == "nhs-number" else None
        if whole is not None:
            (patient, came), found = await self._at_once(self._patient_with(whole), by_number, self._searched)
            return patient, {**found, **whole.by_section(came)}
        if self._settings.batch:
            await self._pages.fetch_together([self._search_for_patient(), *self._searches(by_number)])
        return await self._at_once(self._patient(), by_number, self._ask.sections)

    async def _one_after_the_other(self) -> tuple[Entry, BySection]:
        patient = await self._patient()
        if not any(same_number(number, self._ask.nhs_number) for number in patient.findings.nhs_numbers):
            # Somebody else's id must not be searched with; the gateway's guard sees the Patient, and alarms.
            return patient, {section: [Found(gap=Gap.IDENTITY_ALARM)] for section in self._ask.sections}
        patient_id = str(patient.resource["id"])
        by_id = f"={quote(patient_id, safe='')}"
        whole = self._everything(patient_id)
        if whole is not None:
            came, found = await self._at_once(self._all_of(whole), by_id, self._searched)
            return patient, {**found, **whole.by_section(came)}
        if self._settings.batch:
            await self._pages.fetch_together(self._searches(by_id))
        return patient, await self._sections(by_id, self._ask.sections)

    async def _at_once(
        self, first: Coroutine[Any, Any, _T], by_patient: str, searched: frozenset[Section]
    ) -> tuple[_T, BySection]:
        sections = asyncio.ensure_future(self._sections(by_patient, searched))
        try:
            return await first, await sections
        finally:
            sections.cancel()
            await asyncio.gather(sections, return_exceptions=True)  # its connections go back to the pool before we do

    @property
    def _searched(self) -> frozenset[Section]:
        """The sections that are searched although the source offers everything: the settings say how."""
        return self._ask.sections & self._settings.searches.keys()

    def _everything(self, patient_id: str) -> Everything | None:
        """The one call; None where the settings don't offer it, or nothing but the Patient is asked for."""
        covered = self._ask.sections - self._searched
        if not self._settings.everything or covered <= {Section.DEMOGRAPHICS}:
            return None
        return Everything(patient_id, covered, self._settings.page_size)

    def _by_number(self) -> str | None:
        """How searches name the patient by NHS number; None where the source's own id must be found first."""
        if self._settings.patient_by == "nhs-number":
            return f"={self._ask.nhs_number}"
        if self._settings.patient_by == "logical-id" or self._settings.everything:
            return None
        return f".identifier={self._identifier()}"

    def _identifier(self) -> str:
        return quote(f"{self._settings.identifier_system}|{self._ask.nhs_number}", safe="")

    def _search_for_patient(self) -> str:
        return f"Patient?identifier={self._identifier()}&_count=3"

    def _searches(self, by_patient: str) -> list[str]:
        return [one.url(by_patient) for _, one in self._planned(self._ask.sections)]

    def _planned(self, sections: Iterable[Section]) -> list[tuple[Section, Planned]]:
        return [(section, planned) for section in sorted(sections) for planned in self._plan[section]]

    async def _patient(self) -> Entry:
        page = await self._pages.patient(self._search_for_patient(), partial(_check_self_link, parameter="identifier"))
        patients = _patients(page.entries)
        if page.held_back:
            raise WrongContent("the Patient has a broken shape")
        if any(tells_of_omission(entry) for entry in page.entries):
            raise WrongContent("the source says that its answer about the Patient is not whole")
        if len(patients) > 1 or (page.total or 0) > 1:
            raise Ambiguous("several Patients carry the NHS number")
        if patients:
            return patients[0]
        if page.total or page.next is not None or any(type_of(entry) == "Patient" for entry in page.entries):
            raise WrongContent("the source neither brings a Patient nor says that it has none")
        raise NoRecord("no Patient carries the NHS number")

    async def _patient_with(self, whole: Everything) -> tuple[Entry, Found]:
        """The Patient out of everything, with the rest. Where nothing is there, a search tells why: there is no such
        Patient (NoRecord), or the source doesn't answer as it should."""
        try:
            came = await self._all_of(whole, fails=True)
        except NotUnderstood:
            await self._patient()
            raise
        patients = _patients(came.entries)
        if came.held_back["Patient"]:
            raise WrongContent("the Patient has a broken shape")
        if len({entry.resource["id"] for entry in patients}) > 1:
            raise Ambiguous("several Patients in one patient's everything")
        if not patients:
            if not any(type_of(entry) in SECTION_OF_TYPE for entry in came.entries) and not came.held_back:
                await self._patient()
            raise WrongContent("the source has the Patient, and leaves it out of everything")
        return patients[0], came

    async def _all_of(self, whole: Everything, *, fails: bool = False) -> Found:
        """Everything's pages. With `fails`, raises the `SourceError` of a first page that didn't come."""
        found = Found()
        try:
            await self._pages.walk(whole.url, whole.check_link, found)
        except SourceError as error:
            if fails and not found.entries:
                raise
            found.lacks(gap_of(error), f"$everything: {type(error).__name__}: {error}")
        return found

    async def _sections(self, by_patient: str, sections: frozenset[Section]) -> BySection:
        """One entry for each section. A search that fails leaves a gap in its own section only."""
        plan = self._planned(sections)
        results = await asyncio.gather(*(self._search(planned, by_patient) for _, planned in plan))
        found: BySection = {section: [] for section in sections}
        for (section, _), result in zip(plan, results, strict=True):
            found[section].append(result)
        return found

    async def _search(self, planned: Planned, by_patient: str) -> Found:
        search, found = planned.search, Found()
        try:
            check_link = partial(_check_self_link, parameter=str(search.patient))
            await self._pages.walk(planned.url(by_patient), check_link, found)
        except SourceError as error:
            found.lacks(gap_of(error), f"{search.type}: {type(error).__name__}: {error}")
        else:
            _check_complete(search, found)
        return found


def _patients(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.mode == "match" and type_of(entry) == "Patient"]


def _check_complete(search: Search, found: Found) -> None:
    """Notes a gap where the source counted more than it sent, or says itself that something is left out."""
    matches = len(
        {entry.resource["id"] for entry in found.entries if entry.mode == "match" and type_of(entry) == search.type}
    )
    if found.held_back:
        broken = found.held_back.total()
        found.lacks(Gap.HELD_BACK, f"{search.type}: {broken} resources of broken shape held back")
    elif found.total is not None and found.total > matches:
        found.lacks(Gap.HELD_BACK, f"{search.type}: the source counted {found.total} and sent {matches}")
    if any(tells_of_omission(entry) for entry in found.entries):
        found.lacks(Gap.HELD_BACK, f"{search.type}: the source says that its answer is not whole")


def _check_self_link(link: str, parameter: str) -> None:
    """A source that ignored the patient parameter says so in its self link; its answer is about everybody."""
    names = [name.partition(".")[0].partition(":")[0] for name, _ in parse_qsl(urlsplit(link).query)]
    accepted = {parameter, "patient", "subject"} if parameter != "identifier" else {"identifier"}
    if not accepted.intersection(names):
        raise WrongContent("the source's self link shows that it ignored the patient")
