"""How strongly and how lately somebody must have signed in, by purpose of use (RFC 9470)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import ValidationError

from gateway.audit.row import Who
from gateway.caller.floors import IN_PRODUCTION, Floor, asked_of, require_sign_in
from gateway.caller.identify import Callers
from gateway.caller.keys import Keys
from gateway.caller.model import Caller, KnownCaller
from gateway.caller.presented import Presented
from gateway.caller.refusals import StrongerSignInNeeded
from gateway.caller.roles import load_job_roles
from gateway.caller.settings import IssuerSettings
from gateway.demo.identity import Demo
from gateway.settings import Settings, load_settings
from tests.callers import JOB_ROLES, REGISTER
from tests.marks import no_guards

NOW: Final = 1_800_000_000
KNOWN: Final = KnownCaller(issuer="https://issuer.test", token_id="j", purpose="TREAT")
STRONG: Final = Floor(acr=("AAL3_ANY",), max_age_hours=12)
OWN_WORDS: Final = {"1": "AAL1", "2": "AAL2", "gold": "AAL3"}


def passes(acr: str, floor: Floor, auth_time: int | None = None, levels: dict[str, str] | None = None) -> bool:
    known = KnownCaller(issuer="https://issuer.test", token_id="j", acr=acr)
    try:
        require_sign_in(floor, known, auth_time, levels or {}, NOW)
    except StrongerSignInNeeded:
        return False
    return True


@pytest.mark.parametrize(
    ("acr", "treat", "etreat"),
    [
        ("AAL3", True, True),
        ("AAL3_ANY", True, True),
        ("AAL3_LOA3", True, True),
        ("AAL2", True, False),
        ("AAL2_OR_AAL3_ANY", True, False),
        ("AAL1_USERPASS", False, False),
        ("AAL1", False, False),
        ("", False, False),
        ("gold", False, False),
        ("aal3", False, False),
        ("AAL3 ", False, False),
        ("AAL4", False, False),
        ("XAAL3", False, False),
    ],
)
def test_the_nations_levels_are_ordered(acr: str, treat: bool, etreat: bool) -> None:
    assert passes(acr, IN_PRODUCTION["TREAT"]) is treat
    assert passes(acr, IN_PRODUCTION["ETREAT"], NOW) is etreat


@pytest.mark.parametrize(
    ("ago", "enough"), [(0, True), (-30, True), (-31, False), (12 * 3600, True), (12 * 3600 + 1, False), (None, False)]
)
def test_who_signed_in_too_long_ago_signs_in_again(ago: int | None, enough: bool) -> None:
    assert passes("AAL3", STRONG, None if ago is None else NOW - ago) is enough


def test_an_issuers_own_words_stand_for_levels() -> None:
    floor = IN_PRODUCTION["TREAT"]
    assert [passes(acr, floor, levels=OWN_WORDS) for acr in ("1", "2", "gold", "3")] == [False, True, True, False]
    assert asked_of(floor, OWN_WORDS) == ("2", "gold")
    assert asked_of(STRONG, OWN_WORDS) == ("gold",)
    assert asked_of(STRONG, {"1": "AAL1"}) == ("AAL3_ANY",)
    assert passes("silver", Floor(acr=("silver", "bronze")))
    assert not passes("AAL3", Floor(acr=("silver", "bronze")))
    assert passes("", Floor())


def test_the_challenge_says_what_to_ask_for() -> None:
    with pytest.raises(StrongerSignInNeeded) as refused:
        require_sign_in(STRONG, KNOWN, NOW, {}, NOW)
    challenge = refused.value.headers["WWW-Authenticate"]
    assert (refused.value.status, refused.value.rule) == (401, "caller.sign-in-strength")
    scheme, _, rest = challenge.partition(" ")
    params = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    assert scheme == "Bearer"
    assert params["error"] == "insufficient_user_authentication"
    assert (params["acr_values"], params["max_age"]) == ("AAL3_ANY", "43200")
    with pytest.raises(StrongerSignInNeeded) as refused:
        require_sign_in(Floor(max_age_hours=1), KNOWN, None, {}, NOW)
    assert "acr_values" not in refused.value.headers["WWW-Authenticate"]
    with pytest.raises(StrongerSignInNeeded) as refused:
        require_sign_in(Floor(acr=("AAL2",)), KNOWN, None, {}, NOW)
    assert "max_age" not in refused.value.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"acr": ['a"b']},
        {"acr": ["a b"]},
        {"acr": [""]},
        {"acr": ["a\\b"]},
        {"max_age_hours": 0},
        {"max_age_hours": 1000},
        {"max_age": 60},
    ],
)
def test_a_floor_that_is_none_stops_start_up(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Floor.model_validate(wrong)


class Door:
    """`Callers` with the floors of production, over an issuer with words of its own."""

    def __init__(self) -> None:
        self.demo = Demo("https://issuer.test/demo", "connect-care", clock=lambda: NOW)
        settings = IssuerSettings(
            issuer=self.demo.issuer, audience="connect-care", algorithms=("ES256",), acr=OWN_WORDS
        )
        keys = Keys([settings], self.demo.fetch, allow_demo=True)
        self.callers = Callers(
            [settings],
            keys,
            REGISTER,
            load_job_roles(JOB_ROLES),
            clock=lambda: NOW,
            guards=no_guards(),
            floors=IN_PRODUCTION,
        )

    async def identify(self, **claims: Any) -> Caller:
        return await self.callers.identify(Presented.bearing(self.demo.mint("gp", claims=claims)))


async def test_each_purpose_has_its_floor() -> None:
    door = Door()
    assert (await door.identify(acr="2", auth_time=1)).purpose == "TREAT"
    assert (await door.identify(acr="gold", purpose_of_use="ETREAT", auth_time=NOW - 60)).purpose == "ETREAT"
    for claims in (
        {"acr": "1"},
        {"acr": "2", "purpose_of_use": "ETREAT"},
        {"purpose_of_use": "ETREAT", "auth_time": 1},
    ):
        with pytest.raises(StrongerSignInNeeded) as refused:
            await door.identify(**claims)
    who = Who.of(refused.value.known)
    assert (who.role, who.organisation, who.purpose, who.acr) == ("gp", "G85005", "ETREAT", "AAL3")
    assert 'acr_values="gold"' in refused.value.headers["WWW-Authenticate"]


def settings(tmp_path: Path, **more: Any) -> Settings:
    issuer = {"issuer": "https://login.example", "audience": "connect-care", "algorithms": ["ES256"]}
    given = {
        "public_url": "https://connectcare.example",
        "data_dir": tmp_path,
        "key_file": tmp_path / "key",
        "issuers": [issuer],
        "checkpoint_key": tmp_path / "checkpoint",
        "audit_sink": tmp_path / "sink",
        **more,
    }
    return load_settings(None, **given)


def test_production_has_floors_of_its_own_and_settings_replace_them(tmp_path: Path) -> None:
    assert settings(tmp_path, profile="demo").floors == {}
    stated = settings(tmp_path, profile="demo", sign_in_floors={"TREAT": {"acr": ["gold"]}}).floors
    assert stated == {"TREAT": Floor(acr=("gold",))}
    assert settings(tmp_path).floors == IN_PRODUCTION
    treat = settings(tmp_path, sign_in_floors={"TREAT": {}}).floors
    assert treat == {"TREAT": Floor(), "ETREAT": IN_PRODUCTION["ETREAT"]}
