"""A patient reads who looked at them, keeps it with its proof, and takes back what they said yes to."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator

import httpx2
import pytest

from gateway.audit.log.checkpoint import PublicKey
from gateway.audit.report.as_html import report_in
from gateway.audit.report.check import check_report
from gateway.audit.report.make import NotProven
from gateway.demo.people import DemoPerson
from tests.flow.stack import AALIYAH, DANIEL, ELSIE, GRACE, RAJESH, SIOBHAN, TOMASZ, WINSTON, Stack, running

_FIELD = re.compile(r'name="(csrf|permission)" value="([^"]+)"')
LOOKS, LETTER, PERMISSIONS = "/my/looks", "/my/looks/letter", "/my/permissions"


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(tmp_path_factory.mktemp("own-looks")) as made:
        yield made


async def shown(browser: httpx2.AsyncClient, page: str) -> str:
    """The page's text, without markup."""
    answer = await browser.get(page)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    text = html.unescape(re.sub(r"<[^>]+>", " ", answer.text))
    return " ".join(text.split())


async def best_interests(stack: Stack, nhs_number: str, who: str = "hospital-doctor") -> None:
    body = {
        "nhsNumber": nhs_number,
        "basis": "best-interests",
        "reasonCode": "emergency",
        "reason": "Found unconscious",
    }
    assert (await stack.post("/permissions", body, who)).status_code == 201


async def test_nobody_looked_is_said_first(stack: Stack) -> None:
    async with stack.patient(AALIYAH) as browser:
        page = await shown(browser, LOOKS)
    first = page.index("Did anybody look without asking me?")
    assert page.index("No. Nobody looked at your record without asking you first.") > first
    assert page.index("Who looked at me?") > first
    assert "Nobody looked at your record." in page


async def test_who_looked_when_why_at_what_and_on_whose_word(stack: Stack) -> None:
    await stack.agree(GRACE)
    assert (await stack.everything(GRACE)).status_code == 200
    await best_interests(stack, GRACE)
    assert (await stack.everything(GRACE, "hospital-doctor")).status_code == 200
    assert (await stack.everything(GRACE, "nurse")).status_code == 403
    async with stack.patient(GRACE) as browser:
        page = await shown(browser, LOOKS)
        assert "Did anybody look without asking me? Yes, once." in page
        assert (
            "THORNBURY Kwame Dr, a hospital doctor at Lewisham and Greenwich NHS Trust. You could not be asked." in page
        )
        assert "You could not be asked: best interests" in page
        assert "ASHWORTH Meera Dr, a GP" in page
        assert "your medicines" in page
        assert "Stopped: nothing was shown" in page
        assert "because they had not asked you first" in page
        assert "You read your own pages" in page
        letter = await shown(browser, LETTER)
    assert "NHS number: 999 000 0409" in letter
    assert "You read the list of who looked at you." in letter


async def test_reading_it_is_a_row_that_stands_in_it(stack: Stack) -> None:
    async with stack.patient(RAJESH) as browser:
        for page in (LOOKS, LETTER):
            await browser.get(page)
    rows = [row for row in await stack.rows(RAJESH) if row["who"] and row["who"]["role"] == "patient"]
    assert [(row["kind"], row["door"]) for row in rows] == [
        ("audit-read", f"GET {LOOKS}"),
        ("audit-read", f"GET {LETTER}"),
    ]


async def test_the_files_prove_themselves_to_a_stranger(stack: Stack) -> None:
    await stack.agree(TOMASZ)
    await stack.everything(TOMASZ)
    key: PublicKey = stack.parts.checkpointer.public
    async with stack.patient(TOMASZ) as browser:
        files = {form: await browser.get(f"{LOOKS}/files/{form}") for form in ("json", "html", "csv")}
        assert (await browser.get(f"{LOOKS}/files/exe")).status_code == 404
        assert str(key) in await shown(browser, LOOKS)
    for form, answer in files.items():
        assert answer.headers["content-disposition"] == f'attachment; filename="access-report.{form}"'
    assert check_report(files["json"].content, key) == []
    assert check_report(report_in(files["html"].content), key) == []
    assert files["json"].json()["patient"]["nhsNumber"] == TOMASZ
    assert "ASHWORTH Meera Dr" in files["csv"].text


async def test_a_patient_sees_nobody_elses_looks(stack: Stack) -> None:
    await stack.agree(WINSTON, "nurse")
    async with stack.patient(ELSIE) as browser:
        pages = [await shown(browser, page) for page in (LOOKS, LETTER, PERMISSIONS, "/my/choice", "/my")]
        files = (await browser.get(f"{LOOKS}/files/json")).json()
    assert not any("VALE Siobhan" in page or "999 000 0611" in page for page in pages)
    assert files["patient"]["nhsNumber"] == ELSIE


async def test_nothing_that_was_refused_to_the_patient_reads_as_somebody_stopped(stack: Stack) -> None:
    async with stack.patient(SIOBHAN) as browser:
        assert (await browser.post("/my/choice/opt-out", data={"csrf": "x"})).status_code == 403
        page = await shown(browser, LOOKS)
        assert "No. Nobody was stopped." in page
        assert "You tried to use the page about your choice. You were not shown anything, because" in page


async def test_who_may_look_now_is_listed_and_can_be_stopped(stack: Stack) -> None:
    await stack.agree(DANIEL)
    await best_interests(stack, DANIEL)
    assert (await stack.everything(DANIEL)).status_code == 200
    async with stack.patient(DANIEL) as browser:
        page = await browser.get(PERMISSIONS)
        assert "ASHWORTH Meera Dr" in page.text
        assert "THORNBURY Kwame Dr" in page.text
        assert "You could not be asked" in page.text
        fields = _FIELD.findall(page.text)
        csrf = next(value for name, value in fields if name == "csrf")
        for permission in [value for name, value in fields if name == "permission"]:
            for _ in range(2):  # a double click
                done = await browser.post(f"{PERMISSIONS}/take-back", data={"csrf": csrf, "permission": permission})
                assert (done.status_code, done.headers["location"]) == (303, PERMISSIONS)
        assert "Nobody may look now." in (await browser.get(PERMISSIONS)).text
        assert (await stack.everything(DANIEL)).status_code == 403
        assert (await stack.everything(DANIEL, "hospital-doctor")).status_code == 403
        told = await shown(browser, LOOKS)
        assert (
            "You said that ASHWORTH Meera Dr, a GP at South Lewisham Group Practice, may not look any more, online."
            in told
        )
    taken = [row for row in await stack.rows(DANIEL) if row["kind"] == "permission-withdrawn"]
    assert len(taken) == 2
    assert all(row["who"]["role"] == "patient" for row in taken)


@pytest.mark.parametrize("permission", ["", "x", "' OR 1=1 --", "another"])
async def test_nobody_takes_back_what_is_not_about_them(stack: Stack, permission: str) -> None:
    theirs = await stack.agree(WINSTON, "nurse")
    async with stack.patient(ELSIE) as browser:
        csrf = dict(_FIELD.findall((await browser.get(PERMISSIONS)).text))["csrf"]
        given = {"csrf": csrf, "permission": theirs if permission == "another" else permission}
        refused = await browser.post(f"{PERMISSIONS}/take-back", data=given)
        assert refused.status_code == 404
        assert (await browser.post(f"{PERMISSIONS}/take-back", data=given | {"csrf": "x"})).status_code == 403
    assert (await stack.everything(WINSTON, "nurse")).status_code == 200


async def test_names_that_are_markup_are_text(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    monkeypatch.setattr(DemoPerson, "name", property(lambda _: hostile))
    stack.tokens.pop("district-nurse", None)
    await stack.agree(SIOBHAN, "district-nurse")
    await stack.everything(SIOBHAN, "district-nurse")
    async with stack.patient(SIOBHAN) as browser:
        for page in (LOOKS, LETTER, PERMISSIONS):
            text = (await browser.get(page)).text
            assert "&lt;script&gt;alert(1)" in text
            assert "<script>alert" not in text
            assert "<img" not in text


async def test_a_list_that_cannot_be_proven_is_not_shown(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise NotProven("the map is damaged")

    monkeypatch.setattr(type(stack.parts.reports.maker), "make", broken)
    async with stack.patient(GRACE) as browser:
        page = await browser.get(LOOKS)
        assert page.status_code == 503
        assert "make your list" in page.text
        assert "connectcare" not in page.text
