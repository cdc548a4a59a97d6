"""A gateway on a real port, and a real browser in front of it, for the tests of the screens.

One browser and one gateway serve a whole module. Nobody signs in by hand: a session that was begun over the very app
is put into the browser as its cookie, as a browser would hold it.
"""

from __future__ import annotations

import asyncio
import functools
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from gateway import log
from gateway.api import live_page
from gateway.demo.server import Announcing
from gateway.web.record.page import About
from tests.boundless import UNHURRIED
from tests.flow.stack import Stack, running
from tests.processes import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTHS = (320, 768, 1280)
PATIENCE_MS = 120_000
"""Before what never comes to a page is a failure: a machine may stand still for long."""
_REFUSED = "Failed to load resource: the server responded with a status of 4"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Screen:
    """A page of a browser of its own, what it asked for, and what it complained of."""

    page: Page
    base: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def heard(self, kind: str, text: str) -> None:
        """What the browser says. That a page of ours is a refusal is no complaint."""
        if kind == "error" and not text.startswith(_REFUSED):
            self.complaints.append(text)

    async def goto(self, path: str) -> None:
        await self.page.goto(self.base + path)

    async def press(self, name: str) -> None:
        """A button that leads to another page, which is there on return: what is asked next is asked of that one."""
        async with self.page.expect_navigation():
            await self.page.get_by_role("button", name=name).click()

    async def follow(self, link: Locator) -> None:
        """A link that leads to another page, which is there on return."""
        async with self.page.expect_navigation():
            await link.click()

    async def enter(self) -> None:
        """The key, where that leads to another page, which is there on return."""
        async with self.page.expect_navigation():
            await self.page.keyboard.press("Enter")

    async def no_axe_violations(self) -> None:
        """WCAG 2.2 AA, as far as axe can tell."""
        found = await Axe().run(self.page, options={"runOnly": {"type": "tag", "values": _RULES}})
        assert found.violations_count == 0, found.generate_report()

    async def no_sideways_scrolling(self) -> None:
        """Everything is there at this width without moving the page to the side (WCAG 1.4.10)."""
        over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await self.page.evaluate(over) <= 0

    def nothing_left_the_browser(self) -> None:
        """No request went to another origin, and neither the policy nor a script reported anything."""
        assert [each for each in self.requests if not each.startswith(self.base)] == []
        assert self.complaints == []


@dataclass
class World:
    """A gateway that browsers reach at `base`, and the one browser."""

    stack: Stack
    base: str
    browser: Browser

    @asynccontextmanager
    async def screen(self, who: str = "", *, width: int = 1280, **context: Any) -> AsyncIterator[Screen]:
        """A fresh browser window, in which that person is signed in already."""
        there = await self.browser.new_context(viewport={"width": width, "height": 900}, **context)
        there.set_default_timeout(PATIENCE_MS)
        try:
            if who:
                await there.add_cookies(await self.cookies(who))
            page = await there.new_page()
            screen = Screen(page, self.base)
            page.on("request", lambda request: screen.requests.append(request.url))
            page.on("console", lambda said: screen.heard(said.type, said.text))
            page.on("pageerror", lambda error: screen.complaints.append(str(error)))
            yield screen
        finally:
            await there.close()

    async def cookies(self, who: str) -> list[Any]:
        """Of a session that was just begun."""
        async with self.stack.signed_in(who) as session:
            return [{"name": each.name, "value": each.value, "url": self.base} for each in session.cookies.jar]


@asynccontextmanager
async def served(data: Path, *, soon: float = UNHURRIED, **settings: Any) -> AsyncIterator[World]:
    """A gateway of the flow tests' world, on a port of its own. A whole record that comes within `soon` seconds of its
    first part takes the part's place by itself: where that isn't what a test is about, it does however slow all is."""
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_page, "About", functools.partial(About, soon=soon))
        async with _served(data, port, **settings) as world:
            yield world


@asynccontextmanager
async def _served(data: Path, port: int, **settings: Any) -> AsyncIterator[World]:
    async with running(data, public_url=f"http://127.0.0.1:{port}", **settings) as stack:
        app = stack.client._transport.app  # type: ignore[attr-defined]
        server = Announcing(uvicorn.Config(app, host="127.0.0.1", port=port, lifespan="off", **log.UVICORN))
        task = asyncio.create_task(server.serve())
        try:
            await server.up.wait()
            async with async_playwright() as driver:
                browser = await driver.chromium.launch(
                    executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE_MS
                )
                yield World(stack, f"http://127.0.0.1:{port}", browser)
                await browser.close()
        finally:
            server.should_exit = True
            await task


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One gateway and one browser for a module's tests."""
    async with served(tmp_path_factory.mktemp("screens")) as made:
        yield made
