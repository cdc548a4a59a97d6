"""The demo's provider for patients: it can't be taken for staff's, and its codes are good for one person, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.caller.jwk import DEMO_MARK
from gateway.demo.identity import Demo, serving
from gateway.demo.patients import NOT_PROVEN, PatientDemo, patients_of, read_patients

PEOPLE = [{"nhsNumber": "9990000409", "birthDate": "1958-03-12", "name": "Grace Adebayo", "story": "…"}]
ASKED = {
    "client_id": "c",
    "redirect_uri": "http://127.0.0.1:8000/my/sign-in/callback",
    "response_type": "code",
    "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    "code_challenge_method": "S256",
    "nonce": "n",
}
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


class Provider:
    def __init__(self) -> None:
        demo = Demo("http://127.0.0.1:9/demo", "connect-care")
        self.patients = PatientDemo(demo, patients_of(PEOPLE))
        self.app = serving(demo, self.patients.routes)

    async def call(self, method: str, path: str, **more: Any) -> httpx2.Response:
        transport = httpx2.ASGITransport(app=self.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:9") as client:
            return await client.request(method, f"/demo/patients{path}", **more)

    async def redeem(self, code: str, **changed: str) -> httpx2.Response:
        form = {"grant_type": "authorization_code", "code": code, "client_id": "c", "code_verifier": VERIFIER}
        form |= {"redirect_uri": ASKED["redirect_uri"]} | changed
        return await self.call("POST", "/token", data=form)

    async def code(self, who: str = "grace-adebayo") -> str:
        answer = await self.call("GET", "/authorize", params=ASKED | {"as": who})
        return str(httpx2.URL(answer.headers["location"]).params["code"])


@pytest.fixture
def provider() -> Provider:
    return Provider()


async def test_it_shows_itself_for_the_demos(provider: Provider) -> None:
    document = (await provider.call("GET", "/.well-known/openid-configuration")).json()
    assert document[DEMO_MARK] is True
    assert document["issuer"] == "http://127.0.0.1:9/demo/patients"
    keys = (await provider.call("GET", "/jwks")).json()
    assert keys[DEMO_MARK] is True
    assert keys["keys"] != provider.app.state.demo.jwks()["keys"]
    assert json.loads(await provider.patients.fetch(document["jwks_uri"])) == keys


async def test_patients_are_chosen_and_one_of_them_is_not_proven(provider: Provider) -> None:
    page = (await provider.call("GET", "/authorize", params=ASKED)).text
    assert "Grace Adebayo, born 1958-03-12" in page
    assert "whose identity is not proven (P5)" in page
    assert "9990000409" not in page
    wrong = await provider.call("GET", "/authorize", params=ASKED | {"as": "gp"})
    assert wrong.json()["error"] == "invalid_request"


@pytest.mark.parametrize(("who", "level"), [("grace-adebayo", "P9"), (NOT_PROVEN, "P5")])
async def test_a_code_is_good_for_who_they_are_once(provider: Provider, who: str, level: str) -> None:
    code = await provider.code(who)
    answer = (await provider.redeem(code)).json()
    bearer = {"Authorization": f"Bearer {answer['access_token']}"}
    said = (await provider.call("GET", "/userinfo", headers=bearer)).json()
    assert (said["identity_proofing_level"], said["nhs_number"]) == (level, "9990000409")
    assert said["birthdate"] == "1958-03-12"
    assert (await provider.redeem(code)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("changed", [{"code_verifier": "x"}, {"client_id": "x"}, {"grant_type": "password"}])
async def test_a_code_is_good_for_nobody_else(provider: Provider, changed: dict[str, str]) -> None:
    assert (await provider.redeem(await provider.code(), **changed)).status_code == 400


@pytest.mark.parametrize("given", ["", "Bearer x", "Basic x"])
async def test_userinfo_is_for_whoever_signed_in(provider: Provider, given: str) -> None:
    assert (await provider.call("GET", "/userinfo", headers={"Authorization": given})).status_code == 401


def test_patients_are_those_of_the_sandboxes(tmp_path: Path) -> None:
    state = tmp_path / "sandboxes.json"
    state.write_text(json.dumps({"people": PEOPLE}))
    assert [each.spoken for each in read_patients(state)] == ["grace-adebayo", NOT_PROVEN]
    assert read_patients(None) == []
