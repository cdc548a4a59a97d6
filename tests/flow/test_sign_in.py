"""Staff sign in by themselves: the code of a provider becomes a session here, and no token reaches the browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta

import httpx2
import pytest

from gateway.web import assets
from tests.flow.stack import Stack, running

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(tmp_path_factory.mktemp("sign-in")) as made:
        yield made


@pytest.fixture
async def browser(stack: Stack) -> AsyncIterator[httpx2.AsyncClient]:
    async with stack.browser() as made:
        yield made


async def test_the_page_offers_the_providers(browser: httpx2.AsyncClient) -> None:
    assert (await browser.get("/")).headers["location"] == "/sign-in"
    page = await browser.get("/sign-in")
    assert 'href="/sign-in/demo"' in page.text


async def test_a_doctor_signs_in_and_is_known_on_every_page(stack: Stack) -> None:
    async with stack.signed_in("hospital-doctor") as browser:
        page = await browser.get("/")
        assert page.status_code == 200
        assert "THORNBURY Kwame Dr, hospital doctor" in page.text
        assert not any("eyJ" in cookie for cookie in browser.cookies.values())  # how every JWT begins
        assert "eyJ" not in page.text


async def test_what_a_page_is_made_of_comes_from_here_and_is_kept(browser: httpx2.AsyncClient) -> None:
    page = await browser.get("/sign-in")
    nonce = re.search(r'nonce="([^"]+)"', page.text)
    assert nonce is not None
    policy = page.headers["content-security-policy"]
    assert f"script-src 'nonce-{nonce[1]}'" in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    asked = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    assert len(asked) == 4
    for address in asked:
        answer = await browser.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert (await browser.get(asked[0].replace(assets.VERSION, "0" * 20))).status_code == 404
    assert (await browser.get("/static/x/../../app.py")).status_code == 404


async def test_each_page_has_a_nonce_of_its_own(browser: httpx2.AsyncClient) -> None:
    first, second = [(await browser.get("/sign-in")).headers["content-security-policy"] for _ in range(2)]
    assert first != second


async def test_signing_out_ends_the_session_everywhere(stack: Stack) -> None:
    async with stack.signed_in("gp") as browser:
        page = await browser.get("/")
        csrf = _CSRF.search(page.text)
        assert csrf is not None
        kept = dict(browser.cookies)
        over = await browser.post("/sign-out", data={"csrf": csrf[1]})
        assert over.status_code == 200
        assert "signed out" in over.text
        browser.cookies.update(kept)
        assert (await browser.get("/")).headers["location"] == "/sign-in"


async def test_a_form_of_another_site_signs_nobody_out(stack: Stack) -> None:
    async with stack.signed_in("gp") as browser:
        forged = await browser.post("/sign-out", data={"csrf": "x"})
        assert forged.status_code == 403
        page = _CSRF.search((await browser.get("/")).text)
        assert page is not None
        elsewhere = {"Origin": "https://elsewhere.example"}
        assert (await browser.post("/sign-out", data={"csrf": page[1]}, headers=elsewhere)).status_code == 403
        assert (await browser.get("/")).status_code == 200


async def test_an_answer_that_another_browser_began_signs_nobody_in(stack: Stack, browser: httpx2.AsyncClient) -> None:
    async with stack.browser() as attacker:
        answer = await stack.chosen(attacker, "gp")
    await stack.chosen(browser, "gp")
    assert (await browser.get(answer)).status_code == 401
    assert (await browser.get("/")).headers["location"] == "/sign-in"


async def test_an_answer_works_once(stack: Stack, browser: httpx2.AsyncClient) -> None:
    answer = await stack.chosen(browser, "gp")
    cookies = dict(browser.cookies)
    assert (await browser.get(answer)).status_code == 303
    (session,) = browser.cookies.values()
    browser.cookies.clear()
    assert (await browser.get(answer)).status_code == 401  # another browser
    browser.cookies.update(cookies)
    assert (await browser.get(answer)).headers["location"] == "/"
    assert session in browser.cookies.values()
    csrf = _CSRF.search((await browser.get("/")).text)
    assert csrf is not None
    await browser.post("/sign-out", data={"csrf": csrf[1]})
    browser.cookies.update(cookies)
    assert (await browser.get(answer)).status_code in (401, 403)  # what was signed out stays so


async def test_a_double_click_at_the_provider_ends_on_the_signed_in_page(stack: Stack) -> None:
    async with stack.browser() as browser:
        back = await stack.chosen(browser, "gp")
        held = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
        answers = await asyncio.gather(*(browser.get(back, headers=held) for _ in range(3)))
        assert {(answer.status_code, *answer.cookies.values()) for answer in answers} == {
            (303, *browser.cookies.values())
        }
        assert (await browser.get("/")).status_code == 200


async def test_a_stranger_who_begins_and_makes_codes_up_costs_no_row(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    burnt: list[str] = []

    async def burn(kind: str, value: str, expires: datetime) -> bool:
        burnt.append(kind)
        return True

    monkeypatch.setattr(stack.parts.codes._marks, "burn", burn)
    before = (await stack.parts.store.rows(limit=5000))[-1:]
    async with stack.browser() as stranger:
        for _ in range(5):
            back = httpx2.URL(await stack.chosen(stranger, "gp"))
            assert (await stranger.get(back.copy_set_param("code", "made-up"))).status_code == 403
    assert (burnt, (await stack.parts.store.rows(limit=5000))[-1:]) == ([], before)


@pytest.mark.parametrize(
    "altered",
    [
        lambda answer: answer.copy_set_param("code", "x"),
        lambda answer: answer.copy_set_param("state", "x"),
        lambda answer: answer.copy_set_param("iss", "https://elsewhere.example"),
        lambda answer: answer.copy_remove_param("code").copy_set_param("error", "access_denied"),
    ],
)
async def test_an_answer_that_was_altered_is_refused_in_words(
    stack: Stack, browser: httpx2.AsyncClient, altered: Callable[[httpx2.URL], httpx2.URL]
) -> None:
    refused = await browser.get(altered(httpx2.URL(await stack.chosen(browser, "gp"))))
    assert refused.status_code in (401, 403)
    assert "What to do" in refused.text
    assert (await browser.get("/")).headers["location"] == "/sign-in"


async def test_a_session_that_nobody_used_for_a_while_is_over(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stack.signed_in("gp") as browser:
        clock = stack.parts.sessions._clock
        monkeypatch.setattr(stack.parts.sessions, "_clock", lambda: clock() + timedelta(minutes=16))
        assert (await browser.get("/")).headers["location"] == "/sign-in"


async def test_there_is_no_such_provider(browser: httpx2.AsyncClient) -> None:
    answer = await browser.get("/sign-in/elsewhere")
    assert answer.status_code == 404
    assert "no such way to sign in" in answer.text


async def test_a_session_without_a_patient_opens_no_launched_page(stack: Stack) -> None:
    async with stack.signed_in("gp") as browser:
        assert (await browser.get("/viewer")).status_code == 403


async def test_after_signing_out_the_provider_asks_who_it_is(stack: Stack) -> None:
    async with stack.signed_in("gp") as browser:
        begun = httpx2.URL((await browser.get("/sign-in/demo")).headers["location"])
        assert "prompt" not in begun.params
        csrf = _CSRF.search((await browser.get("/")).text)
        assert csrf is not None
        over = await browser.post("/sign-out", data={"csrf": csrf[1]})
        assert "still be signed in" not in over.text  # the demo's provider offers no sign-out
        begun = httpx2.URL((await browser.get("/sign-in/demo")).headers["location"])
        assert begun.params["prompt"] == "login"
        back = await stack.chosen(browser, "gp")
        assert (await browser.get(back)).status_code == 303
        assert "prompt" not in httpx2.URL((await browser.get("/sign-in/demo")).headers["location"]).params


async def test_where_a_provider_offers_it_one_signs_out_there_too(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, provider = stack.parts.sign_ins._providers["demo"]
    addresses = replace(await provider.addresses(), leave="https://provider.example/leave?x=1")
    monkeypatch.setattr(provider, "_known", (provider._clock(), addresses))
    async with stack.signed_in("gp") as browser:
        csrf = _CSRF.search((await browser.get("/")).text)
        assert csrf is not None
        over = await browser.post("/sign-out", data={"csrf": csrf[1]})
    assert 'href="https://provider.example/leave?x=1&amp;client_id=connect-care-demo"' in over.text
    monkeypatch.setattr(provider, "_known", None)
    monkeypatch.setattr(provider, "_failed", (provider._clock(), "down"))
    assert await provider.leaving() == ""
