"""Patients' own pages in a real browser: at every width, by keyboard alone, and without anything from elsewhere."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from gateway.demo.patients import PATIENTS_PATH
from tests.flow.stack import AALIYAH, DANIEL, GRACE, RAJESH, SIOBHAN, TOMASZ
from tests.quick import only
from tests.screens.conftest import CHROMIUM, WIDTHS, Screen, World
from tests.screens.states_patients import at, looked_at, not_proven, sign_in

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
PAGES = (
    "/my", "/my/choice", "/my/choice/opt-out", "/my/looks", "/my/looks/letter", "/my/permissions",
)  # fmt: skip


@pytest.fixture(scope="module")
async def seen(world: World) -> World:
    """A world in which somebody looked at Grace."""
    await looked_at(world, GRACE)
    return world


async def is_sound(screen: Screen) -> None:
    await screen.no_axe_violations()
    await screen.no_sideways_scrolling()
    screen.nothing_left_the_browser()


@pytest.mark.parametrize("width", only({320}, WIDTHS))
@pytest.mark.parametrize("path", only({"/my/looks"}, PAGES))
async def test_each_page_is_sound_at_each_width(seen: World, path: str, width: int) -> None:
    async with seen.screen(width=width) as screen:
        await sign_in(seen, screen, GRACE)
        await screen.goto(path)
        await is_sound(screen)


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
async def test_each_page_before_sign_in_is_sound(world: World, width: int) -> None:
    async with world.screen(width=width) as screen:
        for reach in (not_proven, at("/my/choice", TOMASZ, out=True), at("/my/choice/opt-in", TOMASZ)):
            await reach(world, screen)
            await screen.no_axe_violations()
            await screen.no_sideways_scrolling()
    async with world.screen(width=width) as screen:
        await screen.goto("/my")
        await expect(screen.page).to_have_url(re.compile("/my/sign-in$"))
        await is_sound(screen)


@pytest.mark.slow
async def test_a_patient_does_it_all_by_keyboard(world: World) -> None:
    """Opt out, read that nobody looked, sign out: with Tab and Enter alone."""
    async with world.screen(width=768) as screen:
        page = screen.page
        await sign_in(world, screen, AALIYAH)
        await screen.goto("/my")
        await tab_to(screen, "Skip to main content")
        await tab_to(screen, "My choice", "a")
        await screen.enter()
        await tab_to(screen, "Opt out")
        await screen.enter()
        await tab_to(screen, "Yes, opt out")
        assert (
            await page.evaluate(
                "getComputedStyle(document.activeElement).outlineStyle + ' ' + "
                "getComputedStyle(document.activeElement).boxShadow"
            )
            != "none none"
        )
        await screen.enter()
        await expect(page.get_by_role("heading", name="You have opted out")).to_be_visible()
        await tab_to(screen, "Who looked at my record")
        await screen.enter()
        await expect(page.get_by_text("No. Nobody looked at your record without asking you first.")).to_be_visible()
        await tab_to(screen, "Sign out")
        await screen.enter()
        await expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
        screen.nothing_left_the_browser()


async def tab_to(screen: Screen, text: str, tag: str = "") -> None:
    """Press Tab until that is what has the focus."""
    for _ in range(60):
        await screen.page.keyboard.press("Tab")
        found = await screen.page.evaluate("[document.activeElement.tagName, document.activeElement.innerText]")
        if found[1] == text and tag.upper() in ("", found[0]):
            return
    pytest.fail(f"the keyboard doesn't reach {text!r}")


@pytest.mark.slow
async def test_without_scripts_everything_works(seen: World) -> None:
    async with seen.screen(java_script_enabled=False) as screen:
        page = screen.page
        await sign_in(seen, screen, DANIEL)
        await screen.goto("/my/choice/opt-out")
        await screen.press("Yes, opt out")
        await expect(page.get_by_role("heading", name="You have opted out")).to_be_visible()
        await screen.follow(page.get_by_role("link", name="Who looked at my record"))
        async with page.expect_download() as saving:
            await page.get_by_role("link", name="A table of all lines").click()
        assert (await saving.value).suggested_filename == "access-report.csv"


@pytest.mark.slow
async def test_a_double_click_and_the_back_button_choose_once(world: World) -> None:
    async with world.screen() as screen:
        page = screen.page
        await sign_in(world, screen, SIOBHAN)
        await screen.goto("/my/choice")
        await screen.press("Opt out")
        await page.get_by_role("button", name="Yes, opt out").dblclick()
        await expect(page.get_by_role("heading", name="You have opted out")).to_be_visible()
        await page.go_back()
        await expect(page.get_by_role("heading", name="You have opted out")).to_be_visible()
        assert await page.locator(".cc-lines li").count() == 1


@pytest.mark.slow
async def test_who_signed_out_elsewhere_sees_nothing_stale(seen: World) -> None:
    """Two tabs of one browser: what the other one still shows is gone as soon as it is shown again."""
    async with seen.screen() as screen:
        await sign_in(seen, screen, GRACE)
        await screen.goto("/my/looks")
        other = await screen.page.context.new_page()
        await other.goto(f"{seen.base}/my")
        await other.get_by_role("button", name="Sign out").click()
        await expect(other.get_by_role("heading", name="You are signed out")).to_be_visible()
        await screen.page.reload()
        await expect(screen.page.get_by_role("heading", name="Sign in first")).to_be_visible()
        await other.go_back()
        await expect(other.get_by_role("button", name=re.compile("Sign in with"))).to_be_visible()
        assert "ASHWORTH" not in await other.inner_text("body")


@pytest.mark.slow
async def test_stopping_somebody_names_whom_to_who_cannot_see(seen: World) -> None:
    async with seen.screen() as screen:
        await looked_at(seen, RAJESH)
        await sign_in(seen, screen, RAJESH)
        await screen.goto("/my/permissions")
        stop = screen.page.get_by_role("button", name=re.compile("Stop them from looking.*THORNBURY Kwame Dr"))
        await screen.follow(stop)
        await expect(stop).to_have_count(0)
        await expect(screen.page.get_by_role("heading", name="ASHWORTH Meera Dr")).to_be_visible()


@pytest.mark.slow
async def test_the_sign_in_page_leads_to_the_provider(world: World) -> None:
    async with world.screen() as screen:
        await screen.goto("/my/sign-in")
        link = screen.page.get_by_role("button", name="Sign in with the demo's sign-in for patients")
        answer = await screen.page.request.get(world.base + str(await link.get_attribute("href")), max_redirects=0)
        assert f"{PATIENTS_PATH}/authorize?" in answer.headers["location"]
