"""The UK contextual launch: one signed JWT, for one person and one patient, once, within five minutes. And the other
ways in which a person is named, and the cookies of an https gateway."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from gateway.caller.settings import IssuerSettings
from tests.flow.browser import Browser, browser
from tests.flow.stack import AUDIENCE as AUD
from tests.flow.stack import GRACE, ISSUER, TOMASZ, Stack, running
from tests.launcher import NHS_NUMBER, Launcher, Opening, Twist, an_ehr_patient
from tests.unit.test_claim_mappings import assertion

AUDIENCE = "http://127.0.0.1:8000/launch/context"
GP = Opening("gp", "grace")


def context(ehr: Launcher, **more: Any) -> dict[str, Any]:
    registered = ehr.settings(ISSUER, name="Test system", **more)
    return {name: value for name, value in registered.items() if name not in ("fhir_base", "client_id")}


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


@pytest.fixture(scope="module")
def ehr() -> Launcher:
    launcher = Launcher()
    launcher.patients["grace"] = an_ehr_patient("grace", GRACE)
    return launcher


@pytest.fixture(scope="module")
async def stack(ehr: Launcher, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    data = tmp_path_factory.mktemp("context")
    async with running(data, ehr=ehr, contexts=[context(ehr)], launches=[ehr.settings(ISSUER)]) as stack:
        yield stack


@pytest.fixture
async def user(stack: Stack, ehr: Launcher) -> AsyncIterator[Browser]:
    ehr.twist = Twist()
    one = browser(stack, ehr)
    yield one
    await one.aclose()


async def test_a_signed_context_opens_the_viewer(stack: Stack, user: Browser, ehr: Launcher) -> None:
    jwt = ehr.context_jwt(
        AUDIENCE, GRACE, location="https://fhir.nhs.uk/Id/ods-organization-code|G85005", encounter="e1"
    )
    entered = await user.context(jwt)
    assert entered.status_code == 303
    page = await user.view()
    assert "Test system" in page.text
    assert "999 000 0409" in page.text
    await user.post(f"{user.page}/permission", answer="yes")
    assert "What is held" in (await user.view()).text
    doors = {row["door"] for row in await stack.rows(GRACE) if row["kind"] == "release"}
    assert doors == {"GET /viewer/{tag}"}


async def test_the_permission_is_the_same_person_s_however_they_came_in(
    stack: Stack, user: Browser, ehr: Launcher
) -> None:
    await stack.agree(TOMASZ)
    await user.context(ehr.context_jwt(AUDIENCE, TOMASZ))
    assert "What is held" in (await user.view()).text


async def test_the_birth_date_is_the_second_fact(stack: Stack, user: Browser, ehr: Launcher) -> None:
    await stack.agree(GRACE)
    await user.context(ehr.context_jwt(AUDIENCE, GRACE, patient_birthdate="1900-01-01"))
    page = await user.view()
    assert page.status_code == 404
    assert "birth date" in page.text
    assert "ADEBAYO" not in page.text


async def test_it_is_used_once(user: Browser, ehr: Launcher) -> None:
    jwt = ehr.context_jwt(AUDIENCE, GRACE)
    answers = await asyncio.gather(*(user.context(jwt) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [303, 401, 401, 401]


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"iss": "https://elsewhere.example"}, 403),
        ({"iss": None}, 403),
        ({"aud": "http://127.0.0.1:8000/launch"}, 401),
        ({"aud": "connect-care"}, 401),
        ({"aud": None}, 401),
        ({"iat": timedelta(minutes=-10), "exp": timedelta(minutes=-5)}, 401),
        ({"exp": timedelta(minutes=50)}, 401),
        ({"iat": timedelta(minutes=10), "exp": timedelta(minutes=12)}, 401),
        ({"exp": None}, 401),
        ({"iat": None}, 401),
        ({"jti": None}, 401),
        ({"patient": None}, 400),
        ({"patient": GRACE}, 400),
        ({"patient": f"{NHS_NUMBER}|9990000408"}, 400),
        ({"patient": f"{NHS_NUMBER}|{GRACE},{NHS_NUMBER}|{TOMASZ}"}, 400),
        ({"patient_birthdate": "1961"}, 400),
        ({"location": "https://fhir.nhs.uk/Id/ods-organization-code|RJ2"}, 401),
        ({"encounter": "../x"}, 400),
        ({"sub": None}, 401),
        ({"sub": ["x"]}, 401),
        ({"nhsid_useruid": None}, 403),
        ({"selected_roleid": "1"}, 403),
    ],
)
async def test_what_it_must_say(user: Browser, ehr: Launcher, claims: dict[str, Any], status: int) -> None:
    answer = await user.context(ehr.context_jwt(AUDIENCE, GRACE, **claims))
    assert answer.status_code == status, answer.text
    assert "set-cookie" not in answer.headers
    assert (await user.view()).status_code == 401


async def test_another_statement_of_the_same_system_is_no_launch(user: Browser, ehr: Launcher) -> None:
    """RFC 8725, section 3.11: a JWT of one kind is never taken for another."""
    now = int(time.time())
    claims = {"iss": ehr.issuer, "aud": AUDIENCE, "iat": now, "exp": now + 200, "jti": "x"}
    for typ in ("JWT", "at+jwt", None):
        assert (await user.context(ehr.sign(claims, typ=typ))).status_code == 401
    forged = ECKey.generate_key("P-256", {"kid": ehr.key.kid})
    assert (await user.context(ehr.sign(claims, key=forged, typ="launch+jwt"))).status_code == 401


async def test_it_comes_in_the_body_and_nowhere_else(user: Browser, ehr: Launcher) -> None:
    jwt = ehr.context_jwt(AUDIENCE, GRACE)
    refused = [
        await user.here.get(f"/launch/context?launch={jwt}"),
        await user.here.post(f"/launch/context?launch={jwt}", data={"launch": jwt}),
        await user.here.post("/launch/context", data={"launch": jwt, "patient": TOMASZ}),
        await user.here.post("/launch/context", json={"launch": jwt}),
        await user.here.post("/launch/context", content=b"", headers={"Content-Type": "text/plain"}),
        await user.here.post("/launch/context", data={"launch": "x" * 40_000}),
    ]
    assert [answer.status_code for answer in refused] == [405, 400, 400, 415, 415, 413]
    assert (await user.context(jwt)).status_code == 303  # none of these used it up


async def test_an_ehr_that_writes_assertions_may_launch_as_well(ehr: Launcher, tmp_path: Path) -> None:
    """Its people are named by the assertion's own words; the application is the system that launched."""
    supplier: dict[str, Any] = {
        "issuer": "http://127.0.0.1:9/supplier",
        "audience": "connect-care",
        "algorithms": ["ES256"],
    }
    supplier |= {"claims": "ehr-assertion", "organisations": ["G85005"], "allow_insecure_loopback": True}
    registered = context(ehr) | {"counts_as": supplier["issuer"]}
    demo = IssuerSettings(issuer=ISSUER, audience=AUD, algorithms=("ES256",), allow_insecure_loopback=True)
    issuers = (demo, IssuerSettings(**supplier))
    async with running(tmp_path, ehr=ehr, issuers=issuers, contexts=[registered]) as stack:
        user = browser(stack, ehr)
        theirs: dict[str, Any] = dict.fromkeys(("nhsid_useruid", "nhsid_nrbac_roles", "selected_roleid", "name"))
        entered = await user.context(ehr.context_jwt(AUDIENCE, GRACE, **theirs, **assertion()))
        assert entered.status_code == 303, entered.text
        assert "ASHWORTH Meera Dr" in (await user.view()).text
        for wrong in ({"sub": None}, {"sub": "local-8"}):
            jwt = ehr.context_jwt(AUDIENCE, GRACE, **theirs, **assertion(**wrong))
            assert (await user.context(jwt)).status_code == 401
        await user.aclose()


@pytest.mark.parametrize("kind", ["contexts", "launches"])
async def test_a_session_ends_with_the_registration_of_its_system(ehr: Launcher, tmp_path: Path, kind: str) -> None:
    """Also with the organisation of its person; the cookie and the store are the same all along."""
    entry = context(ehr) if kind == "contexts" else ehr.settings(ISSUER)
    there: dict[str, Any] = {kind: [entry]}
    held: dict[str, str] = {}
    page = ""
    nothing: dict[str, Any] = {}
    for settings, status in (
        (there, 200),
        (nothing, 401),
        ({kind: [entry | {"organisations": ["RJ2"]}]}, 401),
        ({kind: [entry | {"issuer": "http://127.0.0.1:7/another"}]}, 401),
        (there, 200),
    ):
        async with running(tmp_path, ehr=ehr, **settings) as stack:
            user = browser(stack, ehr)
            if not held:
                ehr.twist = Twist()
                by_context = kind == "contexts"
                jwt = ehr.context_jwt(AUDIENCE, GRACE)
                entered = await user.context(jwt) if by_context else await user.launch(GP)
                assert entered.status_code == 303, entered.text
                held, page = dict(user.here.cookies), user.page
            user.here.cookies.update(held)
            answer = await user.here.get(page)
            assert answer.status_code == status, (settings, answer.text)
            assert ("999 000 0409" in answer.text) is (status == 200)
            await user.aclose()


async def test_where_no_system_is_registered_nobody_is_let_in(ehr: Launcher, tmp_path: Path) -> None:
    async with running(tmp_path, ehr=ehr) as stack:
        user = browser(stack, ehr)
        assert (await user.begin(GP)).status_code == 403
        assert (await user.context(ehr.context_jwt(AUDIENCE, GRACE))).status_code == 403
        await user.aclose()


async def test_other_ways_in_which_an_ehr_names_the_person(ehr: Launcher, tmp_path: Path) -> None:
    """A private key for the token endpoint and the userinfo endpoint; then the person's own access token."""
    key = ECKey.generate_key("P-384", auto_kid=True)
    (tmp_path / "client.pem").write_bytes(key.as_pem(private=True))
    proven = {"key_file": tmp_path / "client.pem", "kid": str(key.kid), "users": "userinfo"}
    other = Launcher("http://127.0.0.1:7", client_key=key)
    other.patients = ehr.patients
    other.twist = Twist(id_token={"name": None, "nhsid_nrbac_roles": None})
    async with running(tmp_path, ehr=other, launches=[other.settings(ISSUER, **proven)]) as stack:
        user = browser(stack, other)
        assert (await user.launch(GP)).status_code == 303
        assert "ASHWORTH" in (await user.view()).text
        other.twist = Twist(userinfo={"sub": "somebody else"})
        assert (await user.launch(GP)).status_code == 401
        await user.aclose()


async def test_the_person_s_own_access_token_is_believed_anew_on_every_page(
    ehr: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_token = ehr.settings(ISSUER, users="access-token", nhs_number_claim="patient_number")
    async with running(tmp_path, ehr=ehr, launches=[by_token]) as stack:
        ehr.access_token = stack.demo.mint
        ehr.twist = Twist(id_token={"patient_number": f"{NHS_NUMBER}|{TOMASZ}"})
        user = browser(stack, ehr)
        assert (await user.launch(GP)).status_code == 303
        page = await user.view()
        assert page.status_code == 200
        assert "999 000 0476" in page.text
        kept = everything_in(tmp_path)
        assert b"viewer_session" in kept
        assert b"eyJ" not in kept  # how every JWT begins
        with monkeypatch.context() as without:
            without.setattr(stack.parts.naming, "_registered", {})
            assert (await user.view()).status_code == 401
        assert (await user.view()).status_code == 200
        clock = stack.parts.callers._tokens._clock
        monkeypatch.setattr(stack.parts.callers._tokens, "_clock", lambda: clock() + 3700)
        assert (await user.view()).status_code == 401
        await user.aclose()
        ehr.access_token = None


async def test_an_https_gateway_binds_its_cookies_to_its_host(ehr: Launcher, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"public_url": "https://cc.example", "launches": [ehr.settings(ISSUER)]}
    async with running(tmp_path, ehr=ehr, **settings) as stack:
        user = browser(stack, ehr, "https://cc.example")
        begun = await user.begin(GP)
        assert "__Host-connect-care-launch=" in begun.headers["set-cookie"]
        entered = await user.launch(GP)
        cookies = [one for one in entered.headers.get_list("set-cookie") if "session=" in one]
        (cookie,) = cookies
        parts = {part.strip().lower() for part in cookie.split(";")}
        assert cookie.startswith("__Host-connect-care-session=")
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= parts
        name = user.here.cookies["__Host-connect-care-session"]
        assert (await user.view()).status_code == 200
        user.here.cookies.clear()
        user.here.cookies.set("connect-care-session", name)
        assert (await user.view()).status_code == 401
        await user.aclose()
