"""The pages of one Ask: fetched alone or together, within one budget, walked by the source's own links."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from connectors.fhir_r4.planning import Found
from connectors.fhir_r4.settings import Settings
from connectors.sdk.batch import read_batch, write_batch
from connectors.sdk.budget import Budget
from connectors.sdk.bundle import Page, read_bundle
from connectors.sdk.errors import SourceError, TooMuch, WrongContent
from connectors.sdk.http import SourceClient
from connectors.sdk.model import Ask

CheckLink = Callable[[str], None]
"""Raises WrongContent where a page's self link shows that the source answered another question."""

_LIVE: Final = {"Cache-Control": "no-cache"}
"""RFC 9111, section 5.2.1.4: no answer from a cache. HAPI, for one, gives out what a search found up to a minute ago
unless it is told this, and an allergy that was just recorded would look as if nothing were recorded."""


class Pages:
    """What a source sends for one Ask."""

    def __init__(self, settings: Settings, client: SourceClient, ask: Ask) -> None:
        self._settings = settings
        self._client = client
        self._ask = ask
        self._budget = Budget()
        self._patients = Budget(alone=self._budget.alone)
        self._came: dict[str, bytes | SourceError] = {}

    @property
    def calls(self) -> int:
        """How many requests went out for this Ask."""
        return self._client.calls

    async def fetch_together(self, searches: Sequence[str]) -> None:
        """The first pages of several searches, in one call. Raises a `SourceError` where that call failed."""
        if not searches:
            return
        headers = {**self._headers(), "Content-Type": "application/fhir+json"}
        client = self._client
        body = await client.post(client.base_url, write_batch(searches), deadline=self._ask.deadline, headers=headers)
        self._budget.spend_bytes(len(body))
        self._came = read_batch(body, searches)

    async def walk(self, url: str, check_link: CheckLink, found: Found) -> None:
        """Every page from the first one at `url`, into `found`. Raises a `SourceError`; what came before it stays."""
        seen = {self._client.resolve(url)}
        for number in range(self._settings.max_pages):
            page = await self._page(url, None if number else check_link, self._budget)
            taken = self._budget.take_entries(len(page.entries))
            found.entries.extend(page.entries[:taken])
            found.held_back += page.held_back
            if taken < len(page.entries):
                raise TooMuch("entries over the budget of the whole question")
            found.total = found.total if number else page.total
            if page.next is None:
                return
            url = self._client.resolve(page.next)
            if url in seen:
                raise WrongContent("the next links go in a circle")
            seen.add(url)
        raise TooMuch("pages over the cap")

    async def patient(self, url: str, check_link: CheckLink) -> Page:
        """The Patient's page. It has a budget of its own: without it, nothing else that came could be shown."""
        return await self._page(url, check_link, self._patients)

    async def _page(self, url: str, check_link: CheckLink | None, budget: Budget) -> Page:
        page = read_bundle(await self._fetched(url, budget))
        if check_link is not None and page.self_link is not None:
            check_link(page.self_link)
        return page

    async def _fetched(self, url: str, budget: Budget) -> bytes:
        """What came with others in one call, or else is asked for now. Raises a `SourceError`."""
        came = self._came.pop(url, None)
        if came is None:
            return await self._client.get(url, deadline=self._ask.deadline, headers=self._headers(), budget=budget)
        if isinstance(came, SourceError):
            raise came
        return came

    def _headers(self) -> dict[str, str]:
        return {**self._settings.headers, **_LIVE, "X-Request-ID": self._ask.request_id}
