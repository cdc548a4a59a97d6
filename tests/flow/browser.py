"""A browser of a test's own: cookies, forms and redirects over HTTP, between the gateway and the EHR that launches."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.flow.stack import Stack
from tests.launcher import Launcher, Opening

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass
class Browser:
    """`here` talks to the gateway and keeps its cookies; `there` to the EHR."""

    here: httpx2.AsyncClient
    there: httpx2.AsyncClient
    ehr: Launcher
    page: str = "/viewer"

    async def begin(self, opening: Opening) -> httpx2.Response:
        """The EHR opens the gateway: its answer, a redirect to the authorize endpoint."""
        return await self.here.get(self.ehr.begin(opening))

    async def authorized(self, opening: Opening) -> str:
        """The address to which the EHR's authorize endpoint sends the browser back."""
        begun = await self.begin(opening)
        assert begun.status_code == 303, begun.text
        answer = await self.there.get(begun.headers["location"])
        assert answer.status_code == 302, answer.text
        return str(answer.headers["location"])

    async def launch(self, opening: Opening) -> httpx2.Response:
        """The whole launch: what the callback answers."""
        return self._went(await self.here.get(await self.authorized(opening)))

    async def view(self) -> httpx2.Response:
        """The page to which the last launch led, again."""
        return await self.here.get(self.page)

    async def post(self, path: str, **fields: str) -> httpx2.Response:
        """A form of the page that is shown now."""
        found = _CSRF.search((await self.view()).text)
        return await self.here.post(path, data={"csrf": found[1] if found else "", **fields})

    async def context(self, jwt: str) -> httpx2.Response:
        return self._went(await self.here.post("/launch/context", data={"launch": jwt}))

    def _went(self, entered: httpx2.Response) -> httpx2.Response:
        if entered.status_code == 303:
            self.page = str(entered.headers["location"])
        return entered

    async def aclose(self) -> None:
        await self.here.aclose()
        await self.there.aclose()


def browser(stack: Stack, ehr: Launcher, base_url: str = "http://127.0.0.1:8000", **more: Any) -> Browser:
    """A new browser, without a cookie."""
    return Browser(
        httpx2.AsyncClient(transport=stack.client._transport, base_url=base_url, **more),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=ehr.app)),
        ehr,
    )
