"""The viewer in a real browser: every journey, at each width, with the keyboard, and nothing that moves or leaks."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from playwright.async_api import expect

from connectors.kit.faults import Mode
from gateway.web.record.page import SOON
from tests.flow.stack import AALIYAH, DANIEL, ELSIE, GRACE, HAROLD, RAJESH, TOMASZ, WINSTON
from tests.flow.streaming import Holding
from tests.screens.conftest import WIDTHS, Screen, World, served
from tests.screens.viewer import BORN, agree, find, to_whole

pytestmark = pytest.mark.skipif(
    not (shutil.which("chromium") or shutil.which("chromium-browser")), reason="there is no chromium on this machine"
)


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with served(tmp_path_factory.mktemp("viewer"), canaries=False) as made:
        yield made


async def is_sound(screen: Screen) -> None:
    """No violation, nothing wider than the window, nothing from elsewhere."""
    await screen.no_axe_violations()
    await screen.no_sideways_scrolling()
    screen.nothing_left_the_browser()


async def is_sound_refusal(screen: Screen) -> None:
    """A page with an error status, which the browser itself notes: nothing else is wrong with it."""
    screen.complaints = [said for said in screen.complaints if "the server responded with a status of 400" not in said]
    await is_sound(screen)


async def test_a_doctor_opens_a_record(world: World) -> None:
    async with world.screen("hospital-doctor", width=320) as screen:
        await find(screen, GRACE)
        await is_sound(screen)
        await agree(screen)
        await expect(screen.page.locator(".cc-banner").last).to_contain_text("ADEBAYO, Grace")
        await is_sound(screen)


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scripts", [True, False])
async def test_every_state_is_sound_at_every_width(world: World, width: int, scripts: bool) -> None:
    for number in (GRACE, TOMASZ, HAROLD, RAJESH, ELSIE, AALIYAH, DANIEL):
        await world.stack.agree(number)
    async with world.screen("gp", width=width, java_script_enabled=scripts) as screen:
        sound, refusal = (is_sound, is_sound_refusal) if scripts else (_is_quiet, _is_quiet)
        await screen.goto("/patients")
        await sound(screen)
        await screen.press("Continue")
        await refusal(screen)
        for number in (GRACE, TOMASZ, HAROLD, RAJESH, ELSIE, AALIYAH, DANIEL):
            await find(screen, number)
            await expect(screen.page.locator(".cc-whole")).to_be_visible()
            await sound(screen)
        try:
            for mode in (Mode.BROKEN, Mode.NO_ALLERGIES):
                world.stack.make("RJ2", mode.value)
                await find(screen, GRACE)
                await expect(screen.page.get_by_role("heading", name="This record is incomplete")).to_be_visible()
                await sound(screen)
        finally:
            world.stack.make("RJ2", Mode.WELL.value)


async def _is_quiet(screen: Screen) -> None:
    """Without scripts axe can't run: nothing else may be different."""
    screen.complaints = [said for said in screen.complaints if "the server responded with a status of 400" not in said]
    screen.nothing_left_the_browser()


@pytest.mark.slow
async def test_the_question_and_the_interruption_are_sound(world: World) -> None:
    await world.stack.choose(WINSTON, "opted-out")
    for width in WIDTHS:
        async with world.screen("nurse", width=width) as screen:
            await find(screen, TOMASZ)
            page = screen.page.url
            await is_sound(screen)
            await screen.press("Continue")
            await expect(screen.page.get_by_role("alert")).to_be_visible()
            await is_sound_refusal(screen)
            await screen.page.get_by_label("The patient can’t answer").check()
            await screen.press("Continue")
            await is_sound(screen)
            await screen.press("Look in the patient’s best interests")
            await is_sound_refusal(screen)
            await screen.page.goto(page)
            await screen.page.get_by_label("No", exact=True).check()
            await screen.press("Continue")
            await is_sound(screen)


async def _press_to(screen: Screen, name: str, most: int = 60) -> None:
    """Tab until that is where the focus is."""
    for _ in range(most):
        await screen.page.keyboard.press("Tab")
        here = (
            "() => document.activeElement === document.body ? '' :"
            " (document.activeElement.labels?.[0] ?? document.activeElement).innerText.trim()"
        )
        if name in await screen.page.evaluate(here):
            return
    raise AssertionError(f"the keyboard doesn't reach {name}")


@pytest.mark.slow
async def test_with_the_keyboard_alone(world: World) -> None:
    async with world.screen("occupational-therapist") as screen:
        await screen.goto("/")
        await _press_to(screen, "Find a patient")
        await screen.enter()
        await _press_to(screen, "NHS number")
        await screen.page.keyboard.type(AALIYAH)
        for part in BORN[AALIYAH]:
            await screen.page.keyboard.press("Tab")
            await screen.page.keyboard.type(part)
        await screen.enter()
        await _press_to(screen, "Yes, the patient agrees")
        await screen.page.keyboard.press("Space")
        await screen.enter()
        await _press_to(screen, "Skip to main content", 2)
        await screen.page.keyboard.press("Enter")
        await _press_to(screen, "Filter by organisation or time")
        await screen.page.keyboard.press("Enter")
        await _press_to(screen, "All")
        await _press_to(screen, "All")
        await screen.page.keyboard.press("ArrowDown")
        await expect(screen.page.get_by_text("A filter is on: this is not the whole record.")).to_be_visible()
        covered = (
            "() => { const at = document.activeElement.getBoundingClientRect(),"
            " banner = [...document.querySelectorAll('.cc-banner')].at(-1).getBoundingClientRect();"
            " return at.top < banner.bottom }"
        )
        assert not await screen.page.evaluate(covered)  # WCAG 2.2, 2.4.11: focus isn't obscured


@pytest.mark.slow
async def test_the_filter_hides_rows_and_never_an_allergy(world: World) -> None:
    await world.stack.agree(GRACE)
    async with world.screen("gp") as screen:
        await find(screen, GRACE)
        await to_whole(screen)
        rows = screen.page.locator(".cc-whole .cc-row:visible, .cc-whole tbody tr:visible")
        before, calls = await rows.count(), world.stack.calls()
        allergies = await screen.page.locator("[aria-labelledby=all-allergies-title] .cc-row:visible").count()
        await screen.page.get_by_text("Filter by organisation or time").click()
        await screen.page.get_by_label("Oxleas NHS Foundation Trust").check()
        await expect(rows).not_to_have_count(before)
        assert 0 < await rows.count() < before
        assert await screen.page.locator("[aria-labelledby=all-allergies-title] .cc-row:visible").count() == allergies
        await screen.page.get_by_label("Last 3 months").check()
        await is_sound(screen)
        assert world.stack.calls() == calls
        assert screen.requests[-1].count("/patients/") <= 1


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
async def test_what_comes_late_moves_nothing(tmp_path_factory: pytest.TempPathFactory, width: int) -> None:
    holding = Holding(["RJ2", "RPG"])
    late = tmp_path_factory.mktemp("late")
    async with served(late, soon=SOON, canaries=False, around=holding.around) as world:  # late, and never too late
        await world.stack.agree(GRACE)
        async with world.screen("gp", width=width) as screen:
            await find(screen, GRACE, waits=False)
            await screen.page.locator(".cc-part .cc-row").first.wait_for()
            await screen.page.wait_for_timeout(1200)  # longer than the page may still move by itself
            places = "() => [...document.querySelectorAll('.cc-part')].map(e => e.getBoundingClientRect().top)"
            before = await screen.page.evaluate(places)
            holding.let_go("RPG")
            await screen.page.locator(".cc-line--more").first.wait_for()
            assert (await screen.page.evaluate(places))[: len(before)] == before
            holding.let_go()
            await screen.page.wait_for_load_state()
            assert (await screen.page.evaluate(places))[: len(before)] == before
            await expect(screen.page.locator(".cc-whole")).to_be_hidden()
            await is_sound(screen)
            await screen.page.locator(".cc-line--more summary").first.click()
            await expect(screen.page.locator(".cc-line--more .cc-row").first).to_be_visible()
            await screen.page.locator(".cc-banner").last.get_by_text("Show the whole record").click()
            await expect(screen.page.locator(".cc-whole")).to_be_visible()
            await expect(screen.page.locator(".cc-part").first).to_be_hidden()
            await is_sound(screen)


@pytest.mark.slow
async def test_back_shows_nothing_stale_and_a_double_click_asks_once(world: World) -> None:
    async with world.screen("district-nurse") as screen:
        await find(screen, RAJESH)
        await screen.page.get_by_label("Yes, the patient agrees").check()
        await screen.page.get_by_role("button", name="Continue").dblclick()
        await screen.page.locator(".cc-whole").wait_for()
        kinds = [row["kind"] for row in await world.stack.rows(RAJESH) if row["who"]["role"] == "district-nurse"]
        assert kinds.count("permission-granted") == 1
        await screen.goto("/patients")
        body = {"nhsNumber": RAJESH, "statedBy": "patient", "channel": "phone"}
        await world.stack.post("/permissions/_withdraw", body, "privacy-officer")
        await screen.page.go_back()
        await screen.page.get_by_role("heading", name="Ask the patient").wait_for()
        assert "PATEL" not in await screen.page.inner_text("body")


@pytest.mark.slow
async def test_signing_out_in_one_window_clears_the_others(world: World) -> None:
    await world.stack.agree(GRACE)
    async with world.screen("gp") as screen:
        await find(screen, GRACE)
        other = await screen.page.context.new_page()
        await other.goto(world.base + "/")
        await other.get_by_role("button", name="Sign out").click()
        await screen.page.get_by_role("heading", name="You are signed out").wait_for()
        assert "ADEBAYO" not in await screen.page.inner_text("body")


@pytest.mark.slow
async def test_two_windows_with_two_patients_stay_two(world: World) -> None:
    for number in (GRACE, TOMASZ):
        await world.stack.agree(number)
    async with world.screen("gp") as screen:
        await find(screen, GRACE)
        other = Screen(await screen.page.context.new_page(), world.base)
        await find(other, TOMASZ)
        await screen.page.reload()
        await expect(screen.page.locator(".cc-banner").last).to_contain_text("ADEBAYO")
        await expect(other.page.locator(".cc-banner").last).to_contain_text("KOWALSKI")


@pytest.mark.slow
async def test_a_session_that_is_over_shows_nothing_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.stack.agree(GRACE)
    async with world.screen("gp") as screen:
        await find(screen, GRACE)
        clock = world.stack.parts.sessions._clock
        monkeypatch.setattr(world.stack.parts.sessions, "_clock", lambda: clock() + timedelta(hours=20))
        await screen.page.reload()
        assert "ADEBAYO" not in await screen.page.inner_text("body")
        await expect(screen.page.get_by_role("link", name="Sign in")).to_be_visible()
