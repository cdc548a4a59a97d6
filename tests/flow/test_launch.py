"""SMART EHR launch and the viewer: from an EHR to the record in context, without a second sign-in; what is refused."""

from __future__ import annotations

import asyncio
import html
import re
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from joserfc.jwk import ECKey

from tests.flow.browser import Browser, browser
from tests.flow.stack import GRACE, HAROLD, ISSUER, TOMASZ, WINSTON, Stack, running
from tests.launcher import CLIENT, Launcher, Opening, Twist, an_ehr_patient

GP = Opening("gp", "grace")


@pytest.fixture(scope="module")
def ehr() -> Launcher:
    launcher = Launcher()
    launcher.patients = {
        name: an_ehr_patient(name, number)
        for name, number in {"grace": GRACE, "tomasz": TOMASZ, "winston": WINSTON, "harold": HAROLD}.items()
    }
    return launcher


@pytest.fixture(scope="module")
async def launched(ehr: Launcher, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    data: Path = tmp_path_factory.mktemp("launch")
    async with running(data, ehr=ehr, launches=[ehr.settings(ISSUER)]) as stack:
        yield stack


@pytest.fixture
async def user(launched: Stack, ehr: Launcher) -> AsyncIterator[Browser]:
    ehr.twist, ehr.access_token = Twist(), None
    one = browser(launched, ehr)
    yield one
    await one.aclose()


@pytest.mark.parametrize("page", ["/office", "/office/calls", "/office/audit", "/status", "/patients"])
async def test_a_launched_session_opens_its_own_page_alone(user: Browser, page: str) -> None:
    assert (await user.launch(GP)).status_code == 303
    answer = await user.here.get(page)
    assert answer.status_code == 403
    assert "one patient" in answer.text


async def test_the_viewer_opens_in_context_with_no_second_sign_in(launched: Stack, user: Browser) -> None:
    entered = await user.launch(Opening("gp", "grace", encounter="e-1"))
    assert entered.status_code == 303
    assert re.fullmatch(r"/viewer/[a-z2-7]{24}", entered.headers["location"])
    assert not set(user.here.cookies.values()) & set(entered.headers["location"].split("/"))
    asked = await user.view()
    assert asked.status_code == 200
    assert "ASHWORTH Meera Dr, gp at" in asked.text
    assert "Test EHR" in asked.text
    assert "999 000 0409" in asked.text
    assert "Ask the patient" in asked.text
    assert "penicillin" not in asked.text.lower()
    assert launched.calls() == 0

    said = await user.post(f"{user.page}/permission", answer="yes")
    assert (said.status_code, said.headers["location"]) == (303, user.page)
    record = await user.view()
    assert record.status_code == 200
    assert "What is held" in record.text
    assert record.text.index("Everybody who was asked has answered") < record.text.index('id="all-allergies"')
    assert "Absence of information here does not mean" in record.text
    assert 'class="cc-banner"' in record.text
    assert 'class="cc-banner__name">ADEBAYO, Grace' in record.text
    rows = await launched.rows(GRACE)
    kinds = [kind for kind, _ in groupby(row["kind"] for row in rows)]
    assert kinds == ["intent", "refusal", *["intent", "refusal"], "permission-granted", "intent", "release"]
    assert rows[-1]["door"] == "GET /viewer/{tag}"
    assert rows[-1]["who"]["clientId" if "clientId" in rows[-1]["who"] else "client_id"] == CLIENT
    assert seen_in(rows)["allergies"] > 0


def seen_in(rows: list[dict[str, Any]]) -> Counter[str]:
    """How many items of each section the parts of a look showed."""
    return sum((Counter(row.get("seen", {})) for row in rows), Counter())


@pytest.mark.parametrize("path", ["/office/calls", "/office/cases", "/status"])
async def test_a_launched_session_has_no_other_pages(launched: Stack, user: Browser, path: str) -> None:
    await user.launch(GP)
    refused = await user.here.get(path)
    assert refused.status_code == 403
    assert "opened from one patient" in refused.text


async def test_what_is_shown_is_what_the_fhir_api_would_show(launched: Stack, user: Browser) -> None:
    """The viewer has no way of its own to the data: the same items leave, for the same person."""
    await launched.agree(TOMASZ, "gp")
    await launched.everything(TOMASZ, "gp")
    await user.launch(Opening("gp", "tomasz"))
    assert (await user.view()).status_code == 200
    by_api, *by_page = [row for row in await launched.rows(TOMASZ) if row["kind"] == "release"]
    assert {kind: count for kind, count in by_api["seen"].items() if kind != "supporting"} == seen_in(by_page)


async def test_no_permission_means_no_and_nothing_is_asked(launched: Stack, user: Browser) -> None:
    before = launched.calls()
    await user.launch(Opening("gp", "winston"))
    said = await user.post(f"{user.page}/permission", answer="no")
    assert "The patient said no" in said.text
    assert launched.calls() == before
    assert "permission-granted" not in {row["kind"] for row in await launched.rows(WINSTON)}
    again = await user.post(f"{user.page}/permission", answer="perhaps")
    assert again.status_code == 400


async def test_who_opted_out_is_told_and_nothing_is_shown(launched: Stack, user: Browser) -> None:
    await launched.choose(HAROLD, "opted-out")
    await user.launch(Opening("gp", "harold"))
    page = await user.view()
    assert page.status_code == 403
    assert "opted out" in page.text
    assert "The patient says yes" not in page.text


@pytest.mark.parametrize(("said", "shown"), [(None, True), (True, True), (False, False), ("false", True), (0, True)])
async def test_the_banner_is_left_out_only_where_the_ehr_says_so(
    user: Browser, ehr: Launcher, said: Any, shown: bool
) -> None:
    """SMART App Launch 2.2, launch context parameters: need_patient_banner."""
    ehr.twist = Twist(token={} if said is None else {"need_patient_banner": said})
    await user.launch(GP)
    page = await user.view()
    assert ('class="cc-banner"' in page.text) is shown
    assert "999 000 0409" in page.text


async def test_the_cookie_tells_nothing_and_no_script_can_read_it(user: Browser, ehr: Launcher) -> None:
    entered = await user.launch(GP)
    (session,) = [c for c in entered.headers.get_list("set-cookie") if c.startswith("connect-care-session=")]
    assert {"httponly", "path=/", "samesite=lax"} <= {part.strip().lower() for part in session.split(";")}
    assert "domain" not in session.lower()
    held = dict(user.here.cookies)
    assert set(held) == {"connect-care-session"}
    assert GRACE not in str(held)


async def test_pages_run_nothing_and_are_kept_nowhere(user: Browser) -> None:
    await user.launch(GP)
    page = await user.view()
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'nonce-")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "same-origin"
    nonce = re.search(r"'(nonce-[^']+)'", policy)
    assert nonce is not None
    for script in re.findall("<script[^>]*>", page.text):
        assert 'src="/static/' in script
        assert f'nonce="{nonce[1].removeprefix("nonce-")}"' in script


async def test_the_open_record_asks_whether_it_may_still_be_seen(launched: Stack, user: Browser) -> None:
    await launched.agree(TOMASZ, "gp")
    await user.launch(Opening("gp", "tomasz"))
    page = await user.view()
    asks = re.search(r'data-asks="([^"]+)"', page.text)
    assert asks is not None
    assert "Open Connect Care again from your own system" in page.text
    assert (await user.here.get(asks[1])).json()["open"] is True
    body = {"nhsNumber": TOMASZ, "statedBy": "patient", "channel": "phone"}
    await launched.post("/permissions/_withdraw", body, "privacy-officer")
    assert (await user.here.get(asks[1])).json() == {"open": False, "why": "record"}
    await user.launch(GP)
    assert (await user.here.get(asks[1])).json() == {"open": False, "why": "session"}


async def test_another_patient_cannot_be_opened_in_the_session_of_one(launched: Stack, user: Browser) -> None:
    await user.launch(GP)
    for query in (f"patient={TOMASZ}", "patient=tomasz", "launch=x", "x"):
        page = await user.here.get(f"{user.page}?{query}")
        assert page.status_code == 400
        assert "takes no parameters" in page.text
    before = len(await launched.rows(TOMASZ))
    page = await user.post(f"{user.page}/permission", answer="yes", nhsNumber=TOMASZ, patient=TOMASZ)
    assert page.status_code == 303
    assert len(await launched.rows(TOMASZ)) == before + 1  # the reading of these rows itself


async def test_a_page_left_open_on_one_patient_never_shows_the_next(launched: Stack, user: Browser) -> None:
    """The cookie is the whole browser's: reloading the first pane after a second launch must not fill it anew."""
    await user.launch(GP)
    first = user.page
    await user.launch(Opening("gp", "tomasz"))
    before, calls = len(await launched.rows(TOMASZ)), launched.calls()
    for address, rule in (
        (first, "viewer.replaced"),
        ("/viewer/" + "a" * 24, "viewer.replaced"),
        ("/viewer/%C3%A9", "viewer.replaced"),
        ("/viewer/permission", "viewer.replaced"),
        ("/viewer", "viewer.no-page"),
    ):
        page = await user.here.get(address)
        assert page.status_code == 403, address
        assert "nobody's record" in html.unescape(page.text)
        assert "999 000" not in page.text
        row = await _last_refusal(launched)
        assert row["rule"] == rule
        assert row["door"] == ("GET /viewer" if address == "/viewer" else "GET /viewer/{tag}")
        assert row["who"]["role"] == "gp"
    assert launched.calls() == calls
    assert len(await launched.rows(TOMASZ)) == before + 1  # the reading of these rows itself
    assert "999 000 0476" in (await user.view()).text
    assert user.page != first


async def _last_refusal(launched: Stack) -> dict[str, Any]:
    answer = await launched.post("/audit/_search", {"kinds": ["refusal"], "limit": 500}, "privacy-officer")
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["rows"][-1])


async def test_signing_out_ends_the_session_here_and_not_only_in_the_browser(user: Browser) -> None:
    await user.launch(GP)
    held = dict(user.here.cookies)
    ended = await user.post("/sign-out")
    assert "signed out" in ended.text
    user.here.cookies.update(held)
    again = await user.view()
    assert again.status_code == 401
    assert "not signed in" in again.text


async def test_a_new_launch_takes_the_old_session_s_place(user: Browser) -> None:
    """Session fixation: whatever name the browser held before, the session after a launch has a new one."""
    await user.launch(GP)
    held = dict(user.here.cookies)
    await user.launch(Opening("gp", "tomasz"))
    assert dict(user.here.cookies) != held
    assert "999 000 0476" in (await user.view()).text
    user.here.cookies.clear()
    user.here.cookies.update(held)
    assert (await user.view()).status_code == 401


@pytest.mark.parametrize("planted", ["x" * 43, "", "' OR 1=1 --", "A" * 5000])
async def test_a_planted_name_is_nobody_s_session(user: Browser, planted: str) -> None:
    user.here.cookies.set("connect-care-session", planted)
    assert (await user.view()).status_code == 401
    entered = await user.launch(GP)
    assert entered.status_code == 303
    assert f"connect-care-session={planted};" not in str(entered.headers.get_list("set-cookie"))


async def test_a_form_that_our_page_did_not_make_does_nothing(launched: Stack, user: Browser, ehr: Launcher) -> None:
    """CSRF: without the session's own secret, with another session's, and from another origin."""
    await user.launch(Opening("gp", "winston"))
    other = browser(launched, ehr)
    await other.launch(Opening("gp", "winston"))
    theirs = (await other.view()).text.split('name="csrf" value="')[1].split('"')[0]
    mine = (await user.view()).text.split('name="csrf" value="')[1].split('"')[0]
    for path in (f"{user.page}/permission", "/sign-out"):
        for fields in ({}, {"csrf": ""}, {"csrf": theirs}, {"csrf": mine + "x"}):
            answer = await user.here.post(path, data={"answer": "yes", **fields})
            assert answer.status_code == 403, (path, fields)
        foreign = {"Origin": "https://elsewhere.example"}
        assert (await user.here.post(path, data={"answer": "yes", "csrf": mine}, headers=foreign)).status_code == 403
    assert "permission-granted" not in {row["kind"] for row in await launched.rows(WINSTON)}
    assert (await user.view()).status_code == 200
    await other.aclose()


async def test_a_page_of_an_earlier_patient_can_do_nothing_to_the_next(user: Browser) -> None:
    await user.launch(Opening("gp", "winston"))
    stale = (await user.view()).text.split('name="csrf" value="')[1].split('"')[0]
    earlier = user.page
    await user.launch(Opening("gp", "tomasz"))
    answer = await user.here.post(f"{user.page}/permission", data={"csrf": stale, "answer": "yes"})
    assert answer.status_code == 403
    assert "opened another patient" in answer.text
    answer = await user.here.post(f"{earlier}/permission", data={"csrf": stale, "answer": "yes"})
    assert answer.status_code == 403
    assert "nobody&#39;s record" in answer.text


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"iss": "https://elsewhere.example/fhir", "launch": "x"},
        {"iss": "http://127.0.0.1:7/ehr/fhir/", "launch": "x"},
        {"iss": "HTTP://127.0.0.1:7/ehr/fhir", "launch": "x"},
        {"iss": "http://127.0.0.1:7/ehr/fhir#", "launch": "x"},
        {"iss": "http://127.0.0.1:7/ehr/fhir", "launch": ""},
        {"iss": "http://127.0.0.1:7/ehr/fhir", "launch": "x" * 3000},
        {"iss": "http://127.0.0.1:7/ehr/fhir", "launch": "x", "redirect_uri": "https://elsewhere.example"},
    ],
)
async def test_nothing_is_fetched_from_an_ehr_that_is_not_registered(
    user: Browser, ehr: Launcher, query: dict[str, str]
) -> None:
    ehr.asked.clear()
    answer = await user.here.get("/launch?" + urlencode(query))
    assert answer.status_code in (400, 403)
    assert "set-cookie" not in answer.headers
    assert ehr.asked == []


async def test_a_parameter_that_stands_twice_is_refused(user: Browser, ehr: Launcher) -> None:
    path = ehr.begin(GP)
    assert (await user.here.get(f"{path}&iss=https%3A%2F%2Felsewhere.example")).status_code == 400


async def test_what_is_asked_of_the_authorize_endpoint(user: Browser, ehr: Launcher) -> None:
    begun = await user.begin(GP)
    asked = {name: one for name, (one,) in parse_qs(urlsplit(begun.headers["location"]).query).items()}
    assert asked["aud"] == ehr.fhir_base
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == "http://127.0.0.1:8000/launch/callback"
    assert len(asked["state"]) >= 43
    assert len(asked["nonce"]) >= 43
    assert asked["scope"].startswith("launch openid fhirUser")
    assert asked["state"] not in str(dict(user.here.cookies))


async def refused(user: Browser, address: str, status: int = 401) -> None:
    answer = await user.here.get(address)
    assert answer.status_code == status, answer.text
    assert "connect-care-session" not in str(answer.headers.get_list("set-cookie"))
    assert (await user.view()).status_code == 401


async def test_a_state_of_another_browser_is_refused(launched: Stack, user: Browser, ehr: Launcher) -> None:
    """An attacker's own launch, ended in a victim's browser, would sign the victim in as the attacker."""
    attacker = browser(launched, ehr)
    theirs = await attacker.authorized(GP)
    await refused(user, theirs)  # a browser that began nothing
    await user.begin(GP)
    await refused(user, theirs)  # one that began a launch of its own
    await attacker.aclose()


async def test_a_code_that_is_put_into_another_launch_is_refused(launched: Stack, user: Browser, ehr: Launcher) -> None:
    """Code injection: the stolen code is of another verifier (PKCE)."""
    victim = browser(launched, ehr)
    stolen = parse_qs(urlsplit(await victim.authorized(GP)).query)["code"][0]
    own = urlsplit(await user.authorized(GP))
    fields = {name: one for name, (one,) in parse_qs(own.query).items()}
    await refused(user, f"{own.path}?{urlencode({**fields, 'code': stolen})}", 403)
    await victim.aclose()


async def test_a_launch_ends_once_and_a_second_click_where_the_first_one_did(user: Browser) -> None:
    back = await user.authorized(GP)
    held = {"Cookie": "; ".join(f"{name}={value}" for name, value in user.here.cookies.items())}
    answers = await asyncio.gather(*(user.here.get(back, headers=held) for _ in range(3)))
    assert [answer.status_code for answer in answers] == [303, 303, 303]
    assert len({(answer.headers["location"], *answer.cookies.values()) for answer in answers}) == 1
    user.page = answers[0].headers["location"]
    assert (await user.view()).status_code == 200
    assert (await user.post("/sign-out")).status_code == 200
    assert (await user.here.get(back, headers=held)).status_code in (401, 403)


async def test_a_launch_that_took_too_long_is_refused(
    user: Browser, launched: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = await user.authorized(GP)
    later = launched.parts.launches._codes._clock
    monkeypatch.setattr(launched.parts.launches._codes, "_clock", lambda: later() + timedelta(minutes=5))
    await refused(user, back)


@pytest.mark.parametrize(
    "answer",
    [{"iss": "https://elsewhere.example"}, {"iss": None}, {"iss": ""}, {"iss": "http://127.0.0.1:7/ehr/auth/"}],
)
async def test_an_answer_of_another_authorization_server_is_refused(
    user: Browser, ehr: Launcher, answer: dict[str, str | None]
) -> None:
    """RFC 9207: the mix-up attack. This EHR promises `iss`, so one that is missing is refused as well."""
    ehr.twist = Twist(answer=answer)
    await refused(user, await user.authorized(GP))


async def test_an_answer_without_iss_passes_where_the_ehr_promises_none(
    launched: Stack, user: Browser, ehr: Launcher
) -> None:
    known = launched.parts.launches._ehrs[ehr.fhir_base]
    known._known = None
    ehr.twist = Twist(answer={"iss": None}, discovery={"authorization_response_iss_parameter_supported": False})
    try:
        assert (await user.launch(GP)).status_code == 303
    finally:
        known._known = None


async def test_what_an_ehr_adds_to_its_answer_is_ignored(user: Browser, ehr: Launcher) -> None:
    """RFC 6749, section 4.1.2: "The client MUST ignore unrecognized response parameters."""
    ehr.twist = Twist(answer={"session_state": "x", "patient": "tomasz", "tenant": "1"})
    assert (await user.launch(GP)).status_code == 303
    assert "999 000 0409" in (await user.view()).text


async def test_an_answer_of_another_launch_leaves_the_one_under_way_alone(user: Browser) -> None:
    """Anybody can send the browser to the callback; only its own answer ends a launch."""
    back = await user.authorized(GP)
    path, held = back.partition("?")[0], dict(user.here.cookies)
    for query in ("code=x&state=another", "code=x", "code=x&code=y", "", "%"):
        answer = await user.here.get(f"{path}?{query}")
        assert answer.status_code in (400, 401), query
        assert "set-cookie" not in answer.headers
    assert dict(user.here.cookies) == held
    assert (await user.here.get(back)).status_code == 303
    assert set(user.here.cookies) == {"connect-care-session"}


@pytest.mark.parametrize("answer", [{"code": None, "error": "access_denied"}, {"code": None}, {"code": ""}])
async def test_where_the_ehr_says_no_it_is_told(user: Browser, ehr: Launcher, answer: dict[str, str | None]) -> None:
    ehr.twist = Twist(answer=answer)
    await refused(user, await user.authorized(GP), 403)


def a_patient_of_use(use: Any) -> dict[str, Any]:
    patient = an_ehr_patient("grace", GRACE)
    (identifier,) = [one for one in patient["identifier"] if one["value"] == GRACE]
    identifier["use"] = use
    return patient


def _another_key() -> ECKey:
    return ECKey.generate_key("P-256", auto_kid=True)


@pytest.mark.parametrize(
    ("twist", "status"),
    [
        (Twist(id_token={"nonce": "another"}), 401),
        (Twist(id_token={"nonce": None}), 401),
        (Twist(id_token={"aud": "another-client"}), 401),
        (Twist(id_token={"aud": [CLIENT, "x"], "azp": "x"}), 401),
        (Twist(id_token={"iss": "https://elsewhere.example"}), 401),
        (Twist(id_token={"exp": 1}), 401),
        (Twist(id_token={"exp": "9999999999"}), 401),
        (Twist(id_token={"iat": 2**40}), 401),
        (Twist(id_token={"sub": None}), 401),
        (Twist(id_token={"nhsid_useruid": None}), 403),
        (Twist(id_token={"nhsid_nrbac_roles": []}), 403),
        (Twist(id_token={"nhsid_nrbac_roles": "x"}), 401),
        (Twist(id_token_header={"typ": "at+jwt"}), 401),
        (Twist(id_token_header={"jku": "https://elsewhere.example/jwks"}), 401),
        (Twist(key=_another_key()), 401),
        (Twist(token={"id_token": None}), 503),
        (Twist(token={"id_token": "x.y.z"}), 401),
        (Twist(token={"access_token": "a b"}), 503),
        (Twist(token={"token_type": "DPoP"}), 503),
        (Twist(token={"patient": None}), 400),
        (Twist(token={"patient": "../Patient/grace"}), 400),
        (Twist(token={"patient": ".."}), 400),
        (Twist(token={"encounter": "e/1"}), 400),
        (Twist(patient=an_ehr_patient("grace", "9990000408")), 400),
        (Twist(patient=an_ehr_patient("grace", GRACE, "02")), 400),
        (Twist(patient=an_ehr_patient("tomasz", TOMASZ)), 400),
        (Twist(patient={"resourceType": "Patient", "id": "grace"}), 400),
        (Twist(patient=a_patient_of_use(["official"])), 400),
    ],
)
async def test_a_launch_that_says_something_wrong_signs_nobody_in(
    user: Browser, ehr: Launcher, twist: Twist, status: int
) -> None:
    ehr.twist = twist
    await refused(user, await user.authorized(GP), status)


async def test_an_ehr_signs_in_staff_of_its_own_organisations_alone(user: Browser) -> None:
    await refused(user, await user.authorized(Opening("gp@G83021", "grace")))


async def test_who_may_not_open_records_gets_no_session(launched: Stack, user: Browser) -> None:
    """A commissioner's staff never see a record: their launch is refused as somebody, in a row."""
    answer = await user.launch(Opening("commissioner", "grace"))
    assert answer.status_code == 403
    assert (await user.view()).status_code == 401
    rows = [row for row in await launched.rows(GRACE) if row["kind"] == "refusal"]
    assert rows[-1]["door"] == "GET /launch/callback"
    assert rows[-1]["who"]["role"] == "commissioner"


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://elsewhere.example"},
        {"authorization_endpoint": "http://elsewhere.example/authorize"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
        {"token_endpoint": "http://127.0.0.1:7/token?x=1"},
        {"code_challenge_methods_supported": ["plain"]},
    ],
)
async def test_an_ehr_that_leads_elsewhere_is_not_followed(
    launched: Stack, user: Browser, ehr: Launcher, discovery: dict[str, Any]
) -> None:
    known = launched.parts.launches._ehrs[ehr.fhir_base]
    known._known = None
    ehr.twist = Twist(discovery=discovery)
    ehr.asked.clear()
    try:
        answer = await user.begin(GP)
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers
        assert known._known is None
        assert len(ehr.asked) == 1
    finally:
        known._failed = None


async def test_an_ehr_is_asked_once_for_all_who_wait_and_left_alone_after_a_failure(
    launched: Stack, user: Browser, ehr: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = launched.parts.launches._ehrs[ehr.fhir_base]
    now = 1000.0
    monkeypatch.setattr(known, "_clock", lambda: now)
    known._known = None
    ehr.asked.clear()
    ehr.twist = Twist(discovery={"issuer": "https://elsewhere.example"})
    answers = await asyncio.gather(*(user.begin(GP) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {503}
    assert len(ehr.asked) == 1
    ehr.twist = Twist()
    now += 4.9
    assert (await user.begin(GP)).status_code == 503
    assert len(ehr.asked) == 1
    now += 0.1
    answers = await asyncio.gather(*(user.begin(GP) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {303}
    assert len(ehr.asked) == 2
    known._known = None
