"""Patients sign in to their own pages: with a proven identity, as nobody else, and as nobody's staff."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from joserfc import jws

from gateway.audit.row import Kind
from gateway.demo.identity import ALGORITHM
from gateway.demo.patients import NOT_PROVEN, DemoPatient
from tests.flow.stack import DANIEL, GRACE, MIA, PATIENT_SIGN_IN, Stack, running

AT = "/my/sign-in/demo-patients"
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(tmp_path_factory.mktemp("own-sign-in")) as made:
        yield made


@pytest.fixture
async def browser(stack: Stack) -> AsyncIterator[httpx2.AsyncClient]:
    async with stack.browser() as made:
        yield made


def spoken(stack: Stack, nhs_number: str) -> str:
    return next(each.spoken for each in stack.patients.patients.values() if each.nhs_number == nhs_number)


async def refused_rows(stack: Stack) -> list[Any]:
    rows = await stack.parts.store.rows(kinds=frozenset({Kind.REFUSAL}), limit=500)
    return [each.row for each in rows if each.row.who is not None and each.row.who.role == "patient"]


async def test_the_page_says_what_it_is_for_and_how_else_to_ask(browser: httpx2.AsyncClient) -> None:
    assert (await browser.get("/my")).headers["location"] == "/my/sign-in"
    page = await browser.get("/my/sign-in")
    assert f'href="{AT}"' in page.text
    assert "Call or visit your GP practice" in page.text
    assert "your child" in page.text


async def test_a_patient_signs_in_and_no_token_reaches_the_browser(stack: Stack) -> None:
    async with stack.patient(GRACE) as browser:
        page = await browser.get("/my")
        assert page.status_code == 200
        assert "You are signed in with the demo&#39;s sign-in for patients" in page.text
        assert GRACE not in page.text
        assert not any("eyJ" in cookie for cookie in browser.cookies.values())  # how every JWT begins


async def test_who_has_not_proved_who_they_are_is_told_so_and_names_no_patient(
    stack: Stack, browser: httpx2.AsyncClient
) -> None:
    before = len(await refused_rows(stack))
    refused = await browser.get(await stack.chosen(browser, NOT_PROVEN, AT))
    assert refused.status_code == 403
    assert "You have not yet proved who you are" in refused.text
    assert (await browser.get("/my")).headers["location"] == "/my/sign-in"
    *_, row = (await refused_rows(stack))[before:]
    assert (row.rule, row.patient, row.sealed_patient) == ("signin.not-proven", None, None)
    assert row.who is not None
    assert row.who.acr == "P5"


async def test_a_child_is_told_who_speaks_for_them(stack: Stack, browser: httpx2.AsyncClient) -> None:
    refused = await browser.get(await stack.chosen(browser, spoken(stack, MIA), AT))
    assert refused.status_code == 403
    assert "parent or carer" in refused.text


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"identity_proofing_level": "P0"}, 403),
        ({"identity_proofing_level": "p9"}, 403),
        ({"identity_proofing_level": ["P9"]}, 401),
        ({"identity_proofing_level": None}, 401),
        ({"nhs_number": "9990000408"}, 401),
        ({"nhs_number": "999 000 0409"}, 401),
        ({"nhs_number": 9990000409}, 401),
        ({"nhs_number": ""}, 401),
        ({"birthdate": "19580312"}, 401),
        ({"birthdate": "2958-03-12"}, 401),
        ({"birthdate": "<b>1958</b>"}, 401),
        ({"sub": "somebody-else"}, 401),
    ],
)
async def test_what_the_provider_says_in_any_other_way_lets_nobody_in(
    stack: Stack, browser: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], status: int
) -> None:
    """All of it at the userinfo endpoint: the ID token leaves out how far the identity is proven."""
    monkeypatch.setattr(stack.patients, "userinfo", lambda patient: patient.claims() | said)
    only_who = _without(stack.patients.id_token_claims, "identity_proofing_level")
    monkeypatch.setattr(stack.patients, "id_token_claims", only_who)
    refused = await browser.get(await stack.chosen(browser, spoken(stack, GRACE), AT))
    assert refused.status_code == status, refused.text
    assert "Go to the start" in refused.text or "Sign in" in refused.text
    assert (await browser.get("/my")).headers["location"] == "/my/sign-in"
    written = [kept.row for kept in await stack.parts.store.rows(request_id=refused.headers["X-Request-ID"])]
    is_proven = not {"sub", "identity_proofing_level"} & said.keys()
    assert [(row.kind, row.patient, row.status) for row in written] == (
        [(Kind.REFUSAL, None, status)] if is_proven or status == 403 else []
    )


def _without(claims: Callable[..., dict[str, Any]], name: str) -> Callable[..., dict[str, Any]]:
    return lambda *given: {key: value for key, value in claims(*given).items() if key != name}


async def test_the_id_token_and_userinfo_may_not_differ(
    stack: Stack, browser: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    unproven = stack.patients.patients[NOT_PROVEN]
    monkeypatch.setattr(stack.patients, "userinfo", lambda patient: {**unproven.claims(), "sub": patient.sub})
    refused = await browser.get(await stack.chosen(browser, spoken(stack, GRACE), AT))
    assert refused.status_code == 401
    assert "did not tell us who you are" in refused.text


async def test_an_id_token_that_says_it_all_is_enough(
    stack: Stack, browser: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = stack.patients.id_token_claims
    monkeypatch.setattr(
        stack.patients, "id_token_claims", lambda patient, held: claims(patient, held) | patient.claims()
    )
    monkeypatch.setattr(stack.patients, "userinfo", lambda _: {})
    entered = await browser.get(await stack.chosen(browser, spoken(stack, GRACE), AT))
    assert entered.status_code == 303
    assert (await browser.get("/my")).status_code == 200


async def test_a_header_that_says_the_claims_again_is_nobodys_trouble(
    stack: Stack, browser: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NHS login's ID tokens have such headers, and whoever relies on them must ignore what they don't need."""
    signer = stack.patients._signer
    again = {"sub": "s" * 36, "aud": "somebody-else", "iss": signer.issuer, "exp": 1, "iat": 1, "jti": "j" * 36}

    def sign(claims: dict[str, Any], *, header: dict[str, Any]) -> str:
        members = {"alg": ALGORITHM, "kid": signer.key.kid} | header | again
        registry = jws.JWSRegistry(algorithms=[ALGORITHM], strict_check_header=False)
        return jws.serialize_compact(members, json.dumps(claims).encode(), signer.key, registry=registry)

    monkeypatch.setattr(signer, "sign", sign)
    entered = await browser.get(await stack.chosen(browser, spoken(stack, GRACE), AT))
    assert entered.status_code == 303, entered.text
    assert (await browser.get("/my")).status_code == 200


@pytest.mark.parametrize(
    ("vot", "status"),
    [("P9.Cp.Cd", 303), ("P9.Cm", 303), ("P0.Cp", 403), ("P5.Cp.Cd", 403), ("Cp.Cd", 403), ("P9", 403), (["P9"], 401)],
)
async def test_a_sign_in_that_was_asked_for_at_a_lower_level_lets_nobody_in(
    stack: Stack, browser: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, vot: Any, status: int
) -> None:
    """Whoever has the browser can ask the provider for less. The account stays at P9; this sign-in isn't of it."""
    claims = stack.patients.id_token_claims
    monkeypatch.setattr(stack.patients, "id_token_claims", lambda *given: claims(*given) | {"vot": vot})
    answer = await browser.get(await stack.chosen(browser, spoken(stack, GRACE), AT))
    assert answer.status_code == status, answer.text


async def test_a_level_that_was_raised_ends_the_sessions_below_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stack.patient(GRACE) as browser:
        higher = PATIENT_SIGN_IN.model_copy(update={"proofing": "P10"})
        monkeypatch.setattr(stack.parts.patient_sign_ins, "_registered", {higher.registration: higher})
        assert (await browser.get("/my/choice")).status_code == 401


STAFF_PAGES = ("/", "/viewer", "/viewer/x", "/patients", "/office", "/status")


@pytest.mark.parametrize("page", STAFF_PAGES)
async def test_a_patients_session_opens_no_page_of_staff(stack: Stack, page: str) -> None:
    async with stack.patient(GRACE) as browser:
        answer = await browser.get(page)
        assert answer.status_code in (303, 401, 404)
        assert answer.headers.get("location", "/sign-in") == "/sign-in"


@pytest.mark.parametrize("who", ["gp", "privacy-officer"])
@pytest.mark.parametrize("page", ["/my", "/my/choice", "/my/choice/opt-out"])
async def test_a_session_of_staff_opens_no_patients_page(stack: Stack, page: str, who: str) -> None:
    async with stack.signed_in(who) as browser:
        answer = await browser.get(page)
        assert answer.status_code in (303, 401)
        assert "sign-in" in answer.headers.get("location", answer.text)
        forged = await browser.post("/my/choice/opt-out", data={"csrf": "x", "once": "x"})
        assert forged.status_code == 401


async def test_one_browser_holds_one_session(stack: Stack) -> None:
    async with stack.signed_in("gp") as browser:
        assert (await browser.get(await stack.chosen(browser, spoken(stack, GRACE), AT))).status_code == 303
        assert (await browser.get("/my")).status_code == 200
        assert (await browser.get("/")).headers["location"] == "/sign-in"
        assert (await browser.get(await stack.chosen(browser, "gp"))).status_code == 303
        assert (await browser.get("/")).status_code == 200
        assert (await browser.get("/my")).headers["location"] == "/my/sign-in"


async def test_the_answer_of_one_sign_in_is_nothing_to_the_other(stack: Stack, browser: httpx2.AsyncClient) -> None:
    """A patient's code at the staff's callback, and the other way round: each knows its own providers alone."""
    as_patient = await stack.chosen(browser, spoken(stack, GRACE), AT)
    assert (await browser.get(as_patient.replace("/my/sign-in/", "/sign-in/"))).status_code == 404
    as_staff = await stack.chosen(browser, "gp")
    assert (await browser.get(as_staff.replace("/sign-in/", "/my/sign-in/"))).status_code == 404


@pytest.mark.parametrize("more", ["&code=x", "&state=x"])
async def test_an_answer_that_anybody_could_have_sent_ends_no_sign_in(
    stack: Stack, browser: httpx2.AsyncClient, more: str
) -> None:
    answer = await stack.chosen(browser, spoken(stack, GRACE), AT)
    assert (await browser.get(f"{answer}{more}")).status_code == 400
    assert (await browser.get(answer)).status_code == 303


async def test_an_access_token_of_a_patient_opens_nothing_of_the_api(stack: Stack) -> None:
    patient = replace(stack.patients.patients[spoken(stack, GRACE)])
    token = stack.patients._signer.sign(patient.claims() | {"aud": stack.demo.audience, "iss": stack.patients.issuer})
    answer = await stack.client.get(
        f"/fhir/R4/Patient/{GRACE}/$everything", headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 401


async def test_signing_out_ends_the_session_everywhere(stack: Stack) -> None:
    async with stack.patient(GRACE) as browser:
        found = _CSRF.search((await browser.get("/my")).text)
        assert found is not None
        kept = dict(browser.cookies)
        assert (await browser.post("/my/sign-out", data={"csrf": "x"})).status_code == 403
        over = await browser.post("/my/sign-out", data={"csrf": found[1]})
        assert "signed out" in over.text
        assert over.headers["clear-site-data"] == '"cache"'
        browser.cookies.update(kept)
        assert (await browser.get("/my/choice")).status_code == 401


async def test_a_session_that_nobody_used_for_a_while_is_over(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stack.patient(GRACE) as browser:
        clock = stack.parts.patient_sessions._clock
        monkeypatch.setattr(stack.parts.patient_sessions, "_clock", lambda: clock() + timedelta(minutes=16))
        page = await browser.get("/my/choice")
        assert page.status_code == 401
        assert "we signed you out to keep you safe" in page.text


async def test_a_provider_that_was_taken_away_lets_nobody_stay(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stack.patient(GRACE) as browser:
        monkeypatch.setattr(stack.parts.patient_sign_ins, "_registered", {})
        assert (await browser.get("/my/choice")).status_code == 401


async def test_there_is_no_such_provider(browser: httpx2.AsyncClient) -> None:
    assert (await browser.get("/my/sign-in/elsewhere")).status_code == 404
    assert (await browser.get(f"{AT}?x=1")).status_code == 400


async def test_two_accounts_of_one_patient_are_told_apart_in_the_rows(stack: Stack) -> None:
    async with stack.patient(DANIEL) as browser:
        await browser.get("/my/choice")
    other = DemoPatient("second-account", "Daniel Okafor", DANIEL, "1984-01-17")
    stack.patients.patients[other.spoken] = other
    async with stack.browser() as browser:
        await browser.get(await stack.chosen(browser, other.spoken, AT))
        await browser.get("/my/choice")
    rows = [row for row in await stack.rows(DANIEL) if row["kind"] == "audit-read" and row["who"]["role"] == "patient"]
    accounts = {row["who"]["user_id"] for row in rows}
    assert len(accounts) == 2
    assert all(DANIEL not in str(row["who"]) for row in rows)


async def test_a_patient_s_sign_in_always_asks_who_it_is(stack: Stack) -> None:
    async with stack.browser() as browser:
        begun = await browser.get("/my/sign-in/demo-patients")
    assert httpx2.URL(begun.headers["location"]).params["prompt"] == "login"
