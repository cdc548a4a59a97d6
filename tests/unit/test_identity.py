"""The demo identity provider: it signs demo people in, and can't be taken for anything but the demo's."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from gateway.caller.keys import Keys, KeysUnavailable
from gateway.caller.settings import IssuerSettings
from gateway.caller.tokens import Tokens
from gateway.demo.identity import DEMO_GRANT, Demo, serving
from gateway.demo.people import PEOPLE, NoSuchPerson, person
from gateway.demo.serve import write_state
from gateway.errors import NotSignedIn

ISSUER: Final = "http://127.0.0.1:9/demo"
AUDIENCE: Final = "https://connect-care.test"
VERIFIER: Final = "a-code-verifier-of-at-least-forty-three-characters"
CHALLENGE: Final = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ASKED: Final = {
    "response_type": "code",
    "client_id": "viewer",
    "redirect_uri": "http://127.0.0.1:8000/signed-in?from=demo",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "state": "s&1",
    "nonce": "n-1",
    "as": "nurse",
}
SETTINGS: Final = IssuerSettings(issuer=ISSUER, audience=AUDIENCE, algorithms=("ES256",), allow_insecure_loopback=True)


class Provider:
    """The app with a clock, and a client that calls it by a loopback name."""

    def __init__(self) -> None:
        self.now = time.time()
        self.app = serving(Demo(ISSUER, AUDIENCE, clock=lambda: self.now))
        self.demo: Demo = self.app.state.demo

    async def call(self, method: str, path: str, host: str = "127.0.0.1:9", **more: Any) -> httpx2.Response:
        transport = httpx2.ASGITransport(app=self.app)
        async with httpx2.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.request(method, path, **more)

    async def fetch(self, url: str) -> bytes:
        return (await self.call("GET", urlsplit(url).path)).content

    async def verify(self, token: str) -> dict[str, Any]:
        """The claims as the gateway's own check lets them through."""
        keys = Keys([SETTINGS], self.fetch, allow_demo=True)
        return dict((await Tokens([SETTINGS], keys, clock=lambda: self.now).verify(token)).claims)

    async def code(self, **changed: str) -> str:
        answer = await self.call("GET", "/demo/authorize", params=ASKED | changed)
        assert answer.status_code == 303, answer.text
        return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]

    async def redeem(self, code: str, **changed: str) -> httpx2.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": "viewer",
            "redirect_uri": ASKED["redirect_uri"],
            "code_verifier": VERIFIER,
        }
        return await self.call("POST", "/demo/token", data=form | changed)


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.mark.parametrize("each", PEOPLE, ids=lambda each: each.role)
async def test_every_demo_person_gets_a_token_that_the_gateway_accepts(provider: Provider, each: Any) -> None:
    answer = await provider.call("POST", "/demo/token", data={"grant_type": DEMO_GRANT, "as": each.role})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
    claims = await provider.verify(body["access_token"])
    assert claims["nhsid_useruid"] == each.user_id
    assert [role["org_code"] for role in claims["nhsid_nrbac_roles"]] == [each.organisation]
    assert (claims["purpose_of_use"], claims["client_id"]) == ("TREAT", "connect-care-demo")


async def test_there_is_a_person_for_every_role_and_colleagues_are_other_people() -> None:
    assert len({each.user_id for each in PEOPLE}) == len(PEOPLE) == 8
    base, colleague = person("gp"), person("gp@G85004")
    assert (colleague.role, colleague.organisation, colleague.job_role) == ("gp", "G85004", base.job_role)
    assert colleague.user_id != base.user_id
    assert colleague.name != base.name
    assert person("gp@G85005") is base
    assert person("gp@G85004") == colleague, "the same person every time"


@pytest.mark.parametrize("spoken", ["", "surgeon", "gp@", "gp@g85004", "gp@G85004@RJ2", "GP", "gp\n", "g" * 50])
async def test_nobody_of_that_name(provider: Provider, spoken: str) -> None:
    with pytest.raises(NoSuchPerson):
        person(spoken)
    answer = await provider.call("POST", "/demo/token", data={"grant_type": DEMO_GRANT, "as": spoken})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert "social-worker" in answer.json()["error_description"]


async def test_an_emergency_can_be_signed_in_for(provider: Provider) -> None:
    form = {"grant_type": DEMO_GRANT, "as": "nurse", "purpose": "ETREAT"}
    answer = await provider.call("POST", "/demo/token", data=form)
    assert (await provider.verify(answer.json()["access_token"]))["purpose_of_use"] == "ETREAT"


TOKEN_ERRORS: Final[dict[str, tuple[str, str]]] = {
    "no grant": ("as=gp", "unsupported_grant_type"),
    "another grant": ("grant_type=password&username=a", "unsupported_grant_type"),
    "a parameter twice": (f"grant_type={DEMO_GRANT}&as=gp&as=nurse", "invalid_request"),
    "too large": ("a=" + "x" * 20_000, "invalid_request"),
    "not UTF-8": (f"grant_type={DEMO_GRANT}&as=%ff", "invalid_request"),
}


@pytest.mark.parametrize("name", TOKEN_ERRORS)
async def test_what_the_token_door_refuses(provider: Provider, name: str) -> None:
    form, error = TOKEN_ERRORS[name]
    answer = await provider.call("POST", "/demo/token", content=form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


async def test_it_shows_itself_for_what_it_is(provider: Provider) -> None:
    discovery = (await provider.call("GET", "/demo/.well-known/openid-configuration")).json()
    assert discovery["connect_care_demo"] is True
    assert discovery["issuer"] == ISSUER
    assert (await provider.call("GET", "/demo/jwks")).json()["connect_care_demo"] is True
    with pytest.raises(KeysUnavailable):
        await Keys([SETTINGS], provider.fetch).key(ISSUER, None, "ES256")
    with pytest.raises(ValueError, match="/demo"):
        serving(Demo("http://127.0.0.1:9/", AUDIENCE))


async def test_it_publishes_no_private_key_and_another_key_each_start(provider: Provider) -> None:
    (key,) = (await provider.call("GET", "/demo/jwks")).json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    with pytest.raises(NotSignedIn):
        await provider.verify(Provider().demo.mint("gp"))


@pytest.mark.parametrize("host", ["rebound.evil.test", "127.0.0.1.evil.test", "10.0.0.1"])
async def test_it_answers_no_other_name(provider: Provider, host: str) -> None:
    answer = await provider.call("POST", "/demo/token", host=host, data={"grant_type": DEMO_GRANT, "as": "gp"})
    assert answer.status_code == 400
    assert "access_token" not in answer.text


async def test_the_code_flow_signs_a_person_in(provider: Provider) -> None:
    answer = await provider.call("GET", "/demo/authorize", params=ASKED)
    where = urlsplit(answer.headers["location"])
    back = parse_qs(where.query)
    assert (where.netloc, where.path) == ("127.0.0.1:8000", "/signed-in")
    assert (back["from"], back["state"], back["iss"]) == (["demo"], ["s&1"], [ISSUER])
    body = (await provider.redeem(back["code"][0])).json()
    claims = await provider.verify(body["access_token"])
    assert (claims["nhsid_useruid"], claims["client_id"]) == (person("nurse").user_id, "viewer")
    id_claims = json.loads(base64.urlsafe_b64decode(body["id_token"].split(".")[1] + "=="))
    assert (id_claims["aud"], id_claims["nonce"], id_claims["sub"]) == ("viewer", "n-1", claims["sub"])
    with pytest.raises(NotSignedIn) as refused:
        await provider.verify(body["id_token"])
    assert refused.value.rule == "token.type"


async def test_without_a_name_it_offers_the_people_to_choose_from(provider: Provider) -> None:
    asked = {name: value for name, value in ASKED.items() if name not in ("as", "state")} | {"nonce": "<script>"}
    page = await provider.call("GET", "/demo/authorize", params=asked)
    assert page.status_code == 200
    assert page.text.count("<li>") == 8
    assert "<script>" not in page.text


async def test_a_code_without_state_or_query_goes_back_plainly(provider: Provider) -> None:
    asked = {name: value for name, value in ASKED.items() if name not in ("state", "nonce")}
    answer = await provider.call("GET", "/demo/authorize", params=asked | {"redirect_uri": "http://[::1]:8000/back"})
    assert answer.headers["location"].startswith("http://[::1]:8000/back?code=")
    assert "state=" not in answer.headers["location"]


@pytest.mark.parametrize(
    "changed",
    [
        {"code": "made-up"},
        {"client_id": "another"},
        {"redirect_uri": "http://127.0.0.1:8000/elsewhere"},
        {"code_verifier": "wrong"},
        {"code_verifier": ""},
    ],
)
async def test_a_code_is_bound_to_all_it_was_asked_with(provider: Provider, changed: dict[str, str]) -> None:
    code = await provider.code()
    answer = await provider.redeem(**({"code": code} | changed))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_a_code_serves_once_and_for_a_minute(provider: Provider) -> None:
    code = await provider.code()
    assert (await provider.redeem(code)).status_code == 200
    assert (await provider.redeem(code)).status_code == 400
    late = await provider.code()
    provider.now += 60
    assert (await provider.redeem(late)).status_code == 400


async def test_only_so_many_codes_stand_open(provider: Provider) -> None:
    for _ in range(100):
        await provider.code()
    answer = await provider.call("GET", "/demo/authorize", params=ASKED)
    assert answer.json()["error"] == "temporarily_unavailable"
    provider.now += 60
    assert await provider.code()


@pytest.mark.parametrize(
    "changed",
    [
        {"response_type": "token"},
        {"code_challenge_method": "plain"},
        {"redirect_uri": "https://evil.test/"},
        {"redirect_uri": "http://evil.test/"},
        {"redirect_uri": "http://127.0.0.1@evil.test/"},
        {"redirect_uri": "http://u@127.0.0.1/"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "http://127.0.0.1/#a"},
        {"redirect_uri": "http://127.0.0.1/\r\nX: y"},
        {"as": "surgeon"},
    ],
)
async def test_what_the_authorize_door_refuses(provider: Provider, changed: dict[str, str]) -> None:
    answer = await provider.call("GET", "/demo/authorize", params=ASKED | changed)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "response_type", "code_challenge"])
async def test_the_authorize_door_needs_every_parameter(provider: Provider, name: str) -> None:
    asked = {key: value for key, value in ASKED.items() if key != name}
    answer = await provider.call("GET", "/demo/authorize", params=asked)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert name in answer.json()["error_description"]


async def test_tests_can_have_any_token_minted(provider: Provider) -> None:
    assert await provider.verify(provider.demo.mint("gp@G85004", claims={"acr": "AAL2"}, lifetime=5))
    with pytest.raises(NotSignedIn):
        await provider.verify(provider.demo.mint("gp", without=["jti"]))
    assert json.loads(await provider.demo.fetch(f"{ISSUER}/jwks"))["keys"]
    with pytest.raises(LookupError):
        await provider.demo.fetch("https://elsewhere.test")


# As a process


def started(state: Path) -> list[str]:
    return [sys.executable, "-m", "gateway.demo.identity", "--state", str(state), "--audience", AUDIENCE]


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_as_a_process_it_says_where_it_is_and_stops_cleanly(tmp_path: Path, stop: signal.Signals) -> None:
    state = tmp_path / "identity.json"
    process = subprocess.Popen(started(state), stderr=subprocess.PIPE, text=True)
    try:
        wait_for(state.exists)
        said = json.loads(state.read_text())
        assert said["pid"] == process.pid
        form = f"grant_type={DEMO_GRANT}&as=gp".encode()
        with closing(urllib.request.urlopen(f"{said['issuer']}/token", data=form, timeout=60)) as answer:
            assert json.load(answer)["access_token"].count(".") == 2
        process.send_signal(stop)
        _, logged = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, logged
    assert not state.exists()
    events = [json.loads(line)["event"] for line in logged.splitlines()]
    assert events[0] == "demo-identity.started"
    assert events[-1] == "demo-identity.stopped"
    assert "Traceback" not in logged
    assert "access_token" not in logged
    assert list(tmp_path.iterdir()) == []


def test_as_a_process_it_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    state = tmp_path / "identity.json"
    parent = textwrap.dedent(f"""
        import pathlib, subprocess, time
        subprocess.Popen({started(state)!r}, stderr=subprocess.DEVNULL)
        while not pathlib.Path({str(state)!r}).exists():
            time.sleep(0.05)
    """)
    pid_seen: list[int] = []
    subprocess.run([sys.executable, "-c", parent], check=True, timeout=180)
    if state.exists():
        pid_seen.append(json.loads(state.read_text())["pid"])
    wait_for(lambda: not state.exists())
    for pid in pid_seen:
        wait_for(lambda pid=pid: not _runs(pid))  # type: ignore[misc]


def _runs(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return _signalled(pid)
    return status.rpartition(")")[2].split()[0] != "Z"


def _signalled(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path("/proc").is_dir()


def test_the_state_file_is_whole_and_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_state(path, {"issuer": "a"})
    write_state(path, {"issuer": "b"})
    assert json.loads(path.read_text()) == {"issuer": "b"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
