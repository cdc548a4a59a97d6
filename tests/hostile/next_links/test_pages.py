"""Next links that lead astray, through the connector that follows them: nobody else is asked, and it is a gap."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import httpx2

from connectors.sdk.connector import Connector
from connectors.sdk.model import Gap, Section
from tests.connectors.asking import NHS_NUMBER, PATIENT, asking, entry, ids, in_front_of, page, resource, trust
from tests.figures import Figure
from tests.unit.test_sdk_address import BASE, FOREIGN

ALLERGIES: Final = frozenset({Section.ALLERGIES})
DEFAULT_MOST_PAGES: Final = 50
PAGES: Final = 1_000


class Leading:
    """A source whose first page of allergies links to `link`; each further page to the next number."""

    def __init__(self, link: str | None) -> None:
        self.link = link
        self.asked: list[str] = []

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(str(request.url))
        return httpx2.Response(200, json=self._page(request), headers={"Content-Type": "application/fhir+json"})

    def _page(self, request: httpx2.Request) -> dict[str, Any]:
        if request.url.path.endswith("/Patient"):
            return page({**PATIENT, "id": "p1"})
        number = int(request.url.params.get("page", "0"))
        following = self.link or f"{BASE}/AllergyIntolerance?page={number + 1}"
        links = {"next": following} if number + 1 < PAGES else None
        return page(entry(resource("AllergyIntolerance", number)), links=links)


def connected(source: Leading) -> AbstractAsyncContextManager[Connector]:
    """`fhir_r4` in front of it, by its default bounds."""
    return in_front_of(httpx2.MockTransport(source), trust(address=BASE))


async def test_no_link_leads_out(figure: Figure) -> None:
    """Other origins and ports, schemes, user information, look-alike names, dot segments, encoded and plain."""
    for link in FOREIGN:
        source = Leading(link)
        async with connected(source) as connector:
            answer = await connector.ask(asking(sections=ALLERGIES, seconds=30))
        assert answer.gaps == {Section.ALLERGIES: Gap.FAILED}, link
        assert all(url.startswith(f"{BASE}/") for url in source.asked), link
        assert len(source.asked) == 2, link
        assert ids(answer, "AllergyIntolerance") == ["All0"]
        assert NHS_NUMBER not in answer.detail
    figure(f"{len(FOREIGN)} links that lead out: 0 calls anywhere else, each a gap")


async def test_a_thousand_pages_end_at_the_cap(figure: Figure) -> None:
    source = Leading(None)
    async with connected(source) as connector:
        answer = await connector.ask(asking(sections=ALLERGIES, seconds=60))
    assert answer.gaps == {Section.ALLERGIES: Gap.TOO_MUCH}
    assert len(source.asked) == DEFAULT_MOST_PAGES + 1
    assert len(ids(answer, "AllergyIntolerance")) == DEFAULT_MOST_PAGES
    figure(f"{PAGES:,} pages: {DEFAULT_MOST_PAGES} read, the rest a gap")
