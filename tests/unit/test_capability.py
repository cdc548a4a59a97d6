"""The CapabilityStatement tells the truth: all that it lists is taken, what it doesn't list is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.searchparameter import SearchParameter

from connectors.sdk.model import Section
from gateway.api.capability import EVERYTHING, Capabilities, OAuthAddresses
from gateway.api.consent_search import CONSENT
from gateway.caller.model import Role
from gateway.errors import NotSupported
from gateway.search.parse import parse
from gateway.search.table import SHOWN_TYPES

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
    given: dict[str, Any] = {
        "public_base": "https://connect-care.example/",
        "version": "0.1.0",
        "released": datetime(2026, 5, 1, tzinfo=UTC),
        "offered": frozenset(Section),
        "sections_for": lambda role: SOME.get(role, frozenset()),
        **changed,
    }
    return Capabilities(**given)


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
    assert tuple(resources(statement)) == SHOWN_TYPES
    assert resources(statement)["Patient"]["operation"][0]["definition"] == EVERYTHING
    for resource in resources(statement).values():
        assert [one["code"] for one in resource["interaction"]] == ["read", "search-type"]
        assert "searchInclude" not in resource
        assert "searchRevInclude" not in resource


def listed(statement: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {name: resource["searchParam"] for name, resource in resources(statement).items()}


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
        for name in {*_R4_NAMES.split(), *VALUES} - taken:
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


def test_a_role_is_shown_its_own_sections_only() -> None:
    made = capabilities()
    assert tuple(resources(json.loads(made.document(Role.SOCIAL_WORKER)))) == ("Patient", "AllergyIntolerance")
    assert resources(json.loads(made.document(Role.COMMISSIONER))) == {}
    assert made.document(Role.COMMISSIONER) is made.document(Role.COMMISSIONER)


def test_what_no_connector_offers_is_not_listed() -> None:
    made = capabilities(offered=frozenset({Section.RESULTS}))
    statement = json.loads(made.document())
    assert tuple(resources(statement)) == ("Observation", "DiagnosticReport")
    assert "contained" not in statement


def test_sign_in_addresses_for_clients_that_read_them_here_only() -> None:
    oauth = OAuthAddresses("https://id.example/authorize", "https://id.example/token")
    (extension,) = json.loads(capabilities(oauth=oauth).document())["rest"][0]["security"]["extension"]
    assert {one["url"]: one["valueUri"] for one in extension["extension"]} == {
        "authorize": "https://id.example/authorize",
        "token": "https://id.example/token",
    }


def test_what_the_gateway_makes_of_its_own_records_is_listed_for_those_who_may_read_it() -> None:
    def officers(action: str, role: Role) -> bool:
        return (action, role) == ("read-consents", Role.PRIVACY_OFFICER)

    made = capabilities(authored=(CONSENT,), may_read=officers)
    for role, expected in ((None, [*SHOWN_TYPES, "Consent"]), (Role.PRIVACY_OFFICER, ["Consent"])):
        statement = json.loads(made.document(role))
        CapabilityStatement.model_validate(statement)
        assert list(resources(statement)) == expected
    assert "Consent" not in resources(json.loads(made.document(Role.SOCIAL_WORKER)))
    assert resources(json.loads(made.document(Role.COMMISSIONER))) == {}
