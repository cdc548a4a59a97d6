"""The record by problem and by contact, and the filter, in a real browser: what is seen, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Locator, expect

from tests.flow.stack import GRACE, ORGANISATIONS
from tests.flow.test_record_links import PATIENT, Given, given
from tests.screens.conftest import CHROMIUM, WIDTHS, Screen, World, served
from tests.screens.viewer import find, to_whole

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
    pytest.mark.slow,  # what the page says is tried by tests/flow/test_record_links.py
]
_NOTHING_CUT = """() => [...document.querySelectorAll('.cc-whole *')].filter((each) => {
  const {textOverflow, webkitLineClamp, overflowX, overflowY, whiteSpace} = getComputedStyle(each);
  const hides = ['hidden', 'clip'].includes(overflowX) || ['hidden', 'clip'].includes(overflowY);
  const is_over = each.scrollWidth > each.clientWidth + 1 || each.scrollHeight > each.clientHeight + 1;
  return each.checkVisibility() && !each.closest('.nhsuk-u-visually-hidden, svg, thead')
    && (textOverflow !== 'clip' || webkitLineClamp !== 'none' || (hides && is_over));
}).map((each) => each.outerHTML.slice(0, 120))"""


async def choose(screen: Screen, way: str) -> Locator:
    """Look by it: the view of the whole record that is there then."""
    await screen.page.get_by_label(way, exact=True).check()
    view = screen.page.locator(f".cc-section.cc-by--{way.lower()}")
    await expect(view).to_be_visible()
    return view


async def is_sound(screen: Screen) -> None:
    await screen.no_axe_violations()
    await screen.no_sideways_scrolling()
    screen.nothing_left_the_browser()
    assert await screen.page.evaluate(_NOTHING_CUT) == []


@pytest.mark.parametrize("width", WIDTHS)
async def test_each_row_is_seen_once_whichever_way_somebody_looks(world: World, width: int) -> None:
    await world.stack.agree(GRACE)
    async with world.screen("gp", width=width) as screen:
        await find(screen, GRACE)
        await to_whole(screen)
        page = screen.page
        sections = page.locator(".cc-section[aria-labelledby^=all-]")
        rows = sections.locator(".cc-row[id]:visible, tr[id]:visible")
        allergies = page.locator("[aria-labelledby=all-allergies-title] .cc-row:visible")
        every, of_allergies, calls = await rows.count(), await allergies.count(), world.stack.calls()
        for way, other in (("Problem", "contact"), ("Contact", "problem")):
            view = await choose(screen, way)
            gone = page.locator(f".cc-section [id].cc-in-{way.lower()}")
            assert await gone.count() > 5
            await expect(gone.first).to_be_hidden()
            assert await rows.count() == every - await gone.count()
            assert await allergies.count() == of_allergies
            assert await view.locator(".cc-view .cc-row:visible").count() >= await gone.count()
            await expect(page.get_by_text(f"Not linked to a {way.lower()} that is shown here")).to_be_visible()
            await expect(page.locator(f".cc-section.cc-by--{other}")).to_be_hidden()
            await is_sound(screen)
        await page.get_by_label("Kind", exact=True).check()
        assert await rows.count() == every
        assert world.stack.calls() == calls


async def test_it_works_with_the_keyboard_without_scripts_and_on_paper(world: World) -> None:
    await world.stack.agree(GRACE)
    async with world.screen("gp", java_script_enabled=False) as screen:
        await find(screen, GRACE)
        await to_whole(screen)
        await screen.page.get_by_label("Kind", exact=True).focus()
        await screen.page.keyboard.press("ArrowDown")
        view = screen.page.locator(".cc-section.cc-by--problem")
        await expect(view).to_be_visible()
        await screen.page.keyboard.press("Tab")
        await view.get_by_role("link", name="Essential hypertension").focus()
        await screen.page.keyboard.press("Enter")
        await expect(view.get_by_role("heading", name="Essential hypertension")).to_be_in_viewport()
        await screen.page.emulate_media(media="print")
        await expect(view.get_by_text("Amlodipine 5mg tablets").first).to_be_visible()
        await expect(screen.page.get_by_label("Kind", exact=True)).to_be_hidden()
        await expect(screen.page.get_by_text("Not linked to a problem that is shown here")).to_be_visible()


async def test_the_filter_reaches_into_what_is_linked(world: World) -> None:
    await world.stack.agree(GRACE)
    async with world.screen("gp") as screen:
        await find(screen, GRACE)
        await to_whole(screen)
        view = await choose(screen, "Problem")
        await screen.page.get_by_text("Filter by organisation or time").click()
        await screen.page.get_by_label("South Lewisham Group Practice").check()
        await expect(view.get_by_text("A filter is on")).to_be_visible()
        sources = await view.locator(".cc-view .cc-row:visible .cc-row__source").all_inner_texts()
        assert set(sources) == {"South Lewisham Group Practice"}


def _forty(folder: Path) -> Path:
    """The flow tests' organisations, and forty trusts more."""
    entries = "".join(
        f"""
  - ods: X{number:02}
    name: Trust {number:02}
    type: acute-trust
    stage: live
    joined: 2026-11-02
    connector: fhir_r4
    address: sandbox
    sections: [demographics, problems]
    settings: {{patient_by: identifier}}
"""
        for number in range(40)
    )
    listed = folder / "organisations.yaml"
    listed.write_text(ORGANISATIONS.read_text() + entries)
    return listed


async def test_forty_organisations_are_told_apart(tmp_path: Path) -> None:
    trusts = {
        f"X{number:02}": Given(PATIENT, given("Condition", f"found by {number:02}"), ods=f"X{number:02}")
        for number in range(40)
    }
    async with served(tmp_path, canaries=False, instead=trusts, organisations_file=_forty(tmp_path)) as world:
        await world.stack.agree(GRACE)
        async with world.screen("gp") as screen:
            await find(screen, GRACE)
            await to_whole(screen)
            await screen.page.get_by_text("Filter by organisation or time").click()
            rows = screen.page.locator("[aria-labelledby=all-problems-title] .cc-row:visible")
            assert await rows.count() > 40
            for number in (0, 9, 10, 23, 24, 31, 39):
                await screen.page.get_by_label(f"Trust {number:02}", exact=True).check()
                await expect(rows).to_have_count(1)
                assert f"found by {number:02}" in await rows.inner_text()
            await screen.no_sideways_scrolling()
