"""The record on one page: what it says, in which words, and what it never says; and that it stops when it must."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from connectors.kit.faults import Mode
from connectors.sdk.bundle import examine
from connectors.sdk.errors import SourceTimeout
from connectors.sdk.model import Answer, Ask, Item, Outcome
from gateway.store.moments import utc_now
from tests.flow.registers import Register, registered, with_register
from tests.flow.stack import AALIYAH, DANIEL, ELSIE, GRACE, HAROLD, RAJESH, TOMASZ, Stack, running
from tests.flow.streaming import Holding, Open, streaming
from tests.flow.test_sign_in_ends import end as end_sign_in
from tests.flow.visitor import opened, text_of, visiting

BORN = {
    GRACE: "1958-03-12", TOMASZ: "1987-11-02", AALIYAH: "2001-06-21", RAJESH: "1971-12-24", HAROLD: "1931-05-08",
    ELSIE: "1937-02-14", DANIEL: "1984-01-17",
}  # fmt: skip


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(tmp_path_factory.mktemp("record"), canaries=False) as made:
        yield made


@pytest.fixture(autouse=True)
def everybody_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test did to the sources is over with it."""
    yield
    if "stack" in request.fixturenames:
        for sandbox in request.getfixturevalue("stack").sandboxes.values():
            sandbox.switch.mode = Mode.WELL


async def seen(stack: Stack, nhs_number: str, who: str = "gp") -> str:
    async with opened(stack, nhs_number, BORN[nhs_number], who) as visitor:
        page = await visitor.view()
        assert page.status_code == 200
        return page.text


def whole_of(page: str) -> str:
    """The whole record, without what came before it was there."""
    return page[page.index('<div slot="whole"') :]


def section(page: str, name: str) -> str:
    """One section of the whole record, as it is read."""
    whole = whole_of(page)
    return text_of(whole[whole.index(f'aria-labelledby="all-{name}-title"') :].partition("</section>")[0])


def banner(page: str) -> str:
    """The last banner: the one that is seen."""
    return text_of(page[page.rindex('<div slot="banner"') :].partition('<div slot="whole"')[0])


async def test_the_banner_says_who_it_is_and_the_state_of_the_allergies(stack: Stack) -> None:
    page = await seen(stack, GRACE)
    assert "ADEBAYO, Grace (Mrs)" in banner(page)
    assert "Born 12-Mar-1958 (68y)" in banner(page)
    assert "NHS No. 999 000 0409" in banner(page)
    assert "Known allergies" in banner(page)
    assert banner(await seen(stack, TOMASZ)).count("No known allergies") == 1


@pytest.mark.parametrize("mode", ["refusing", "broken", "no-allergies"])
async def test_no_known_allergies_never_stands_beside_a_missing_source(stack: Stack, mode: str) -> None:
    stack.make("RJ2", mode)
    page = await seen(stack, TOMASZ)
    assert "No known allerg" not in html.unescape(page)
    assert "Allergies unavailable" in banner(page)
    assert "May be incomplete: Lewisham and Greenwich NHS Trust" in section(page, "allergies")


async def test_a_source_that_is_down_is_named_first_of_all_with_its_sections(stack: Stack) -> None:
    stack.make("RPG", "broken")
    page = await seen(stack, GRACE)
    text = text_of(whole_of(page))
    assert text.index("This record is incomplete") < text.index("Allergies and reactions")
    assert re.search(r"Oxleas NHS Foundation Trust [^.]*medicines[^.]*missing", text)
    assert 'class="cc-incomplete"' in page


async def test_who_answers_is_calm_and_absence_is_no_proof(stack: Stack) -> None:
    text = text_of(whole_of(await seen(stack, GRACE)))
    assert text.count("Absence of information here does not mean that it does not exist.") == 1
    assert "Everybody who was asked has answered." in text


async def test_an_empty_section_says_which_kind_of_empty_it_is(stack: Stack) -> None:
    assert "None recorded by those who were asked" in section(await seen(stack, AALIYAH), "care-team")
    for_council = await seen(stack, GRACE, "social-worker")
    assert "Not permitted" in section(for_council, "results")
    stack.make("G85005", "broken")
    down = await seen(stack, AALIYAH)
    assert "Unavailable" in section(down, "care-team")


async def test_one_medicine_at_two_doses_stands_side_by_side(stack: Stack) -> None:
    medicines = section(await seen(stack, GRACE), "medicines")
    assert "What is recorded differs" in medicines
    assert "Lewisham and Greenwich NHS Trust has “10 mg, once a day”" in medicines
    assert "DOSE 5 mg – Oral route – once a day As written: 5 mg once daily" in medicines
    assert medicines.index("Current") < medicines.index("Not current")


async def test_results_have_value_unit_range_flag_and_course(stack: Stack) -> None:
    page = await seen(stack, GRACE)
    results = section(page, "results")
    assert "Serum potassium level, the latest first Date Value Flag Range Source" in results
    assert "5.00 mmol/L Normal 3.5 mmol/L to 5.3 mmol/L South Lewisham Group Practice" in results
    assert "Systolic blood pressure: 139 mmHg Diastolic blood pressure: 82 mmHg" in results
    label = re.search(r'aria-label="(\d+) values in mmol/L, from 4.20 on [^"]*', page)
    assert label is not None
    drawing = page[label.start() :].partition("</svg>")[0]
    assert drawing.count("<circle") == int(label[1])


async def test_contacts_to_come_stand_before_the_past(stack: Stack) -> None:
    contacts = section(await seen(stack, GRACE), "contacts")
    coming = re.findall(r"\d\d-[A-Z][a-z]{2}-20\d\d", contacts[: contacts.index("Past")])
    assert contacts.index("To come, or today") < contacts.index("Past")
    assert coming[0] == "11-Jan-2027"


async def test_every_row_has_its_source_and_its_date(stack: Stack) -> None:
    whole = whole_of(await seen(stack, ELSIE))
    rows = re.findall(r'<div class="cc-row[^"]*" id=.*?cc-row__from">(.*?)</p></div>', whole, re.DOTALL)
    readings = re.findall(r'data-label="Source">([^<]+)', whole)
    assert len(rows) + len(readings) > 250
    assert all('cc-row__source">' in row and 'cc-row__when">' in row for row in rows)


async def test_nothing_is_shown_twice_or_left_out(stack: Stack) -> None:
    async with opened(stack, ELSIE, BORN[ELSIE]) as visitor:
        page = await visitor.view()
    rows = [row for row in await stack.rows(ELSIE) if row.get("request_id") == page.headers["x-request-id"]]
    released = sum(count for row in rows for count in row.get("seen", {}).values())
    whole = whole_of(page.text)
    assert len(re.findall(r'id="w\d+"', whole)) + len(re.findall(r'<div class="cc-row">', whole)) == released
    assert len(set(re.findall(r'id="(w\d+)"', whole))) == len(re.findall(r'id="w\d+"', whole))


async def test_what_is_never_shown_is_said_alike_whether_or_not_there_is_any(stack: Stack) -> None:
    said = []
    for number in (DANIEL, AALIYAH):
        whole = whole_of(await seen(stack, number, "hospital-doctor"))
        said.append(text_of(whole[whole.index("What is never shown to you") :]).replace("/patients/", ""))
    assert said[0] == said[1]
    assert "Ask the patient about sensitive information" in said[0]
    assert "POST /permissions" not in said[0]


async def test_with_the_patients_word_for_just_that_sensitive_items_are_there(stack: Stack) -> None:
    async with opened(stack, DANIEL, BORN[DANIEL], "hospital-doctor") as visitor:
        before = whole_of((await visitor.view()).text)
        assert (await visitor.get(f"{visitor.page}/permission")).status_code == 200
        await visitor.says("yes-and-sensitive")
        after = whole_of((await visitor.view()).text)
    assert after.count('class="cc-row') > before.count('class="cc-row')


async def test_the_dead_and_those_who_differ_are_told_apart(stack: Stack) -> None:
    dead = await seen(stack, HAROLD)
    assert "cc-banner--died" in dead
    assert "Died 02-Jul-2026" in banner(dead)
    assert re.search(r"\(\d+y\)", banner(dead)) is None
    text = text_of(whole_of(await seen(stack, RAJESH)))
    assert "Is this the right patient?" in text
    assert "Given name Jenner Practice Raj" in text
    assert "Given name South Lewisham Group Practice Rajesh" in text


async def test_a_sensitive_patient_is_told_apart(tmp_path: Any) -> None:
    labelled = registered(GRACE, "G85005", label="R", birthDate=BORN[GRACE])
    async with with_register(tmp_path, Register(labelled), canaries=False) as stack:
        page = await seen(stack, GRACE)
    assert "cc-banner--sensitive" in page
    assert "Sensitive: where the patient lives is held back" in banner(page)
    assert "14 Ladywell Road" not in page


async def test_who_looks_by_a_problem_finds_what_its_source_ties_to_it(stack: Stack) -> None:
    whole = whole_of(await seen(stack, HAROLD))
    links = re.findall(r"Tied to this by the source: (\d+)</summary>(.*?)</details>", whole, re.DOTALL)
    assert links
    for count, listed in links:
        targets = re.findall(r'href="#(\w+)"', listed)
        assert len(targets) == int(count)
        assert all(f'id="{target}"' in whole for target in targets)


async def test_the_filter_offers_who_holds_something_and_never_hides_an_allergy(stack: Stack) -> None:
    whole = whole_of(await seen(stack, GRACE))
    places = dict(re.findall(r'id="cc-only-(\d+)" autocomplete="off"> ([^<]+)', whole))
    assert sorted(places.values()) == [
        "Lewisham and Greenwich NHS Trust", "London Borough of Lewisham", "Oxleas NHS Foundation Trust",
        "South Lewisham Group Practice",
    ]  # fmt: skip
    assert set(re.findall(r"cc-from-a(\d)", whole)) <= places.keys()
    allergies = whole[whole.index('id="all-allergies"') :].partition("</section>")[0]
    assert "cc-from-" not in allergies
    assert "cc-age-" not in allergies


MARK = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>{{7*7}}<!-- the record -->"


class Hostile:
    """A source that puts mark-up into every text of everything it holds."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items

    async def ask(self, ask: Ask) -> Answer:
        return Answer("RJ2", Outcome.ANSWERED, [self._spoilt(item) for item in self.items])

    async def aclose(self) -> None:
        """Nothing to close."""

    def _spoilt(self, item: Item) -> Item:
        resource = _marked(deepcopy(item.resource))
        return Item("RJ2", resource, item.section, item.original_id, findings=examine(resource)[0])


_KEPT = frozenset({"resourceType", "id", "reference", "system", "value", "status", "code", "url", "div", "birthDate"})


def _marked(node: Any, name: str = "") -> Any:
    if isinstance(node, dict):
        return {key: _marked(value, key) for key, value in node.items()}
    if isinstance(node, list):
        return [_marked(value, name) for value in node]
    is_date = isinstance(node, str) and re.match(r"\d{4}(-|$)", node) is not None
    return node + MARK if isinstance(node, str) and name not in _KEPT and not is_date else node


class Recording:
    """Keeps what a connector answered."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.items: list[Item] = []

    async def ask(self, ask: Ask) -> Answer:
        answer: Answer = await self.inner.ask(ask)
        self.items = deepcopy(answer.items)
        return answer

    async def aclose(self) -> None:
        await self.inner.aclose()


async def test_nothing_that_a_source_wrote_is_mark_up(tmp_path_factory: pytest.TempPathFactory) -> None:
    recordings: list[Recording] = []

    def around(ods: str, connector: Any) -> Any:
        if ods != "RJ2":
            return connector
        recordings.append(Recording(connector))
        return recordings[-1]

    async with running(tmp_path_factory.mktemp("kept"), canaries=False, around=around) as stack:
        await seen(stack, GRACE)
    async with running(
        tmp_path_factory.mktemp("spoilt"), canaries=False, instead={"RJ2": Hostile(recordings[0].items)}
    ) as stack:
        page = await seen(stack, GRACE)
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") > 40
    assert "<img" not in page
    assert page.count("<script") == page.count('<script type="module"') == 2
    assert "49<" not in page.replace("{{7*7}}", "")
    assert page.rstrip().endswith("</html>")
    assert page.count("</main>") == 1


def by_cookie(client: httpx2.AsyncClient) -> dict[str, str]:
    """The header of a session, for a request that is read piece by piece."""
    return {"accept": "text/html", "cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}


class Reading:
    """A page under way."""

    def __init__(self, under_way: Open) -> None:
        self._open = under_way

    async def hang_up(self) -> None:
        """Close the window."""
        await self._open.hang_up()

    async def until(self, text: str) -> str:
        """What has come, once that is there."""
        await self._open._until(lambda: text.encode() in self._open.raw)
        return self._open.raw.decode()

    async def rest(self) -> str:
        """All of it."""
        await self._open._until(lambda: False)
        return self._open.raw.decode()


@asynccontextmanager
async def held(tmp_path: Any, *sources: str) -> AsyncIterator[tuple[Stack, Holding]]:
    holding = Holding(sources)
    async with running(tmp_path, canaries=False, around=holding.around) as stack:
        yield stack, holding


@asynccontextmanager
async def reading(stack: Stack, nhs_number: str, who: str = "gp") -> AsyncIterator[tuple[Reading, Any]]:
    async with (
        opened(stack, nhs_number, BORN[nhs_number], who) as visitor,
        streaming(stack, visitor.page, who, headers=by_cookie(visitor.here)) as under_way,
    ):
        yield Reading(under_way), visitor


async def test_what_came_is_there_while_a_source_hangs(tmp_path: Any) -> None:
    async with held(tmp_path, "RJ2") as (stack, holding), reading(stack, GRACE) as (page, _):
        first = await page.until("Still asking Lewisham and Greenwich NHS Trust.")
        assert "Allergy to penicillin" in first
        assert "Waiting for Lewisham and Greenwich NHS Trust" in first
        assert "No known allerg" not in first
        assert "</html>" not in first
        holding.let_go()
        rest = await page.rest()
    assert rest.startswith(first)
    assert "Everybody who was asked has answered" in rest
    assert rest.rstrip().endswith("</html>")


async def test_the_gap_is_named_once_the_time_is_over(tmp_path: Any) -> None:
    async with held(tmp_path, "RJ2") as (stack, holding), reading(stack, GRACE) as (page, _):
        await page.until("Still asking")
        holding.held["RJ2"].fails = SourceTimeout()
        holding.let_go()
        rest = await page.rest()
    assert "This record is incomplete" in rest
    assert "Lewisham and Greenwich NHS Trust" in text_of(whole_of(rest)).partition("Allergies and reactions")[0]


@pytest.mark.parametrize("ending", ["opted out", "withdrawn", "signed out", "signed out by the provider", "idle"])
async def test_a_page_stops_when_the_right_to_see_it_ends(
    tmp_path: Any, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with held(tmp_path, "RJ2") as (stack, holding), reading(stack, GRACE) as (page, visitor):
        await page.until("Still asking")
        if ending == "opted out":
            await stack.choose(GRACE, "opted-out")
        elif ending == "withdrawn":
            body = {"nhsNumber": GRACE, "statedBy": "patient", "channel": "phone"}
            assert (await stack.post("/permissions/_withdraw", body, "privacy-officer")).status_code == 200
        elif ending == "signed out by the provider":
            claims = await claims_of(stack, visitor.here)
            assert (await end_sign_in(stack, sub=claims["sub"])).status_code == 200
        elif ending == "idle":
            sessions = stack.parts.sessions
            monkeypatch.setattr(sessions, "_clock", lambda: utc_now() + timedelta(minutes=15))
        else:
            await visitor.post("/sign-out")
        holding.let_go()
        rest = await page.rest()
        monkeypatch.undo()
        *_, last = [row for row in await stack.rows(GRACE) if row["kind"] in ("release", "refusal")]
    assert last["kind"] == "refusal"
    assert ("You are signed out, or" in rest) is (ending not in ("opted out", "withdrawn"))
    assert "This page has stopped. The record is incomplete." in rest
    assert "cc-stopped--hides" in rest
    assert 'slot="whole"' not in rest
    assert "Allergies unavailable" in rest[rest.rindex('slot="banner"') :]
    assert rest.rstrip().endswith("</html>")


async def claims_of(stack: Stack, here: httpx2.AsyncClient) -> Mapping[str, Any]:
    """Of the token that the session in this browser holds."""
    (name,) = here.cookies.values()
    resumed = await stack.parts.sessions.standing(name)
    person = (await stack.parts.naming.presented(resumed.session)).believed
    assert person is not None
    return person.claims


async def test_who_goes_away_ends_the_look(tmp_path: Any) -> None:
    async with held(tmp_path, "RJ2") as (stack, holding), reading(stack, GRACE) as (page, _):
        await page.until("Still asking")
        await page.hang_up()
        assert holding.held["RJ2"].cut == 1


async def test_a_permission_that_is_over_is_a_question_again(stack: Stack) -> None:
    async with opened(stack, AALIYAH, BORN[AALIYAH]) as visitor:
        assert "HUSSAIN" in (await visitor.view()).text
        body = {"nhsNumber": AALIYAH, "statedBy": "patient", "channel": "phone"}
        await stack.post("/permissions/_withdraw", body, "privacy-officer")
        again = await visitor.view()
        assert "Ask the patient" in again.text
        assert "HUSSAIN" not in again.text


async def test_pages_are_kept_nowhere(stack: Stack) -> None:
    async with opened(stack, GRACE, BORN[GRACE]) as visitor:
        page = await visitor.view()
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-accel-buffering"] == "no"
    assert re.search(r'data-asks="/patients/[^"]+/standing/[0-9a-f-]{36}" data-seconds="\d+"', page.text)
    assert "style=" not in page.text
    assert re.search(r"\son\w+=", page.text) is None
    assert GRACE not in page.text.replace("999 000 0409", "")


async def test_two_doctors_look_at_once(stack: Stack) -> None:
    pages = await asyncio.gather(seen(stack, GRACE), seen(stack, TOMASZ, "hospital-doctor"))
    assert [("ADEBAYO" in page, "KOWALSKI" in page) for page in pages] == [(True, False), (False, True)]


async def test_nobody_sees_a_record_without_the_patients_word(stack: Stack) -> None:
    async with visiting(stack, "nurse") as visitor:
        await visitor.find(ELSIE, BORN[ELSIE])
        page = await visitor.view()
        assert "THOMPSON" not in page.text
