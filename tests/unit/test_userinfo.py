"""The userinfo endpoint: asked where a token leaves out whose it is, seldom, and believed no further than it goes."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import pytest

from connectors.sdk.errors import Refused, Unwell
from gateway.caller.identify import Callers
from gateway.caller.keys import Keys
from gateway.caller.model import Caller, Role
from gateway.caller.presented import Presented
from gateway.caller.refusals import CallerRefused, SignInUnavailable
from gateway.caller.roles import load_job_roles
from gateway.caller.settings import IssuerSettings
from gateway.caller.userinfo import KEPT_SECONDS, REST_SECONDS, Userinfo
from gateway.demo.identity import Demo
from gateway.demo.people import person
from gateway.errors import NotSignedIn
from tests.callers import JOB_ROLES, REGISTER
from tests.marks import no_guards

ISSUER: Final = "https://issuer.test/demo"
ENDPOINT: Final = "https://issuer.test/demo/userinfo"
WITHOUT: Final = ("nhsid_useruid", "nhsid_nrbac_roles", "selected_roleid", "name")


class World:
    """An issuer with a userinfo endpoint, a gateway that asks it, and a clock that the test turns."""

    def __init__(self, **settings: Any) -> None:
        self.now = 1_800_000_000.0
        self.demo = Demo(ISSUER, "connect-care", clock=lambda: self.now)
        self.said: Any = {**_person(), "acr": "AAL3", "scope": "user/*.rs", "patient": "9990000409"}
        self.raises: Exception | None = None
        self.asked: list[str] = []
        self.discoveries = 0
        self.endpoint: Any = ENDPOINT
        self.gate: asyncio.Event | None = None
        self.reached = asyncio.Event()
        issuer = IssuerSettings(issuer=ISSUER, audience="connect-care", algorithms=("ES256",), **settings)
        self.userinfo = Userinfo(self.fetch, self.fetch_as, allow_demo=True, clock=lambda: self.now)
        self.callers = Callers(
            [issuer],
            Keys([issuer], self.fetch, allow_demo=True),
            REGISTER,
            load_job_roles(JOB_ROLES),
            clock=lambda: self.now,
            guards=no_guards(),
            userinfo=self.userinfo,
        )

    async def fetch(self, url: str) -> bytes:
        if url.endswith("/openid-configuration"):
            self.discoveries += 1
            more = {"userinfo_endpoint": self.endpoint} if self.endpoint else {}
            return json.dumps({**self.demo.discovery(), **more}).encode()
        return await self.demo.fetch(f"{ISSUER}/jwks")

    async def fetch_as(self, url: str, token: str) -> bytes:
        self.asked.append(url)
        self.reached.set()
        assert token.count(".") == 2
        if self.gate is not None:
            await self.gate.wait()
        if self.raises is not None:
            raise self.raises
        return self.said if isinstance(self.said, bytes) else json.dumps(self.said).encode()

    def token(self, *, without: tuple[str, ...] = WITHOUT, **claims: Any) -> str:
        said = {"acr": "AAL2", "scope": "openid user/Patient.rs", **claims}
        return self.demo.mint("hospital-doctor", claims=said, without=without)

    async def identify(self, token: str | None = None) -> Caller:
        return await self.callers.identify(Presented.bearing(token or self.token()))


def _person() -> dict[str, Any]:
    return person("hospital-doctor").claims()


async def test_what_a_token_leaves_out_is_asked_for_once() -> None:
    world = World()
    token = world.token()
    caller = await world.identify(token)
    assert (caller.role, caller.organisation, caller.user_id) == (Role.HOSPITAL_DOCTOR, "RJ2", _person()["sub"])
    for _ in range(3):
        assert await world.identify(token) == caller
    assert world.asked == [ENDPOINT]
    assert world.discoveries == 2  # one for the keys, one for this endpoint
    world.now += KEPT_SECONDS
    await world.identify(token)
    assert len(world.asked) == 2


async def test_what_the_token_may_be_used_for_is_in_the_token_alone() -> None:
    world = World()
    world.said |= {"purpose_of_use": "ETREAT", "client_id": "another", "auth_time": 1, "iss": "https://x.test"}
    caller = await world.identify()
    assert (caller.acr, caller.scopes, caller.patient) == ("AAL2", {"openid", "user/Patient.rs"}, None)
    assert (caller.purpose, caller.client_id, caller.issuer) == ("TREAT", "connect-care-demo", ISSUER)
    assert caller.auth_time == int(world.now)


async def test_a_token_that_says_everything_is_enough() -> None:
    world = World()
    await world.identify(world.token(without=()))
    assert world.asked == []


async def test_the_tokens_own_word_stands_before_userinfos() -> None:
    world = World()
    roles = world.said["nhsid_nrbac_roles"]
    world.said["nhsid_nrbac_roles"] = [*roles, {"person_roleid": "9", "org_code": "RJ2", "role_code": "R8001"}]
    assert (await world.identify(world.token(without=("nhsid_nrbac_roles",), selected_roleid="9"))).role is Role.NURSE
    world = World()
    world.said |= {"selected_roleid": None, "nhsid_nrbac_roles": [*roles, {**roles[0], "person_roleid": "8"}]}
    del world.said["selected_roleid"]
    with pytest.raises(CallerRefused) as refused:
        await world.identify()
    assert refused.value.rule == "caller.choose-one-role"
    assert "choose one" in refused.value.told


async def test_many_who_wait_ask_once_and_one_who_leaves_stops_nobody() -> None:
    world = World()
    world.gate = asyncio.Event()
    token = world.token()
    waiting = [asyncio.create_task(world.identify(token)) for _ in range(5)]
    await world.reached.wait()
    waiting[0].cancel()
    world.gate.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert len({caller.user_id for caller in answers[1:] if isinstance(caller, Caller)}) == 1
    assert len(world.asked) == 1


async def test_nothing_is_believed_beyond_the_tokens_end() -> None:
    world = World()
    token = world.demo.mint("hospital-doctor", without=WITHOUT, lifetime=10)
    await world.identify(token)
    world.now += 10
    with pytest.raises(NotSignedIn) as refused:
        await world.identify(token)
    assert refused.value.rule == "token.expired"


@pytest.mark.parametrize("raised", [Refused("401"), None])
async def test_a_token_that_its_issuer_takes_back_is_refused(raised: Exception | None) -> None:
    world = World()
    world.raises = raised
    world.said["sub"] = "somebody-else"
    token = world.token()
    for _ in range(2):
        with pytest.raises(NotSignedIn) as refused:
            await world.identify(token)
        assert refused.value.rule == "token.userinfo"
    assert len(world.asked) == 1


@pytest.mark.parametrize(
    "said", [b"not json", b"[]", b"{}{}", b'{"sub": "a", "sub": "b"}', b"{" + b" " * 70_000 + b"}", Unwell("500")]
)
async def test_while_nobody_can_be_told_apart_nobody_gets_in(said: Any) -> None:
    world = World()
    world.said, world.raises = (said, None) if isinstance(said, bytes) else (b"", said)
    token = world.token()
    for _ in range(2):
        with pytest.raises(SignInUnavailable):
            await world.identify(token)
    assert len(world.asked) == 1  # and it rests
    world.raises, world.said = None, _person()
    world.now += REST_SECONDS
    assert (await world.identify(token)).role is Role.HOSPITAL_DOCTOR


async def test_an_issuer_without_such_an_endpoint_says_all_in_its_tokens() -> None:
    world = World()
    world.endpoint = None
    with pytest.raises(CallerRefused) as refused:
        await world.identify()
    assert refused.value.rule == "caller.not-a-person"
    assert world.asked == []


@pytest.mark.parametrize("endpoint", [7, "http://issuer.test/userinfo", "https://issuer.test/#x"])
async def test_a_token_is_sent_to_no_address_that_is_not_https(endpoint: Any) -> None:
    world = World()
    world.endpoint = endpoint
    with pytest.raises(SignInUnavailable):
        await world.identify()
    assert world.asked == []


async def test_addresses_that_are_given_are_not_discovered() -> None:
    world = World(jwks_uri=f"{ISSUER}/jwks", userinfo_uri="https://elsewhere.test/me")
    await world.identify()
    assert (world.asked, world.discoveries) == (["https://elsewhere.test/me"], 0)
    world = World(jwks_uri=f"{ISSUER}/jwks")
    with pytest.raises(CallerRefused):
        await world.identify()
    assert (world.asked, world.discoveries) == ([], 0)


async def test_only_care_identitys_mapping_asks() -> None:
    world = World(claims="keycloak")
    with pytest.raises((CallerRefused, NotSignedIn)):
        await world.identify()
    assert world.asked == []


async def test_what_is_under_way_ends_with_the_gateway() -> None:
    world = World()
    world.gate = asyncio.Event()
    waiting = asyncio.create_task(world.identify())
    await world.reached.wait()
    await world.callers.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.caller.userinfo._REMEMBERED", 3)
    world = World()
    first = world.token()
    await world.identify(first)
    for _ in range(3):
        await world.identify()
    await world.identify(first)
    assert len(world.asked) == 5


async def test_a_session_keeps_what_was_said_of_its_person() -> None:
    world = World()
    believed = await world.callers.believe(world.token())
    caller = await world.callers.identify(Presented.stated(believed))
    assert caller.role is Role.HOSPITAL_DOCTOR
    assert len(world.asked) == 1
    assert _person()["name"] not in repr(believed)
