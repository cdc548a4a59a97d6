"""An open page asks whether it may still be seen: it's told no more, it costs nothing and prolongs nothing."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from gateway.store.moments import utc_now
from tests.flow.stack import GRACE, TOMASZ, Stack, running
from tests.flow.test_record_page import BORN
from tests.flow.test_sign_in_ends import end as end_sign_in
from tests.flow.visitor import opened, visiting

_ASKS = re.compile(r'data-asks="([^"]+)"')
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
OVER = {"session": {"open": False, "why": "session"}, "record": {"open": False, "why": "record"}}


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(tmp_path_factory.mktemp("standing"), canaries=False) as made:
        yield made


def asks_of(page: httpx2.Response) -> str:
    """Where that page asks."""
    found = _ASKS.search(page.text)
    assert found is not None, page.text
    return html.unescape(found[1])


async def asked(here: httpx2.AsyncClient, address: str) -> dict[str, Any]:
    answer = await here.get(address)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    said: dict[str, Any] = answer.json()
    return said


async def rows(stack: Stack) -> int:
    kept = await stack.parts.store.rows(limit=5000)
    return kept[-1].seq if kept else 0


def later(stack: Stack, monkeypatch: pytest.MonkeyPatch, **time: float) -> None:
    for sessions in (stack.parts.sessions, stack.parts.patient_sessions):
        monkeypatch.setattr(sessions, "_clock", lambda: utc_now() + timedelta(**time))


async def test_every_page_of_staff_knows_when_it_is_over(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stack.signed_in("privacy-officer") as here:
        for path in ("/", "/office/calls", "/office/cases", "/office/audit", "/status"):
            page = await here.get(path)
            assert page.status_code == 200
            assert '<meta http-equiv="refresh"' in page.text
            said = await asked(here, asks_of(page))
            assert (said["open"], said["ends"]) == (True, "idle")
            assert 890 < said["seconds"] <= 900
        later(stack, monkeypatch, minutes=15)
        assert await asked(here, asks_of(page)) == OVER["session"]


async def test_asking_is_no_row_no_call_and_no_use_of_the_session(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(stack, GRACE, BORN[GRACE]) as visitor:
        address = asks_of(await visitor.view())
        written, calls = await rows(stack), stack.calls()
        for minute in (0, 5, 10, 14):
            later(stack, monkeypatch, minutes=minute)
            assert (await asked(visitor.here, address))["seconds"] == pytest.approx(900 - 60 * minute, abs=30)
        assert (await rows(stack), stack.calls()) == (written, calls)
        later(stack, monkeypatch, minutes=15)
        assert await asked(visitor.here, address) == OVER["session"]


@pytest.mark.parametrize("ending", ["withdrawn", "opted out", "another permission", "over"])
async def test_a_record_is_over_with_the_permission_it_was_opened_on(
    stack: Stack, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.choose(TOMASZ, "opted-in")
    async with opened(stack, TOMASZ, BORN[TOMASZ], "hospital-doctor") as visitor:
        address = asks_of(await visitor.view())
        assert (await asked(visitor.here, address))["open"] is True
        if ending == "opted out":
            await stack.choose(TOMASZ, "opted-out")
        elif ending == "over":
            monkeypatch.setattr(stack.parts.permissions, "_clock", lambda: utc_now() + timedelta(hours=8))
        else:
            body = {"nhsNumber": TOMASZ, "statedBy": "patient", "channel": "phone"}
            assert (await stack.post("/permissions/_withdraw", body, "privacy-officer")).status_code == 200
        if ending == "another permission":
            await visitor.says("yes")
            assert "KOWALSKI" in (await visitor.view()).text
        assert await asked(visitor.here, address) == OVER["record"]


async def test_a_permission_that_was_prolonged_goes_on(stack: Stack) -> None:
    await stack.choose(TOMASZ, "opted-in")
    async with opened(stack, TOMASZ, BORN[TOMASZ], "district-nurse") as visitor:
        address = asks_of(await visitor.view())
        body = {"patientAsked": True}
        held = address.rpartition("/")[2]
        longer = await stack.post(f"/permissions/{held}/extend", body, "district-nurse")
        assert longer.status_code == 201, longer.text
        assert (await asked(visitor.here, address))["open"] is True


async def test_what_ends_first_is_what_is_told(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    await stack.agree(GRACE, "gp")
    async with opened(stack, GRACE, BORN[GRACE]) as visitor:
        address = asks_of(await visitor.view())
        permission = await stack.parts.store.permission(address.rpartition("/")[2])
        assert permission is not None
        monkeypatch.setattr("gateway.api.standing.utc_now", lambda: permission.expires_at - timedelta(seconds=60))
        said = await asked(visitor.here, address)
        assert (said["ends"], said["seconds"]) == ("permission", 60)


async def test_nobody_else_learns_anything(stack: Stack) -> None:
    async with opened(stack, GRACE, BORN[GRACE]) as visitor, visiting(stack, "hospital-doctor") as other:
        address = asks_of(await visitor.view())
        home = asks_of(await visitor.get("/"))
        async with stack.browser() as nobody:
            for each in (other.here, nobody):
                for place in (address, home, "/patients/x/standing/y", "/session/x", "/session/é"):
                    assert await asked(each, place) == OVER["session"]
        await other.find(GRACE, BORN[GRACE])
        without = f"{other.page}/standing/{address.rpartition('/')[2]}"
        assert await asked(other.here, without) == OVER["record"]
        await stack.choose(TOMASZ, "opted-out")
        await other.find(TOMASZ, BORN[TOMASZ])
        assert await asked(other.here, f"{other.page}/standing/x") == OVER["record"]


async def test_a_sign_in_that_the_provider_ended_is_over(stack: Stack) -> None:
    async with stack.signed_in("nurse") as here:
        address = asks_of(await here.get("/"))
        (name,) = here.cookies.values()
        resumed = await stack.parts.sessions.standing(name)
        person = (await stack.parts.naming.presented(resumed.session)).believed
        assert person is not None
        assert (await end_sign_in(stack, sub=person.claims["sub"])).status_code == 200
        assert await asked(here, address) == OVER["session"]


@pytest.mark.parametrize("who", ["staff", "patient"])
async def test_staying_signed_in_is_a_form_of_its_own(stack: Stack, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, start, door = {
        "staff": (stack.signed_in("gp"), "/", "/session"),
        "patient": (stack.patient(GRACE), "/my", "/my/session"),
    }[who]
    async with begun as here:
        page = await here.get(start)
        address, csrf = asks_of(page), _CSRF.search(page.text)
        assert csrf is not None
        later(stack, monkeypatch, minutes=13)
        forged = await here.post(door, data={"csrf": "x"})
        assert forged.status_code == 403
        stayed = await here.post(door, data={"csrf": csrf[1]})
        assert (stayed.status_code, stayed.content) == (204, b"")
        assert (await asked(here, address))["seconds"] == pytest.approx(900, abs=30)
        later(stack, monkeypatch, minutes=40)
        assert await asked(here, address) == OVER["session"]
        assert (await here.post(door, data={"csrf": csrf[1]})).status_code == 401
        assert (await here.get(door)).status_code == 200


async def test_a_patient_s_page_ends_too(stack: Stack) -> None:
    async with stack.patient(GRACE) as here, stack.patient(TOMASZ) as other:
        address = asks_of(await here.get("/my/looks"))
        assert (await asked(here, address))["open"] is True
        assert await asked(other, address) == OVER["session"]
        async with stack.browser() as nobody:
            assert await asked(nobody, address) == OVER["session"]


async def test_what_shows_nobody_has_no_end(stack: Stack) -> None:
    async with stack.browser() as here:
        for path in ("/sign-in", "/my/sign-in", "/session", "/my/session"):
            page = await here.get(path)
            assert page.status_code == 200
            assert "refresh" not in page.text
            assert _ASKS.search(page.text) is None
