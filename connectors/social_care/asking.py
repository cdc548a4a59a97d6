"""The three questions to a council's facade, and whether an answer is all there is.

The facade has no pages: it counts its matches (`total`) and sends at most its cap of them. So an answer is whole where
it says how many there are, brought as many, and fewer than the cap. Everything else is a gap.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from connectors.sdk.budget import Budget
from connectors.sdk.bundle import Entry, Page, read_bundle
from connectors.sdk.errors import Ambiguous, NoRecord, SourceError, TooMuch, WrongContent
from connectors.sdk.gaps import gap_of, tells_of_omission
from connectors.sdk.http import SourceClient
from connectors.sdk.model import NHS_NUMBER_SYSTEM, Ask, Gap
from connectors.social_care.care_team import CASE
from connectors.social_care.contacts import CONTACT
from connectors.social_care.kept import Tree
from connectors.social_care.person import PERSON

_MOST_PERSONS: Final = 2


@dataclass(slots=True)
class Found:
    """What one search brought, and why it isn't all, where it isn't. `held_back` counts what has no readable shape."""

    entries: list[Entry] = field(default_factory=list)
    held_back: Counter[str] = field(default_factory=Counter)
    gap: Gap | None = None
    detail: str = ""


class Question:
    """One Ask on its way to one facade."""

    def __init__(self, client: SourceClient, ask: Ask, cap: int) -> None:
        self._client = client.counted()
        self._ask = ask
        self._cap = cap
        self._budget = Budget()
        self._headers = {
            "X-Request-ID": ask.request_id,
            "Connect-Care-Organisation": ask.asked_by.organisation,
            "Connect-Care-Role": ask.asked_by.role,
            "Connect-Care-Purpose": ask.asked_by.purpose,
        }

    @property
    def calls(self) -> int:
        """How many requests went out."""
        return self._client.calls

    @property
    def base_url(self) -> str:
        """Where the facade is, without a slash at its end."""
        return self._client.base_url

    async def person(self) -> Entry:
        """The one Patient with the NHS number. Raises a `SourceError`, NoRecord where there is none."""
        identifier = quote(f"{NHS_NUMBER_SYSTEM}|{self._ask.nhs_number}", safe="")
        # No budget: without the Patient, nothing else that came could be shown.
        page = await self._page(f"Patient?identifier={identifier}&_count={_MOST_PERSONS}&{_elements(PERSON)}", None)
        _check_self_link(page, "identifier")
        if page.held_back:
            raise WrongContent("the Patient has a broken shape")
        if any(tells_of_omission(entry) for entry in page.entries) or page.next is not None:
            raise WrongContent("the facade says that its answer about the Patient is not whole")
        patients = [entry for entry in page.entries if entry.resource["resourceType"] == "Patient"]
        if len(patients) > 1 or (page.total or 0) > 1:
            raise Ambiguous("several Patients carry the NHS number")
        if patients:
            return patients[0]
        if page.total != 0:
            raise WrongContent("the facade neither brings a Patient nor says that it has none")
        raise NoRecord("no Patient carries the NHS number")

    async def cases(self, person_id: str) -> Found:
        """The person's EpisodeOfCare resources, with workers and teams."""
        return await self._search("EpisodeOfCare", person_id, CASE)

    async def contacts(self, person_id: str) -> Found:
        """The person's Encounter resources, with workers, teams and places."""
        return await self._search("Encounter", person_id, CONTACT)

    async def _search(self, kind: str, person_id: str, named: Tree) -> Found:
        """Raises nothing that a source can cause: what fails is a gap."""
        found = Found()
        url = f"{kind}?patient={quote(person_id, safe='')}&_count={self._cap}&{_elements(named)}"
        try:
            page = await self._page(url, self._budget)
            _check_self_link(page, "patient")
            found.held_back = page.held_back
            found.entries = page.entries[: self._budget.take_entries(len(page.entries))]
            if len(found.entries) < len(page.entries):
                raise TooMuch("entries over the budget of the whole question")
            found.gap, found.detail = self._shortfall(kind, page)
        except SourceError as error:
            found.gap, found.detail = gap_of(error), f"{kind}: {type(error).__name__}: {error}"
        return found

    def _shortfall(self, kind: str, page: Page) -> tuple[Gap | None, str]:
        """Why the answer can't be read as all there is; None where it can."""
        matches = {str(entry.resource.get("id")) for entry in page.entries if entry.resource["resourceType"] == kind}
        received = len(matches)
        if received >= self._cap:
            return Gap.TOO_MUCH, f"{kind}: {received} came, which is the cap: there may be more"
        if page.next is not None:
            return Gap.HELD_BACK, f"{kind}: the facade offers another page, and the contract knows none"
        if page.held_back:
            return Gap.HELD_BACK, f"{kind}: {page.held_back.total()} resources of broken shape held back"
        if page.total is None:
            return Gap.HELD_BACK, f"{kind}: the facade doesn't say how many there are"
        if page.total > received:
            return Gap.HELD_BACK, f"{kind}: the facade counted {page.total} and sent {received}"
        if any(tells_of_omission(entry) for entry in page.entries):
            return Gap.HELD_BACK, f"{kind}: the facade says that its answer is not whole"
        return None, ""

    async def _page(self, url: str, budget: Budget | None) -> Page:
        body = await self._client.get(url, deadline=self._ask.deadline, headers=self._headers, budget=budget)
        return read_bundle(body)


def _elements(named: Tree) -> str:
    """Only these are asked for: what a council must not send must not be fetched either."""
    return "_elements=" + ",".join(sorted(named))


def _check_self_link(page: Page, parameter: str) -> None:
    """A facade need not send one. Where it does, it tells by it whether it looked at the parameter."""
    if page.self_link is not None:
        names = {name for name, _ in parse_qsl(urlsplit(page.self_link).query)}
        if parameter not in names:
            raise WrongContent("the facade's self link shows that it ignored whom it was asked about")
