"""Hostile sources and hostile pages, in a real browser: nothing runs, nothing breaks, nothing is done unasked."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from playwright.async_api import Dialog, expect

from gateway.web import assets
from gateway.web.frame import part
from tests.flow.stack import AALIYAH, DANIEL, ELSIE, GRACE, HAROLD, MIA, ORGANISATIONS, RAJESH, SIOBHAN, TOMASZ, WINSTON
from tests.flow.streaming import Holding
from tests.screens.conftest import CHROMIUM, WIDTHS, Screen, World, served
from tests.screens.hostile import ATTACKS, SPOILT, Hostile
from tests.screens.states_office import OFFICER, to_person
from tests.screens.states_patients import looked_at, sign_in
from tests.screens.viewer import find, to_whole

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
    pytest.mark.slow,
]
_PATIENTS = (TOMASZ, AALIYAH, WINSTON, DANIEL, SIOBHAN, MIA, RAJESH, ELSIE)
SLOW = Holding(["RPG"])
_WATCH = """
window.__ran = [];
window.canary = (...said) => window.__ran.push(['canary', ...said]);
for (const name of ['alert', 'confirm', 'prompt', 'open']) window[name] = () => window.__ran.push([name]);
document.addEventListener('securitypolicyviolation', (event) =>
  window.__ran.push(['policy', event.violatedDirective, event.blockedURI, event.sample]));
"""
_NOT_OURS = """() => [...document.querySelectorAll('*')].filter((each) =>
  ['IMG', 'IFRAME', 'OBJECT', 'EMBED', 'STYLE', 'BASE', 'MATH', 'TEMPLATE', 'TITLE', 'ANIMATE', 'META', 'LINK',
   'SCRIPT', 'FORM'].includes(each.tagName.toUpperCase()) && !each.closest('head, .cc-course, .cc-header, form')
    && !each.matches('template[id^="cc-before-"], template[id^="cc-over-"]') && !each.nonce
  || [...each.attributes].some(({name, value}) => /^on|^style$|^autofocus$/.test(name)
     || /^(href|src|action)$/.test(name) && !/^(#|\\/|$)/.test(value))
).map((each) => each.outerHTML.slice(0, 200))"""
_OUTSIDE = """() => [...document.querySelectorAll('.cc-whole .cc-row, .cc-whole tbody tr, .cc-part .cc-row')]
  .filter((row) => row.checkVisibility())
  .filter((row) => {
    const home = row.closest('.cc-section, .cc-part, .cc-mismatch');
    if (!home || !row.closest('main')) return true;
    const [a, b] = [row.getBoundingClientRect(), home.getBoundingClientRect()];
    return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1;
  }).map((row) => row.id || row.className)"""
_AFTER_TURNING = """() => {
  const found = [], walk = document.createTreeWalker(document.querySelector('.cc-whole'), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    if (!walk.currentNode.data.includes('\\u202e')) continue;
    const line = walk.currentNode.parentElement.closest('p, div, td, li');
    const after = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
    after.currentNode = walk.currentNode;
    while (after.nextNode()) {
      const word = /[A-Za-z0-9]{3,}/.exec(after.currentNode.data);
      if (!word || after.currentNode.data.includes('\\u202e')) continue;
      const at = [0, word[0].length - 1].map((place) => {
        const range = document.createRange();
        range.setStart(after.currentNode, word.index + place);
        range.setEnd(after.currentNode, word.index + place + 1);
        return range.getBoundingClientRect();
      });
      if (at[0].width && Math.abs(at[0].top - at[1].top) < 2) found.push(at[0].left < at[1].left);
      break;
    }
  }
  return found;
}"""
_PLACES = """(value) => [0, 5, 8].map((place) => {
  const range = document.createRange();
  range.setStart(value.firstChild, place);
  range.setEnd(value.firstChild, place + 1);
  return range.getBoundingClientRect().left;
})"""
_OVERLAID = """() => {
  window.scrollTo(0, document.documentElement.scrollHeight / 2);
  const banner = [...document.querySelectorAll('.cc-banner')].at(-1), at = banner.getBoundingClientRect();
  const state = banner.querySelector('.cc-allergies').getBoundingClientRect();
  const there = document.elementFromPoint(state.left + 4, state.top + state.height / 2);
  return {top: at.top, share: at.height / innerHeight, is_seen: banner.contains(there)};
}"""


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One in which three of the organisations are hostile, their names as well, and one takes its time when told to."""
    data, hostile = tmp_path_factory.mktemp("hostile"), {ods: Hostile(ods) for ods in SPOILT}
    async with served(data, canaries=False, instead=hostile, around=SLOW.around,
                      organisations_file=_renamed(data)) as made:  # fmt: skip
        SLOW.let_go()
        yield made


def _renamed(folder: Path) -> Path:
    """The flow tests' organisations, one of which is called what nobody is called."""
    listed = folder / "organisations.yaml"
    name = "<img src=x onerror=canary()>\\\"'><script>canary()</script>" + "M" * 80
    written = ORGANISATIONS.read_text().replace("name: Lewisham and Greenwich NHS Trust", f'name: "{name}"')
    assert name in written
    listed.write_text(written)
    return listed


@dataclass
class Watched:
    """A window in which whatever runs is noted."""

    screen: Screen
    dialogs: list[str] = field(default_factory=list)

    async def is_unbroken(self) -> None:
        """Nothing ran, nothing was added, nothing is wider than the window, nothing left the browser."""
        assert await self.screen.page.evaluate("window.__ran") == []
        assert self.dialogs == []
        assert await self.screen.page.evaluate(_NOT_OURS) == []
        await self.screen.no_sideways_scrolling()
        self.screen.nothing_left_the_browser()

    async def shows_a_record(self) -> None:
        """Each row in its own section; who it is, and the state of the allergies, on top of everything."""
        await self.is_unbroken()
        assert await self.screen.page.evaluate(_OUTSIDE) == []
        banner = await self.screen.page.evaluate(_OVERLAID)
        assert banner["top"] == 0
        assert banner["share"] < 0.5
        assert banner["is_seen"]


@asynccontextmanager
async def watched(world: World, who: str = "", **more: int) -> AsyncIterator[Watched]:
    async with world.screen(who, **more) as screen:
        found = Watched(screen)

        async def heard(dialog: Dialog) -> None:
            found.dialogs.append(dialog.message)
            await dialog.dismiss()

        screen.page.on("dialog", heard)
        await screen.page.add_init_script(_WATCH)
        yield found


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_record_of_attacks_is_a_record_of_texts(world: World, width: int) -> None:
    await world.stack.agree(GRACE)
    async with watched(world, "gp", width=width) as here:
        page = here.screen.page
        await find(here.screen, GRACE)
        await to_whole(here.screen)
        assert await page.locator(".cc-whole .cc-row").count() > 40
        await expect(page.locator(".cc-incomplete")).to_be_visible()
        (first, *_) = await page.locator(".cc-whole :is(.cc-incomplete, .cc-section)").all()
        assert "This record is incomplete" in await first.inner_text()
        await here.shows_a_record()
        await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
        await here.shows_a_record()
        for way in ("Problem", "Contact"):
            await page.get_by_label(way, exact=True).check()
            assert await page.locator(f".cc-by--{way.lower()} .cc-row").count() > 2
            await here.shows_a_record()
        await page.emulate_media(media="print")
        await here.is_unbroken()
        for attack in ATTACKS:
            first = attack.split("\u2028")[0][:40]
            assert first in await page.evaluate("document.querySelector('main').textContent"), first


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_record_of_attacks_as_it_comes(world: World, width: int) -> None:
    await world.stack.agree(GRACE)
    SLOW.hold_again()
    try:
        async with watched(world, "gp", width=width) as here:
            await find(here.screen, GRACE, waits=False)
            await here.screen.page.locator(".cc-part .cc-row").first.wait_for()
            await expect(here.screen.page.locator(".cc-status").last).to_be_visible()
            assert await here.screen.page.locator(".cc-part .cc-row").count() > 20
            await here.shows_a_record()
            SLOW.let_go()
            await to_whole(here.screen)
            await here.shows_a_record()
    finally:
        SLOW.let_go()


async def test_a_text_that_turns_round_turns_nobody_elses(world: World) -> None:
    """What stands after it on the same line is still written from the left to the right."""
    await world.stack.agree(GRACE)
    async with watched(world, "gp") as here:
        await find(here.screen, GRACE)
        await to_whole(here.screen)
        turned = await here.screen.page.evaluate(_AFTER_TURNING)
        assert len(turned) > 3
        assert all(turned), turned


async def test_a_number_behind_a_right_to_left_word_stays_where_it_is(world: World) -> None:
    """`12 - 15 mg` would be seen as `15 - 12`, with its unit on the other side of the word."""
    reading = SimpleNamespace(values=[("\u05e1\u05d5\u05db\u05e8", "12 - 15 mg")])
    async with world.screen() as screen:
        row = part("record/result.jinja", entry={"what": "x"}, reading=reading)
        await screen.page.set_content(f'<main class="cc-record">{row}</main>')
        await screen.page.add_style_tag(content=assets.ASSETS["connect-care.css"].body.decode())
        places = await screen.page.locator(".cc-number").evaluate(_PLACES)
        assert places == sorted(places)


def _texts() -> list[str]:
    """The attacks as staff can type them: several in one text, which has no more than 500 characters."""
    texts = [""]
    for attack in (each for each in ATTACKS if len(each) < 400):
        texts = [*texts[:-1], texts[-1] + attack] if len(texts[-1] + attack) < 480 else [*texts, attack]
    return texts


@pytest.fixture(scope="module")
async def typed(world: World) -> World:
    """One in which staff typed nothing but attacks, each about another patient."""
    for number, text in zip(_PATIENTS, _texts(), strict=False):
        asked = {"nhsNumber": number, "basis": "best-interests", "reasonCode": "emergency", "reason": text}
        assert (await world.stack.post("/permissions", asked, "hospital-doctor")).status_code == 201
        await world.stack.everything(number, "hospital-doctor")
        chosen = {"nhsNumber": HAROLD, "choice": "opted-in", "channel": "phone", "statedBy": "patient", "reason": text}
        assert (await world.stack.post("/sharing-choices", chosen, OFFICER)).status_code == 201
    return world


@pytest.mark.parametrize("width", WIDTHS)
async def test_what_staff_typed_is_text_to_the_office(typed: World, width: int) -> None:
    async with watched(typed, OFFICER, width=width) as here:
        page, link = here.screen.page, here.screen.page.get_by_role("link", name="best interests")
        await to_person(here.screen, HAROLD)
        await here.is_unbroken()
        seen = await page.inner_text("main")
        for place in range(len(_texts())):
            await here.screen.goto("/office/cases")
            await here.is_unbroken()
            await here.screen.follow(link.nth(place))
            await page.get_by_label("Note", exact=True).fill(_texts()[place])
            await here.screen.press("Write to the case")
            await here.is_unbroken()
            seen += await page.inner_text("main")
        await here.screen.follow(page.get_by_role("link", name=re.compile("Explain")).last)
        await here.is_unbroken()
        for path in ("/status", "/office/audit", "/office/reports", "/office/policy"):
            await here.screen.goto(path)
            await here.is_unbroken()
        assert seen.count("onerror=canary()") >= 3


@pytest.mark.parametrize("width", WIDTHS)
async def test_what_staff_typed_is_text_to_the_patient(typed: World, width: int) -> None:
    await looked_at(typed, TOMASZ)
    async with watched(typed, width=width) as here:
        await sign_in(typed, here.screen, TOMASZ)
        for path in ("/my", "/my/choice", "/my/looks", "/my/looks/letter", "/my/permissions"):
            await here.screen.goto(path)
            await here.is_unbroken()
