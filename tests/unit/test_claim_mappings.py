"""Many issuers at once, each read by its own mapping: Care Identity, Keycloak, an EHR supplier's own assertion."""

from __future__ import annotations

from typing import Any, Final

import pytest
from pydantic import ValidationError

from gateway.caller.identify import Callers
from gateway.caller.keys import Keys
from gateway.caller.model import Caller, Role
from gateway.caller.pointer import check_pointer, found_at
from gateway.caller.presented import Presented
from gateway.caller.refusals import CallerRefused
from gateway.caller.roles import load_job_roles
from gateway.caller.settings import IssuerSettings
from gateway.demo.identity import Demo
from gateway.errors import NotSignedIn
from tests.callers import JOB_ROLES, REGISTER
from tests.marks import no_guards

AUDIENCE: Final = "connect-care"
NOW: Final = 1_800_000_000
ASSERTION: Final = {"typ": "user-assertion+jwt"}


class Issuer:
    """One issuer of a kind, and a gateway that knows it alone."""

    def __init__(self, claims: Any, **more: Any) -> None:
        self.demo = Demo("https://issuer.test/demo", AUDIENCE, clock=lambda: NOW)
        self.settings = IssuerSettings(
            issuer=self.demo.issuer, audience=AUDIENCE, algorithms=("ES256",), claims=claims, **more
        )
        keys = Keys([self.settings], self.demo.fetch, allow_demo=True)
        self.callers = Callers(
            [self.settings], keys, REGISTER, load_job_roles(JOB_ROLES), clock=lambda: NOW, guards=no_guards()
        )

    async def identify(self, claims: dict[str, Any], header: dict[str, Any] | None = None) -> Caller:
        said = {"iss": self.demo.issuer, "aud": AUDIENCE, "iat": NOW, "exp": NOW + 300, "jti": "j1", **claims}
        return await self.callers.identify(Presented.bearing(self.demo.sign(said, header=header)))

    async def refusal(self, claims: dict[str, Any], header: dict[str, Any] | None = None) -> str:
        with pytest.raises((NotSignedIn, CallerRefused)) as refused:
            await self.identify(claims, header)
        return refused.value.rule


KEYCLOAK: Final[dict[str, Any]] = {
    "sub": "0f6c2a5e-7a7e-4a3e-9a53-0d9f6a1b2c3d",
    "azp": "ward-viewer",
    "aud": ["account", AUDIENCE],
    "name": "Kwame Thornbury",
    "preferred_username": "kwame.thornbury",
    "scope": "openid user/*.rs",
    "acr": "1",
    "realm_access": {"roles": ["offline_access", "RJ2.R8000", "uma_authorization"]},
}


@pytest.fixture(scope="module")
def keycloak() -> Issuer:
    return Issuer("keycloak")


async def test_keycloak_names_roles_in_its_realm(keycloak: Issuer) -> None:
    caller = await keycloak.identify(KEYCLOAK)
    assert (caller.role, caller.organisation, caller.job_role_code) == (Role.HOSPITAL_DOCTOR, "RJ2", "R8000")
    assert (caller.user_id, caller.client_id, caller.role_profile_id) == (KEYCLOAK["sub"], "ward-viewer", "RJ2.R8000")


async def test_keycloak_names_roles_of_this_gateway_as_its_client(keycloak: Issuer) -> None:
    of_client = {"resource_access": {AUDIENCE: {"roles": ["G85005.R8000"]}, "account": {"roles": ["RJ2.R8001"]}}}
    caller = await keycloak.identify({**KEYCLOAK, "realm_access": {"roles": []}, **of_client})
    assert (caller.role, caller.organisation) == (Role.GP, "G85005")
    both = {**KEYCLOAK, **of_client}
    assert await keycloak.refusal(both) == "caller.choose-one-role"
    assert (await keycloak.identify({**both, "selected_roleid": "RJ2.R8000"})).role is Role.HOSPITAL_DOCTOR
    assert await keycloak.refusal({**both, "selected_roleid": "RJ2.R8001"}) == "caller.role-not-held"


async def test_keycloak_may_map_attributes_to_the_national_claims(keycloak: Issuer) -> None:
    role = {"person_roleid": "555000111222", "org_code": "RJ2", "role_code": "S8000:G8000:R8001"}
    caller = await keycloak.identify(
        {**KEYCLOAK, "nhsid_nrbac_roles": [role], "realm_access": {"roles": ["RJ2.R8000"]}}
    )
    assert (caller.role, caller.role_profile_id) == (Role.NURSE, "555000111222")
    assert (await keycloak.identify({**KEYCLOAK, "nhsid_useruid": "555111222333"})).user_id == "555111222333"


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"realm_access": {"roles": ["offline_access"]}}, "caller.no-role"),
        ({"realm_access": {"roles": ["XRJ2.R8000 ", "rj2.R8000", "RJ2:R8000", "RJ2.R80000"]}}, "caller.no-role"),
        ({"preferred_username": "service-account-loader"}, "caller.not-a-person"),
        ({"azp": KEYCLOAK["sub"]}, "caller.not-a-person"),
        ({"realm_access": {"roles": "RJ2.R8000"}}, "token.claims"),
        ({"realm_access": ["RJ2.R8000"]}, "token.claims"),
        ({"resource_access": {AUDIENCE: []}}, "token.claims"),
        ({"realm_access": {"roles": ["RJ2.R8000", {"org_code": "RJ2"}]}}, "token.claims"),
        ({"client_id": "another"}, "token.claims"),
        ({"patient": 9990000409}, "token.claims"),
        ({"name": None}, "token.claims"),
    ],
)
async def test_what_keycloak_may_not_say(keycloak: Issuer, more: dict[str, Any], rule: str) -> None:
    assert await keycloak.refusal({**KEYCLOAK, **more}) == rule


async def test_a_keycloak_token_of_another_type_is_none(keycloak: Issuer) -> None:
    assert await keycloak.refusal(KEYCLOAK, {"typ": "JWT"}) == "token.type"
    assert await keycloak.refusal(KEYCLOAK, ASSERTION) == "token.type"


async def test_places_override_a_preset_and_nothing_else_is_looked_at_then() -> None:
    places = {"roles": "/staff/jobs", "user_id": "/staff/number", "selected_role": "/staff/on~1duty", "purpose": "/why"}
    in_role = {"role_id": "/key", "organisation": "/at/0", "role_code": "/code"}
    issuer = Issuer({"preset": "keycloak", "at": places, "in_role": in_role})
    jobs = [{"key": "a", "at": ["RJ2"], "code": "R8001"}, {"key": "b", "at": ["G85005"], "code": "R8000"}]
    claims = {**KEYCLOAK, "why": "ETREAT", "staff": {"jobs": jobs, "number": "n-1", "on/duty": "b"}}
    caller = await issuer.identify(claims)
    assert (caller.role, caller.user_id, caller.purpose) == (Role.GP, "n-1", "ETREAT")
    without = {**claims, "staff": {"number": "n-1"}, "selected_roleid": "RJ2.R8000"}
    assert await issuer.refusal(without) == "caller.no-role"
    assert await issuer.refusal({**claims, "staff": {"jobs": jobs}}) == "caller.not-a-person"
    assert await issuer.refusal({**claims, "staff": {"jobs": [{"key": "a"}], "number": "n-1"}}) == "token.claims"


async def test_one_role_may_stand_flat_in_the_token() -> None:
    in_role = {"role_id": "/employee", "organisation": "/ods", "role_code": "/job"}
    issuer = Issuer({"preset": "keycloak", "at": {"roles": ""}, "in_role": in_role})
    caller = await issuer.identify({**KEYCLOAK, "employee": "77", "ods": "RJ2", "job": "R8001"})
    assert (caller.role, caller.role_profile_id) == (Role.NURSE, "77")


@pytest.mark.parametrize("wrong", ["roles", "/a~2", "/a~", "/\n", "/" + "a" * 600])
def test_a_place_that_is_no_json_pointer_stops_start_up(wrong: str) -> None:
    with pytest.raises(ValueError, match="JSON Pointer"):
        check_pointer(wrong)
    with pytest.raises(ValidationError):
        Issuer({"preset": "keycloak", "at": {"roles": wrong}})


def test_json_pointers_find_what_rfc_6901_says() -> None:
    document = {"a/b": {"m~n": [1, {"": 2}]}, "": 3}
    assert found_at(document, "") is document
    assert found_at(document, "/a~1b/m~0n/1/") == 2
    assert found_at(document, "/") == 3
    for nowhere in ("/x", "/a~1b/m~0n/01", "/a~1b/m~0n/2", "/a~1b/m~0n/-", "/ /x"):
        with pytest.raises(LookupError):
            found_at(document, nowhere)


@pytest.mark.parametrize("wrong", ["okta", {"preset": "keycloak", "at": {"iss": "/x"}}, {"roles": "/x"}])
def test_a_mapping_that_nobody_knows_stops_start_up(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        Issuer(wrong)


def practitioner(**more: Any) -> dict[str, Any]:
    identifier = [
        {"system": "https://fhir.nhs.uk/Id/sds-user-id", "value": "555111222333"},
        {"system": "https://fhir.nhs.uk/Id/sds-role-profile-id", "value": "555444555666"},
        {"system": "https://supplier.test/Id/user", "value": "local-9"},
    ]
    job = {
        "coding": [{"system": "https://fhir.hl7.org.uk/STU3/CodeSystem/CareConnect-SDSJobRoleName-1", "code": "R8000"}]
    }
    return {
        "resourceType": "Practitioner",
        "id": "local-9",
        "identifier": identifier,
        "name": [{"family": "Ashworth", "given": ["Meera", "J"], "prefix": ["Dr"]}],
        "extension": [
            {
                "url": "https://fhir.nhs.uk/STU3/StructureDefinition/Extension-GPConnect-PractitionerRole-1",
                "valueCodeableConcept": job,
            }
        ],
        **more,
    }


def assertion(**more: Any) -> dict[str, Any]:
    """A supplier's assertion, as GP Connect's consumers write theirs, and signed."""
    return {
        "sub": "local-9",
        "reason_for_request": "directcare",
        "requested_scope": "user/*.rs",
        "requesting_practitioner": practitioner(),
        "requesting_organization": {
            "resourceType": "Organization",
            "identifier": [{"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": "G85005"}],
        },
        **more,
    }


@pytest.fixture(scope="module")
def supplier() -> Issuer:
    return Issuer("ehr-assertion", organisations=("G85005",))


async def test_a_suppliers_assertion_says_who_asks(supplier: Issuer) -> None:
    caller = await supplier.identify(assertion(acr="AAL3", auth_time=NOW), ASSERTION)
    assert (caller.role, caller.organisation, caller.purpose) == (Role.GP, "G85005", "TREAT")
    assert (caller.user_id, caller.role_profile_id) == ("555111222333", "555444555666")
    assert (caller.name, caller.client_id) == ("ASHWORTH Meera Dr", "https://issuer.test/demo")
    assert (caller.scopes, caller.acr, caller.auth_time) == (frozenset({"user/*.rs"}), "AAL3", NOW)


async def test_an_emergency_and_own_scopes_are_said_beside(supplier: Issuer) -> None:
    caller = await supplier.identify(
        assertion(purpose_of_use="ETREAT", scope="user/Patient.rs", client_id="ed-app"), ASSERTION
    )
    assert (caller.purpose, caller.scopes, caller.client_id) == ("ETREAT", {"user/Patient.rs"}, "ed-app")


async def test_who_has_no_smartcard_is_told_apart_by_the_suppliers_own_id(supplier: Issuer) -> None:
    unknown = [
        {"system": "https://fhir.nhs.uk/Id/sds-user-id", "value": "UNK"},
        {"system": "https://fhir.nhs.uk/Id/sds-role-profile-id", "value": "UNK"},
    ]
    caller = await supplier.identify(assertion(requesting_practitioner=practitioner(identifier=unknown)), ASSERTION)
    assert (caller.user_id, caller.role_profile_id) == ("local-9", "G85005.R8000")


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"exp": NOW + 301}, "token.life"),
        ({"exp": NOW}, "token.expired"),
        ({"iat": NOW - 600, "exp": NOW - 300}, "token.expired"),
        ({"jti": ""}, "token.claims"),
        ({"jti": None}, "token.claims"),
        ({"aud": "https://practice.test/fhir"}, "token.audience"),
        ({"iss": "https://another.test"}, "token.issuer"),
        ({"sub": "local-8"}, "token.claims"),
        ({"sub": "UNK", "requesting_practitioner": practitioner(id="UNK")}, "token.claims"),
        ({"requesting_practitioner": None}, "token.claims"),
        ({"requesting_practitioner": "Dr A"}, "token.claims"),
        ({"requesting_practitioner": practitioner(name=[])}, "token.claims"),
        ({"requesting_practitioner": practitioner(extension=[])}, "token.claims"),
        ({"requesting_practitioner": practitioner(extension="R8000")}, "token.claims"),
        ({"requesting_organization": {}}, "token.claims"),
        ({"requesting_organization": {"identifier": {"value": "G85005"}}}, "token.claims"),
        ({"reason_for_request": "secondaryuses"}, "caller.purpose"),
        ({"reason_for_request": None}, "caller.purpose"),
        ({"purpose_of_use": "HRESCH"}, "caller.purpose"),
        ({"client_id": "local-9"}, "caller.not-a-person"),
    ],
)
async def test_what_a_suppliers_assertion_may_not_be(supplier: Issuer, more: dict[str, Any], rule: str) -> None:
    assert await supplier.refusal(assertion(**more), ASSERTION) == rule


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", None])
async def test_an_assertion_is_typed_as_one(supplier: Issuer, typ: str | None) -> None:
    assert await supplier.refusal(assertion(), {"typ": typ}) == "token.type"


async def test_a_supplier_speaks_for_the_staff_of_its_own_organisations_alone(supplier: Issuer) -> None:
    elsewhere = {"identifier": [{"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": "RJ2"}]}
    with pytest.raises(CallerRefused) as refused:
        await supplier.identify(assertion(requesting_organization=elsewhere), ASSERTION)
    assert refused.value.rule == "caller.organisation-of-another"
    assert refused.value.known.organisation == "RJ2"
    with pytest.raises(ValidationError, match="organisations is missing"):
        Issuer("ehr-assertion")
    with pytest.raises(ValidationError, match="userinfo"):
        Issuer("keycloak", userinfo_uri="https://issuer.test/userinfo")


async def test_two_identifiers_of_one_system_are_neither(supplier: Issuer) -> None:
    twice = practitioner()["identifier"]
    doubled = [*twice, {"system": "https://fhir.nhs.uk/Id/sds-user-id", "value": "555999999999"}]
    caller = await supplier.identify(assertion(requesting_practitioner=practitioner(identifier=doubled)), ASSERTION)
    assert caller.user_id == "local-9"
