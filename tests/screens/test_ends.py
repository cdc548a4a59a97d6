"""An open page outlasts neither the session, nor the permission, nor the patient's word: in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Page, expect

from gateway.launch.session import Sessions
from gateway.store.moments import utc_now
from tests.flow.stack import GRACE, TOMASZ
from tests.flow.streaming import Holding
from tests.screens.conftest import Screen, World, served
from tests.screens.viewer import find

HAS_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not HAS_CHROMIUM, reason="there is no chromium on this machine")]
SIGNED_OUT, CLOSED = "You are signed out", "This record is closed"


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with served(tmp_path_factory.mktemp("ends"), canaries=False) as made:
        yield made


class Passing:
    """Time that passes for the gateway alone: the browser is told by how many seconds are left."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, sessions: Any) -> None:
        self._monkeypatch = monkeypatch
        self._sessions = sessions

    def to(self, **time: float) -> None:
        self._monkeypatch.setattr(self._sessions, "_clock", lambda: utc_now() + timedelta(**time))


async def come_back(page: Page) -> None:
    """As when its window comes to the front again."""
    await page.evaluate("window.dispatchEvent(new Event('focus'))")


async def shows_the_record(screen: Screen) -> None:
    """All of it, or what came first where it came late."""
    await expect(screen.page.locator(".cc-banner").last).to_contain_text("ADEBAYO")


async def is_over(screen: Screen, heading: str) -> None:
    """Nothing is left of the record; the reason is there, has the focus, and is sound."""
    await expect(screen.page.get_by_role("heading", name=heading)).to_be_focused()
    body = await screen.page.inner_text("body")
    assert "ADEBAYO" not in body
    assert "999 000 0409" not in body
    await expect(screen.page.locator(".cc-banner, .cc-whole, .cc-part")).to_have_count(0)
    await screen.no_axe_violations()
    screen.nothing_left_the_browser()


@pytest.mark.parametrize("ending", ["opted out", "withdrawn", "signed out elsewhere", "idle"])
async def test_an_open_record_is_hidden_when_it_may_not_be_seen_any_more(
    world: World, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.stack.choose(GRACE, "opted-in")
    await world.stack.agree(GRACE)
    async with world.screen("gp") as screen:
        await find(screen, GRACE)
        await shows_the_record(screen)
        rows = len(await world.stack.parts.store.rows(limit=5000))
        if ending == "opted out":
            await world.stack.choose(GRACE, "opted-out")
        elif ending == "withdrawn":
            body = {"nhsNumber": GRACE, "statedBy": "patient", "channel": "phone"}
            await world.stack.post("/permissions/_withdraw", body, "privacy-officer")
        elif ending == "idle":
            Passing(monkeypatch, world.stack.parts.sessions).to(minutes=15)
        else:
            (cookie,) = await screen.page.context.cookies()
            await world.stack.parts.sessions.end(cookie["value"])
        await come_back(screen.page)
        await is_over(screen, CLOSED if ending in ("opted out", "withdrawn") else SIGNED_OUT)
        monkeypatch.undo()
        new = len(await world.stack.parts.store.rows(limit=5000)) - rows
        assert new == (1 if ending in ("opted out", "withdrawn") else 0)  # the patient's word; asking is no row


async def test_a_page_under_way_is_hidden_as_well(tmp_path_factory: pytest.TempPathFactory) -> None:
    holding = Holding(["RJ2"])
    async with served(tmp_path_factory.mktemp("way"), canaries=False, around=holding.around) as world:
        await world.stack.agree(GRACE)
        async with world.screen("gp") as screen:
            await find(screen, GRACE, waits=False)
            await screen.page.locator(".cc-part .cc-row").first.wait_for()
            await world.stack.choose(GRACE, "opted-out")
            await come_back(screen.page)
            await is_over(screen, CLOSED)


@pytest.mark.parametrize("start", ["/office/cases", "/patients", "/status"])
async def test_every_page_warns_and_lets_go_on(world: World, start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    passing = Passing(monkeypatch, world.stack.parts.sessions)
    async with world.screen("privacy-officer" if "office" in start else "gp", width=320) as screen:
        await screen.goto(start)
        passing.to(minutes=13, seconds=30)
        await come_back(screen.page)
        stays = screen.page.get_by_role("button", name="Stay signed in")
        await expect(stays).to_be_visible()
        await screen.no_axe_violations()
        await screen.no_sideways_scrolling()
        await stays.press("Enter")
        await expect(stays).to_have_count(0)
        assert await screen.page.evaluate("document.activeElement !== document.body")
        passing.to(minutes=16)
        await come_back(screen.page)
        await expect(screen.page.get_by_role("heading", name=SIGNED_OUT)).to_have_count(0)
        passing.to(minutes=29)
        await come_back(screen.page)
        await is_over(screen, SIGNED_OUT)
        await screen.follow(screen.page.get_by_role("link", name="Sign in again"))


async def test_another_window_that_goes_on_keeps_this_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    passing = Passing(monkeypatch, world.stack.parts.sessions)
    await world.stack.choose(GRACE, "opted-in")
    await world.stack.agree(GRACE)
    async with world.screen("gp") as screen:
        await find(screen, GRACE)
        passing.to(minutes=14)
        other = await screen.page.context.new_page()
        await other.goto(world.base + "/")
        passing.to(minutes=20)
        await come_back(screen.page)
        await shows_the_record(screen)
        await expect(screen.page.get_by_role("heading", name=SIGNED_OUT)).to_have_count(0)


async def test_the_page_s_own_clock_ends_it(
    world: World, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the gateway can't be reached, and nobody comes back to the window."""
    async with served(tmp_path_factory.mktemp("short"), canaries=False, sessions={"idle": 0.25}) as short:
        await short.stack.agree(GRACE)
        async with short.screen("gp") as screen:
            await find(screen, GRACE)
            await screen.page.route("**/standing/**", lambda route: route.abort())
            await expect(screen.page.get_by_role("heading", name=SIGNED_OUT)).to_be_focused(timeout=60_000)
            assert "ADEBAYO" not in await screen.page.inner_text("body")


async def test_a_clock_that_is_put_back_keeps_no_page_open(world: World) -> None:
    await world.stack.choose(GRACE, "opted-in")
    await world.stack.agree(GRACE)
    async with world.screen("gp") as screen:
        await find(screen, GRACE)
        await shows_the_record(screen)
        await world.stack.choose(GRACE, "opted-out")
        await screen.page.evaluate("() => { const now = Date.now; Date.now = () => now() - 3_600_000; }")
        await is_over(screen, CLOSED)


async def test_what_isn_t_the_gateway_s_answer_prolongs_nothing(world: World) -> None:
    await world.stack.choose(GRACE, "opted-in")
    await world.stack.agree(GRACE)
    async with world.screen("gp") as screen:
        await find(screen, GRACE)
        await shows_the_record(screen)
        await screen.page.route("**/standing/**", lambda route: route.fulfill(json={"open": True}))
        async with screen.page.expect_response("**/standing/**"):
            await come_back(screen.page)
        await screen.page.evaluate("() => { const now = Date.now; Date.now = () => now() + 3_600_000; }")
        await is_over(screen, SIGNED_OUT)


async def test_without_scripts_a_page_goes_where_nothing_is_shown(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with served(tmp_path_factory.mktemp("plain"), canaries=False, sessions={"idle": 0.25}) as short:
        await short.stack.agree(GRACE)
        async with short.screen("gp", java_script_enabled=False) as screen:
            await find(screen, GRACE, waits=False)
            await screen.page.get_by_role("heading", name="This page was closed").wait_for(timeout=60_000)
            assert screen.page.url.endswith("/session")
            assert await short.stack.rows(GRACE)


async def test_a_patient_s_page_ends_as_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world.stack.patient(TOMASZ) as session, world.screen() as screen:
        cookies: list[Any] = [
            {"name": each.name, "value": each.value, "url": world.base} for each in session.cookies.jar
        ]
        await screen.page.context.add_cookies(cookies)
        await screen.goto("/my/looks")
        passing = Passing(monkeypatch, world.stack.parts.patient_sessions)
        passing.to(minutes=14)
        await come_back(screen.page)
        await expect(screen.page.get_by_role("button", name="Stay signed in")).to_be_visible()
        await screen.no_axe_violations()
        passing.to(minutes=15)
        await come_back(screen.page)
        await is_over(screen, SIGNED_OUT)


async def test_what_can_t_go_on_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions: Sessions = world.stack.parts.sessions
    monkeypatch.setattr(sessions, "_idle", timedelta(hours=4))
    async with world.screen("gp") as screen:
        await screen.goto("/")
        Passing(monkeypatch, sessions).to(minutes=59)  # of the hour for which the token lives
        await come_back(screen.page)
        await expect(screen.page.get_by_text("You can then sign in again")).to_be_visible()
        await expect(screen.page.get_by_role("button", name="Stay signed in")).to_have_count(0)
