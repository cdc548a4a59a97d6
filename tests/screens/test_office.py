"""The privacy officer's pages in a real browser: at every width, by keyboard alone, and nothing from elsewhere."""

from __future__ import annotations

import pytest

from tests.flow.stack import ELSIE
from tests.quick import only
from tests.screens.conftest import CHROMIUM, WIDTHS, Screen, World
from tests.screens.states_office import OFFICER, STATES, TOO_LONG, a_best_interests_look

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
_MOST_TABS = 80


NAMES = {each.name: each.reach for each in (*STATES, *TOO_LONG) if each.width == 1280}


@pytest.mark.parametrize(
    ("name", "width"), only([("office-call-slip", 320)], [(name, width) for name in NAMES for width in WIDTHS])
)
async def test_a_state_is_for_everybody(world: World, name: str, width: int) -> None:
    async with world.screen(width=width) as screen:
        await NAMES[name](world, screen)
        await screen.no_axe_violations()
        await screen.no_sideways_scrolling()
        screen.nothing_left_the_browser()


async def tab_to(screen: Screen, words: str) -> None:
    """By Tab alone, to what is called so. Fails where nothing on the page that can be reached is."""
    named = "(document.activeElement?.labels?.[0]?.innerText ?? document.activeElement?.innerText ?? '').trim()"
    for _ in range(_MOST_TABS):
        await screen.page.keyboard.press("Tab")
        if words in await screen.page.evaluate(named):
            style = (
                "(({outlineStyle, boxShadow}) => outlineStyle + boxShadow)(getComputedStyle(document.activeElement))"
            )
            assert await screen.page.evaluate(style) != "nonenone", f"{words}: where the focus is can't be seen"
            return
    raise AssertionError(f"no Tab leads to {words}")


async def type_into(screen: Screen, words: str, text: str) -> None:
    await tab_to(screen, words)
    await screen.page.keyboard.type(text)


async def press(screen: Screen, words: str) -> None:
    """Go there, and on to the page that it leads to."""
    await tab_to(screen, words)
    await screen.enter()


@pytest.mark.slow
async def test_a_call_and_a_case_by_keyboard_alone(world: World) -> None:
    await a_best_interests_look(world)
    async with world.screen(OFFICER) as screen:
        await screen.goto("/")
        await press(screen, "Sharing choices")
        await type_into(screen, "NHS number", ELSIE)
        for label, text in (("Day", "12"), ("Month", "3"), ("Year", "1961")):
            await type_into(screen, label, text)
        await press(screen, "Continue")
        for words in ("Opt out", "The patient", "By phone", "They showed documents"):
            await tab_to(screen, words)
            await screen.page.keyboard.press("Space")
        await press(screen, "Record their choice")
        assert "Recorded: opted out" in await screen.page.inner_text("h1, .nhsuk-panel")
        await press(screen, "Cases")
        await press(screen, "best interests")
        await type_into(screen, "Note", "He was on call.")
        await screen.page.keyboard.press("Shift+Tab")
        await screen.page.keyboard.press("ArrowDown")
        await press(screen, "Write to the case")
        assert "He was on call." in await screen.page.inner_text("main")
        screen.nothing_left_the_browser()
