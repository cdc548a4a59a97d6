"""The CapabilityStatement tells the truth: all that it lists is taken, what it doesn't list is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.searchparameter import SearchParameter

from connectors.sdk.model import Section
from connectors.sdk.organisations import OrganisationType
from gateway.api.capability import Capabilities, OAuthAddresses, Published
from gateway.api.capability_resources import EVERYTHING, OPERATIONS
from gateway.api.consent_search import CONSENT
from gateway.api.usable import Usable
from gateway.caller.model import Caller, Role
from gateway.errors import NotSupported
from gateway.policy.model import Decision, Shown
from gateway.search.parse import parse
from gateway.search.supporting import INCLUDES, READABLE
from gateway.search.table import OFFERED, SHOWN_TYPES

PATIENT = "9990000018"
SOME = {Role.SOCIAL_WORKER: frozenset({Section.DEMOGRAPHICS, Section.ALLERGIES})}
VALUES = {
    "_count": "5",
    "_sort": "_id",
    "_summary": "true",
    "_elements": "id",
    "_total": "none",
    "_totalMethod": "count",
    "_format": "json",
    "_cursor": "abc",
    "_id": PATIENT,
    "birthdate": "1961-03-12",
    "patient": PATIENT,
    "identifier": f"https://fhir.nhs.uk/Id/nhs-number|{PATIENT}",
}
_R4_NAMES = """
_id _lastUpdated _text _content _list _has _type _query _filter _profile _security _source _tag _include patient subject
identifier code category status date class type intent authoredon effective onset-date recorded-date clinical-status
vaccine-code service-type service-category birthdate name family given encounter performer requester severity
criticality
"""


def capabilities(**changed: Any) -> Capabilities:
    seen = changed.pop("some", SOME)
    usable = Usable(
        changed.pop("offered", frozenset(Section)),
        lambda role, _: seen.get(role, frozenset()),
        lambda action, who: Decision(Shown.WHOLE if who.role in seen else Shown.WITHHELD, "a-rule", "Because."),
    )
    own = {name: changed.pop(name) for name in ("finds_people", "authored", "may") if name in changed}
    published = Published(
        public_base="https://connect-care.example/",
        version="0.1.0",
        released=datetime(2026, 5, 1, tzinfo=UTC),
        **changed,
    )
    return Capabilities(published, usable, **own)


def caller(role: Role, scopes: str = "") -> Caller:
    return Caller(
        issuer="https://id.example",
        user_id="1",
        name="A Person",
        role_profile_id="2",
        job_role_code="R",
        role=role,
        organisation="RJ2",
        organisation_name="A Trust",
        organisation_type=OrganisationType.ACUTE_TRUST,
        client_id="an-app",
        scopes=frozenset(scopes.split()),
    )


def types(made: Capabilities, who: Caller) -> list[str]:
    return list(resources(json.loads(made.document(who))))


@pytest.fixture(scope="module")
def statement() -> dict[str, Any]:
    return json.loads(capabilities().document())  # type: ignore[no-any-return]


def resources(statement: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {resource["type"]: resource for resource in statement["rest"][0].get("resource", [])}


def test_it_is_valid_and_says_what_clients_look_for(statement: dict[str, Any]) -> None:
    CapabilityStatement.model_validate(statement)
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["format"] == ["json", "application/fhir+json"]
    assert statement["implementation"]["url"] == "https://connect-care.example/fhir/R4"
    security = statement["rest"][0]["security"]
    assert security["service"][0]["coding"][0]["code"] == "OAuth"
    assert security["cors"] is False
    assert tuple(resources(statement)) == READABLE
    assert resources(statement)["Patient"]["operation"][0]["definition"] == EVERYTHING.definition
    for name, resource in resources(statement).items():
        searched = ["search-type"] if name in SHOWN_TYPES else []
        assert [one["code"] for one in resource["interaction"]] == ["read", *searched]
        assert "searchRevInclude" not in resource
        assert ("searchInclude" in resource) is (name in OFFERED)


def listed(statement: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {name: resource["searchParam"] for name, resource in resources(statement).items() if name in SHOWN_TYPES}


def test_includes_that_are_listed_are_taken_and_no_other(statement: dict[str, Any]) -> None:
    for resource_type in OFFERED:
        taken = resources(statement)[resource_type]["searchInclude"]
        for name in {*INCLUDES, "*", f"{resource_type}:patient", f"{resource_type}:*"}:
            pairs = [("patient", PATIENT), ("_include", name)]
            if name in taken:
                parse(resource_type, pairs)
            else:
                with pytest.raises(NotSupported):
                    parse(resource_type, pairs)


def test_all_that_is_listed_is_taken(statement: dict[str, Any]) -> None:
    for resource_type, params in listed(statement).items():
        needed = "identifier" if resource_type == "Patient" else "patient"
        for param in params:
            name = param["name"]
            value = VALUES.get(name) or {"date": "ge2024-05", "token": "http://x|y"}[param["type"]]
            alone = name in ("_cursor", needed)
            parse(resource_type, [(name, value)] if alone else [(needed, VALUES[needed]), (name, value)])


def test_all_that_is_not_listed_is_refused(statement: dict[str, Any]) -> None:
    for resource_type, params in listed(statement).items():
        taken = {param["name"] for param in params}
        for name in {*_R4_NAMES.split(), *VALUES} - taken - ({"_include"} if resource_type in OFFERED else set()):
            with pytest.raises(NotSupported):
                parse(resource_type, [(name, VALUES.get(name, "2024"))])


def test_names_that_r4_does_not_define_are_defined_here(statement: dict[str, Any]) -> None:
    contained = {one["id"]: one for one in statement["contained"]}
    used = set()
    for resource_type, params in listed(statement).items():
        for param in params:
            definition = param.get("definition", "")
            if definition.startswith("#"):
                own = contained[definition[1:]]
                SearchParameter.model_validate(own)
                assert (own["code"], own["base"]) == (param["name"], [resource_type])
                assert own["expression"].startswith(f"{resource_type}.")
                used.add(own["id"])
            else:
                assert definition.startswith("http://hl7.org/fhir/SearchParameter/") or param["type"] == "special"
    assert used == set(contained)
    assert contained["MedicationRequest-date"]["expression"] == "MedicationRequest.authoredOn"
    assert contained["MedicationStatement-date"]["expression"] == "MedicationStatement.effective"


def test_a_caller_is_shown_what_role_and_scopes_leave() -> None:
    made = capabilities()
    social_worker = caller(Role.SOCIAL_WORKER)
    assert types(made, social_worker) == ["Patient", "AllergyIntolerance", "Practitioner", "PractitionerRole"]
    assert types(made, caller(Role.SOCIAL_WORKER, "openid user/Patient.rs")) == ["Patient"]
    narrow = caller(Role.SOCIAL_WORKER, "user/AllergyIntolerance.rs user/Practitioner.rs user/Observation.rs")
    assert types(made, narrow) == ["AllergyIntolerance", "Practitioner"]
    assert types(made, caller(Role.COMMISSIONER)) == []
    assert made.document(caller(Role.COMMISSIONER)) is made.document(caller(Role.PRIVACY_OFFICER))


def test_what_no_connector_offers_is_not_listed() -> None:
    made = capabilities(offered=frozenset({Section.RESULTS}))
    statement = json.loads(made.document())
    who = ["Practitioner", "PractitionerRole", "Organization"]
    assert list(resources(statement)) == ["Observation", "DiagnosticReport", *who]
    assert "contained" not in statement


def test_why_somebody_can_use_a_type_or_not() -> None:
    usable = capabilities(offered=frozenset({Section.ALLERGIES, Section.RESULTS})).usable
    social_worker = caller(Role.SOCIAL_WORKER)
    assert usable.barred(social_worker, "AllergyIntolerance") is None
    assert usable.barred(social_worker, "AllergyIntolerance", "Observation") is None
    for kind, status, rule in (
        ("Encounter", 404, "type.not-offered"),
        ("Observation", 403, "type.not-for-role"),
        ("Location", 404, "type.not-offered"),
        ("Organization", 403, "type.not-for-role"),
    ):
        error = usable.barred(social_worker, kind)
        assert error is not None
        assert (error.status, error.rule) == (status, rule)
        assert kind in error.told
    for kind in ("AllergyIntolerance", "Practitioner"):
        error = usable.barred(caller(Role.SOCIAL_WORKER, "user/Patient.rs"), kind)
        assert error is not None
        assert (error.status, error.rule) == (403, "scope.type")
    assert usable.barred(caller(Role.COMMISSIONER), "Observation") is None, "the pipeline refuses them in its own words"


def test_sign_in_addresses_for_clients_that_read_them_here_only() -> None:
    oauth = OAuthAddresses("https://id.example/authorize", "https://id.example/token")
    (extension,) = json.loads(capabilities().document(oauth=oauth))["rest"][0]["security"]["extension"]
    assert {one["url"]: one["valueUri"] for one in extension["extension"]} == {
        "authorize": "https://id.example/authorize",
        "token": "https://id.example/token",
    }


def test_what_the_gateway_makes_of_its_own_records_is_listed_for_those_who_may_read_it() -> None:
    def officers(action: str, who: Caller) -> bool:
        return (action, who.role) == ("read-consents", Role.PRIVACY_OFFICER)

    made = capabilities(authored=(CONSENT,), may=officers)
    for who, expected in ((None, [*READABLE, "Consent"]), (caller(Role.PRIVACY_OFFICER), ["Consent"])):
        statement = json.loads(made.document(who))
        CapabilityStatement.model_validate(statement)
        assert list(resources(statement)) == expected
    assert "Consent" not in types(made, caller(Role.SOCIAL_WORKER))
    assert types(made, caller(Role.PRIVACY_OFFICER, "user/Patient.rs")) == []


def test_seeking_a_person_is_listed_for_those_who_may() -> None:
    def seekers(action: str, who: Caller) -> bool:
        return (action, who.role) == ("find-person", Role.SOCIAL_WORKER)

    made = capabilities(finds_people=True, may=seekers, some=SOME | {Role.GP: frozenset(Section)})
    for who, listed_ in ((None, True), (caller(Role.SOCIAL_WORKER), True), (caller(Role.GP), False)):
        patient = resources(json.loads(made.document(who)))["Patient"]
        assert ("family" in {one["name"] for one in patient["searchParam"]}) is listed_


def test_a_batch_and_the_compartment_are_listed_where_there_is_a_record_to_ask_for() -> None:
    made = capabilities(batch=True, operations=OPERATIONS)
    rest = json.loads(made.document())["rest"][0]
    assert rest["interaction"] == [{"code": "batch"}]
    assert rest["compartment"] == ["http://hl7.org/fhir/CompartmentDefinition/patient"]
    operations = resources(json.loads(made.document()))["Patient"]["operation"]
    assert [one["name"] for one in operations] == ["everything", "summary"]
    assert "compartment" not in json.loads(made.document(caller(Role.COMMISSIONER)))["rest"][0]
