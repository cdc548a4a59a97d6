"""Who is asking: from a token to a caller with one role, or to a refusal that names who it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from connectors.sdk.organisations import OrganisationType
from gateway.audit.row import Who
from gateway.caller.identify import Callers
from gateway.caller.keys import Keys
from gateway.caller.model import Caller, Role
from gateway.caller.presented import Presented
from gateway.caller.refusals import CallerRefused
from gateway.caller.roles import load_job_roles
from gateway.caller.settings import IssuerSettings
from gateway.demo.identity import Demo
from gateway.demo.people import PEOPLE, person
from gateway.errors import NotSignedIn
from tests.callers import JOB_ROLES, REGISTER
from tests.marks import no_guards

AUDIENCE: Final = "https://connect-care.test"
NOW: Final = 1_800_000_000.0


class Door:
    """`Callers` over the demo's issuer and a small register."""

    def __init__(self) -> None:
        self.demo = Demo("https://issuer.test/demo", AUDIENCE, clock=lambda: NOW)
        settings = IssuerSettings(issuer=self.demo.issuer, audience=AUDIENCE, algorithms=("ES256",))
        keys = Keys([settings], self.demo.fetch, allow_demo=True)
        self.callers = Callers(
            [settings], keys, REGISTER, load_job_roles(JOB_ROLES), clock=lambda: NOW, guards=no_guards()
        )

    async def identify(self, spoken: str = "gp", *, without: tuple[str, ...] = (), **claims: Any) -> Caller:
        return await self.callers.identify(Presented.bearing(self.demo.mint(spoken, claims=claims, without=without)))


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


def profile(code: str = "S8000:G8000:R8000", org: str = "RJ2", **more: Any) -> dict[str, Any]:
    """One entry of nhsid_nrbac_roles."""
    return {"person_roleid": f"55500{code[-4:]}", "org_code": org, "role_code": code, **more}


def acting(*profiles: dict[str, Any]) -> dict[str, Any]:
    """Claims of a person who acts in the first of these profiles."""
    return {"nhsid_nrbac_roles": list(profiles), "selected_roleid": profiles[0]["person_roleid"]}


@pytest.mark.parametrize("each", PEOPLE, ids=lambda each: each.role)
async def test_each_demo_person_gets_their_role(door: Door, each: Any) -> None:
    caller = await door.identify(each.role)
    assert caller.role == each.role
    assert (caller.organisation, caller.organisation_name) == (each.organisation, REGISTER[each.organisation].name)
    assert caller.organisation_type is REGISTER[each.organisation].type


async def test_a_caller_is_all_that_the_token_says(door: Door) -> None:
    caller = await door.identify(
        "gp", acr="AAL2", jti="token-1", auth_time=1_799_999_000, scope="openid  user/*.rs", purpose_of_use="ETREAT"
    )
    gp = person("gp")
    role = gp.claims()["nhsid_nrbac_roles"][0]
    assert caller == Caller(
        issuer="https://issuer.test/demo",
        user_id=gp.user_id,
        name=gp.name,
        role_profile_id=role["person_roleid"],
        job_role_code="R8000",
        role=Role.GP,
        organisation="G85005",
        organisation_name="South Lewisham Group Practice",
        organisation_type=OrganisationType.GP_PRACTICE,
        client_id="connect-care-demo",
        purpose="ETREAT",
        scopes=frozenset({"openid", "user/*.rs"}),
        acr="AAL2",
        auth_time=1_799_999_000,
        token_id="token-1",
    )
    assert Who.of(caller).role == "gp"
    assert json.loads(caller.key) == [caller.issuer, caller.user_id, caller.role_profile_id, "G85005"]


async def test_what_may_be_left_out_has_a_default(door: Door) -> None:
    caller = await door.identify("gp", without=("scope", "acr", "auth_time"))
    assert (caller.scopes, caller.acr, caller.auth_time, caller.purpose) == (frozenset(), "", None, "TREAT")


async def test_azp_names_the_client_where_client_id_is_absent(door: Door) -> None:
    assert (await door.identify("gp", without=("client_id",), azp="viewer")).client_id == "viewer"


async def test_the_same_code_is_another_role_in_another_type_of_organisation(door: Door) -> None:
    assert (await door.identify(**acting(profile("S8000:G8000:R8000", "G85005")))).role is Role.GP
    assert (await door.identify(**acting(profile("S8000:G8000:R8000", "RJ2")))).role is Role.HOSPITAL_DOCTOR
    assert (await door.identify(**acting(profile("S8000:G8000:R8001", "RJ2")))).role is Role.NURSE
    assert (await door.identify(**acting(profile("S8000:G8000:R8001", "RPG")))).role is Role.DISTRICT_NURSE
    assert (await door.identify(**acting(profile("S8000:G8000:R8000", "08L")))).role is Role.COMMISSIONER
    assert (await door.identify(**acting(profile("R0260", "G85004")))).role is Role.GP


async def test_one_role_at_a_time_the_chosen_one(door: Door) -> None:
    doctor, nurse = profile("S8000:G8000:R8000"), profile("S8000:G8000:R8001")
    assert (await door.identify(**acting(doctor, nurse))).role is Role.HOSPITAL_DOCTOR
    assert (await door.identify(**acting(nurse, doctor))).role is Role.NURSE
    only = await door.identify(without=("selected_roleid",), nhsid_nrbac_roles=[nurse])
    assert only.role is Role.NURSE


SYSTEM: Final = {"sub": "connect-care-demo"}
REFUSED: Final[dict[str, tuple[str, dict[str, Any], tuple[str, ...]]]] = {
    "no person at all": ("caller.not-a-person", {}, ("nhsid_useruid",)),
    "an empty user id": ("caller.not-a-person", {"nhsid_useruid": ""}, ()),
    "the subject is the client": ("caller.not-a-person", SYSTEM, ()),
    "the user is the client": ("caller.not-a-person", {"nhsid_useruid": "connect-care-demo"}, ()),
    "a client credentials grant": ("caller.not-a-person", {"gty": "client-credentials"}, ()),
    "research": ("caller.purpose", {"purpose_of_use": "HRESCH"}, ()),
    "no purpose named": ("caller.purpose", {"purpose_of_use": ""}, ()),
    "break the glass": ("caller.purpose", {"purpose_of_use": "BTG"}, ()),
    "no role": ("caller.no-role", {"nhsid_nrbac_roles": []}, ()),
    "no roles claim": ("caller.no-role", {}, ("nhsid_nrbac_roles",)),
    "several roles, none chosen": (
        "caller.choose-one-role",
        {"nhsid_nrbac_roles": [profile("R8000"), profile("R8001")]},
        ("selected_roleid",),
    ),
    "a role that isn't held": ("caller.role-not-held", {"selected_roleid": "555000000000"}, ()),
    "two roles of the chosen id": ("caller.role-not-held", acting(profile(), profile(org="RPG")), ()),
    "a code without use here": ("caller.unknown-role", acting(profile("S8000:G8000:R8010")), ()),
    "a code that nobody knows": ("caller.unknown-role", acting(profile("R9999")), ()),
    "a GP in a trust": ("caller.role-in-wrong-organisation", acting(profile("R0260", "RJ2")), ()),
    "a consultant in a practice": ("caller.role-in-wrong-organisation", acting(profile("R0050", "G85005")), ()),
    "a hospital doctor in a council": ("caller.role-in-wrong-organisation", acting(profile("R8000", "709")), ()),
    "a social worker in a practice": ("caller.role-in-wrong-organisation", acting(profile("R8014", "G85005")), ()),
    "an unknown organisation": ("caller.organisation-not-taking-part", acting(profile(org="RXX")), ()),
    "a suspended organisation": ("caller.organisation-not-taking-part", acting(profile(org="RV5")), ()),
    "nobody knows whether it takes part": ("caller.organisation-not-taking-part", acting(profile("R8014", "703")), ()),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_people_who_may_not_ask_are_refused_by_name(door: Door, name: str) -> None:
    rule, claims, without = REFUSED[name]
    with pytest.raises(CallerRefused) as refused:
        await door.identify("gp", without=without, **claims)
    assert (refused.value.status, refused.value.rule) == (403, rule)
    known = refused.value.known
    assert known.issuer == door.demo.issuer
    assert known.token_id
    assert bool(known.user_id) == (rule != "caller.not-a-person")
    assert Who.of(known).user_id == known.user_id
    assert Who.of(known).role == ""


async def test_a_refusal_names_the_role_profile_and_organisation_as_far_as_they_are_known(door: Door) -> None:
    with pytest.raises(CallerRefused) as refused:
        await door.identify("gp", **acting(profile("R0260", "RJ2")))
    who = Who.of(refused.value.known)
    assert (who.job_role_code, who.role_profile_id, who.name) == ("R0260", "555000260", person("gp").name)
    assert (who.organisation, who.organisation_type) == ("RJ2", "acute-trust")
    with pytest.raises(CallerRefused) as refused:
        await door.identify("gp", **acting(profile(org="RXX")))
    assert (refused.value.known.organisation, refused.value.known.organisation_name) == ("RXX", "")


async def test_a_system_is_told_to_send_a_persons_token(door: Door) -> None:
    with pytest.raises(CallerRefused) as refused:
        await door.identify("gp", without=("nhsid_useruid",))
    assert "signed-in person" in refused.value.told
    assert refused.value.known.client_id == "connect-care-demo"


MALFORMED: Final[dict[str, tuple[dict[str, Any], tuple[str, ...]]]] = {
    "no client": ({}, ("client_id",)),
    "two clients": ({"azp": "another"}, ()),
    "a client with a line break": ({"client_id": "a\nb"}, ()),
    "a user id with a bar": ({"nhsid_useruid": "a|b"}, ()),
    "a user id that is a number": ({"nhsid_useruid": 555}, ()),
    "a user id that is a list": ({"nhsid_useruid": ["555"]}, ()),
    "no name": ({}, ("name",)),
    "a blank name": ({"name": "  "}, ()),
    "a name with control characters": ({"name": "A\u202eB"}, ()),
    "a name beyond all length": ({"name": "A" * 201}, ()),
    "roles that are an object": ({"nhsid_nrbac_roles": {}}, ()),
    "a role that is text": ({"nhsid_nrbac_roles": ["R8000"]}, ()),
    "a role without a code": ({"nhsid_nrbac_roles": [{"person_roleid": "1", "org_code": "RJ2"}]}, ()),
    "a code of another form": ({"nhsid_nrbac_roles": [profile("R8000:R8001")]}, ()),
    "a code with more after it": ({"nhsid_nrbac_roles": [profile("S8000:G8000:R8000\n")]}, ()),
    "a profile id with a bar": ({"nhsid_nrbac_roles": [profile() | {"person_roleid": "1|2"}]}, ()),
    "an organisation in small letters": ({"nhsid_nrbac_roles": [profile(org="rj2")]}, ()),
    "an organisation that is a path": ({"nhsid_nrbac_roles": [profile(org="../RJ2")]}, ()),
    "activities that are text": ({"nhsid_nrbac_roles": [profile(activity_codes="B0168")]}, ()),
    "activities that are numbers": ({"nhsid_nrbac_roles": [profile(activity_codes=[168])]}, ()),
    "a chosen role that is null": ({"selected_roleid": None}, ()),
    "scopes that are a list": ({"scope": ["openid"]}, ()),
    "scopes with a quote": ({"scope": 'a"b'}, ()),
    "a purpose that is a list": ({"purpose_of_use": ["TREAT"]}, ()),
    "an assurance that is a number": ({"acr": 3}, ()),
    "a time of sign-in that is text": ({"auth_time": "1"}, ()),
    "a time of sign-in that is true": ({"auth_time": True}, ()),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_claims_that_are_not_as_care_identity_writes_them(door: Door, name: str) -> None:
    claims, without = MALFORMED[name]
    with pytest.raises(NotSignedIn) as refused:
        await door.identify("gp", without=without, **claims)
    assert refused.value.rule == "token.claims"


async def test_no_token_and_a_token_in_another_place(door: Door) -> None:
    with pytest.raises(NotSignedIn) as refused:
        await door.callers.identify(Presented(()))
    assert refused.value.rule == "token.missing"


async def test_the_national_payload_of_a_real_issuer_is_read(door: Door, shared_data: Path) -> None:
    userinfo = json.loads((shared_data / "cis2" / "userinfo-simulated-auth.json").read_text())
    nurse = next(role for role in userinfo["nhsid_nrbac_roles"] if role["role_code"].endswith("R8001"))
    with pytest.raises(CallerRefused) as refused:
        await door.identify("gp", **userinfo, selected_roleid=nurse["person_roleid"])
    assert refused.value.rule == "caller.organisation-not-taking-part"
    assert refused.value.known.job_role_code == "R8001"
    assert refused.value.known.user_id == userinfo["nhsid_useruid"]
