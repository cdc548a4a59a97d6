"""A page of somebody else's, open beside ours in the same browser: whatever it sends, nothing is done.

It knows every address and every field, and the form's own secret as well; what it hasn't is our origin. It stands on
the same host (another port: cookies are sent along), on another site, and in a frame that has no origin at all.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from playwright.async_api import Page
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from gateway import log
from gateway.demo.server import Announcing
from tests.contract.test_contracts import doors
from tests.flow.stack import GRACE, HAROLD, TOMASZ
from tests.processes import free_port
from tests.screens.conftest import CHROMIUM, Screen, World
from tests.screens.states_office import OFFICER, a_best_interests_look, to_person
from tests.screens.states_patients import sign_in
from tests.screens.viewer import find

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
    pytest.mark.slow,
]
_PATIENCE = 60.0
"""Seconds, before a request that never came is a failure."""
SAME_HOST, OTHER_SITE = "127.0.0.1", "localhost"
_FORM = """([to, fields]) => {
  const form = document.createElement('form');
  form.method = 'post';
  form.action = to;
  for (const [name, value] of Object.entries(fields)) {
    const field = document.createElement('input');
    field.name = name;
    field.value = value;
    form.append(field);
  }
  document.body.append(form);
  form.submit();
}"""
_FETCH = """([to, fields]) => fetch(to, {method: 'POST', mode: 'no-cors', credentials: 'include',
  body: new URLSearchParams(fields)}).then(() => null, () => null)"""
_JSON = """([to, body]) => fetch(to, {method: 'POST', mode: 'no-cors', credentials: 'include', body})
  .then(() => null, () => null)"""
_FRAMED = """([to, fields]) => {
  const frame = document.createElement('iframe');
  frame.sandbox = 'allow-scripts allow-forms';
  frame.srcdoc = `<body><script>(${window.sends})(${JSON.stringify([to, fields])})</script>`;
  document.body.append(frame);
}"""
_SAID = {
    "nhs-number": GRACE, "nhsNumber": GRACE, "birthdate[day]": "12", "birthdate[month]": "3", "birthdate[year]": "1958",
    "family": "Adebayo", "given": "Grace", "answer": "yes", "reason-code": "emergency", "reasonCode": "emergency",
    "reason": "Unconscious", "choice": "opted-out", "statedBy": "patient", "channel": "phone", "kind": "looks",
    "identifiedBy": "called-back", "state": "questioned", "to": "questioned", "note": "Written by somebody else",
    "once": "A" * 22, "confirm": "yes",
}  # fmt: skip
_SPENT = {"refusal", "intent", "release", "audit-read"}
"""Kinds of rows that tell of no change: what was refused, and what was looked at, by these tests as well."""


@pytest.fixture(scope="module")
async def elsewhere() -> AsyncIterator[int]:
    """The port of a page of somebody else's."""

    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse("<!doctype html><title>Win a prize</title><body>")

    port = free_port()
    app = Starlette(routes=[Route("/", page)])
    server = Announcing(uvicorn.Config(app, host=SAME_HOST, port=port, lifespan="off", **log.UVICORN))
    task = asyncio.create_task(server.serve())
    await server.up.wait()
    yield port
    server.should_exit = True
    await task


@dataclass(frozen=True)
class Heard:
    """What came to the gateway, and what it answered."""

    path: str
    origin: str
    with_cookie: bool
    status: int


@pytest.fixture
async def heard(world: World, monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[Heard]:
    """Whatever comes from elsewhere from here on."""
    found = asyncio.Queue[Heard]()
    inner = world.stack.app.middleware_stack or world.stack.app.build_middleware_stack()

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        async def noted(message: Message) -> None:
            headers = Headers(scope=scope)
            if message["type"] == "http.response.start" and headers.get("origin", world.base) != world.base:
                found.put_nowait(Heard(scope["path"], headers["origin"], "cookie" in headers, message["status"]))
            await send(message)

        await inner(scope, receive, noted)

    monkeypatch.setattr(world.stack.app, "middleware_stack", noting)
    return found


@dataclass
class Victim:
    """Somebody who is signed in, the doors of theirs that change something, and a page that must still open."""

    screen: Screen
    doors: tuple[str, ...]
    home: str


async def a_doctor(world: World, screen: Screen) -> Victim:
    await screen.page.context.add_cookies(await world.cookies("hospital-doctor"))
    await find(screen, TOMASZ)
    record = screen.page.url.removeprefix(world.base)
    doors = (
        "/patients",
        "/patients/by-name",
        f"{record}/permission",
        f"{record}/best-interests",
        "/session",
        "/sign-out",
    )
    return Victim(screen, doors, "/patients")


async def an_officer(world: World, screen: Screen) -> Victim:
    await screen.page.context.add_cookies(await world.cookies(OFFICER))
    await to_person(screen, HAROLD)
    person = screen.page.url.removeprefix(world.base)
    await a_best_interests_look(world)
    await screen.goto("/office/cases")
    await screen.follow(screen.page.get_by_role("link", name="best interests").first)
    case = screen.page.url.removeprefix(world.base)
    doors = ("/office/calls", person, case, "/office/audit", "/office/policy/changes", "/office/reports", "/sign-out")
    return Victim(screen, doors, "/office/calls")


async def a_patient(world: World, screen: Screen) -> Victim:
    await world.stack.agree(GRACE)
    await sign_in(world, screen, GRACE)
    await screen.goto("/my/permissions")
    choices = ("/my/choice/opt-out", "/my/choice/opt-in", "/my/permissions/take-back")
    return Victim(screen, (*choices, "/my/session", "/my/sign-out"), "/my")


_API = {
    "/permissions": {"nhsNumber": GRACE, "basis": "patient-agreed"},
    "/permissions/_withdraw": {"nhsNumber": GRACE, "statedBy": "patient", "channel": "phone"},
    "/sharing-choices": {"nhsNumber": GRACE, "choice": "opted-out", "statedBy": "patient", "channel": "phone"},
    "/records": {"nhsNumber": GRACE},
    "/disclosures": {"nhsNumber": GRACE},
    "/desk/1/_note": {"note": "Written by somebody else"},
}
VICTIMS = (a_doctor, an_officer, a_patient)


async def test_no_door_of_a_page_is_left_out(world: World) -> None:
    """Those of a launched session are the doctor's, by the same functions (`gateway.api.opening`)."""
    forms = {template for method, template in doors(world.stack.app.routes) if method == "POST"}
    pages = {
        template for template in forms if template.startswith(("/patients", "/office", "/my", "/session", "/sign-out"))
    }
    assert pages == {
        "/patients", "/patients/by-name", "/patients/{name}/permission", "/patients/{name}/best-interests",
        "/office/calls", "/office/calls/{sealed}", "/office/cases/{case_id}", "/office/audit",
        "/office/policy/changes", "/office/reports", "/my/choice/opt-out", "/my/choice/opt-in",
        "/my/permissions/take-back", "/my/session", "/my/sign-out", "/session", "/sign-out",
    }  # fmt: skip


async def secret_of(page: Page) -> str:
    """What our own form would carry."""
    return str(await page.locator("input[name=csrf]").first.input_value())


async def standing(world: World) -> dict[str, Counter[str]]:
    """What has happened to each patient, but for refusals and looks."""
    rows = {number: await world.stack.rows(number) for number in (GRACE, HAROLD, TOMASZ)}
    return {number: Counter(row["kind"] for row in each if row["kind"] not in _SPENT) for number, each in rows.items()}


@pytest.mark.parametrize("host", [SAME_HOST, OTHER_SITE])
@pytest.mark.parametrize("victim", VICTIMS)
async def test_what_a_foreign_page_sends_is_refused(
    world: World, heard: asyncio.Queue[Heard], elsewhere: int, victim: Any, host: str
) -> None:
    async with world.screen() as screen:
        who = await victim(world, screen)
        fields = {**_SAID, "csrf": await secret_of(screen.page)}
        before, page = await standing(world), await screen.page.context.new_page()
        foreign = f"http://{host}:{elsewhere}"
        for door in who.doors:
            answers = await _sends_all(page, foreign, world.base + door, fields, heard)
            assert {each.path for each in answers} == {door}
            assert {each.status for each in answers} <= {401, 403}, answers
            fetched, framed, sent = answers
            assert (fetched.origin, framed.origin, sent.origin) == (foreign, "null", foreign)
            if host == SAME_HOST:
                assert {(each.status, each.with_cookie) for each in (fetched, sent)} == {(403, True)}
        assert await standing(world) == before
        await screen.goto(who.home)
        await screen.page.get_by_role("button", name="Sign out").wait_for()


async def _sends_all(
    page: Page, foreign: str, to: str, fields: Mapping[str, str], heard: asyncio.Queue[Heard]
) -> list[Heard]:
    """A fetch, a form in a frame without an origin, and a form: what came of each, as the gateway has it. (A browser
    tells nobody what a request was answered that the page may not read.)"""
    found = []
    for sends in (_FETCH, _FRAMED, _FORM):
        await page.goto(foreign)
        await page.evaluate("(sends) => { window.sends = sends }", _FORM)
        async with page.expect_navigation() if sends == _FORM else nullcontext():
            await page.evaluate(sends, [to, dict(fields)])
        found.append(await asyncio.wait_for(heard.get(), _PATIENCE))
    assert heard.empty()
    return found


async def test_the_doors_of_the_api_know_no_cookie(world: World, heard: asyncio.Queue[Heard], elsewhere: int) -> None:
    """A program shows a token. A browser's session is none, wherever it comes from."""
    async with world.screen("hospital-doctor") as screen:
        before = await standing(world)
        await screen.page.goto(f"http://{SAME_HOST}:{elsewhere}/")
        for path, body in _API.items():
            await screen.page.evaluate(_JSON, [world.base + path, json.dumps(body)])
            answer = await asyncio.wait_for(heard.get(), _PATIENCE)
            assert (answer.path, answer.with_cookie) == (path, True)
            assert answer.status in (401, 415)
        assert await standing(world) == before
