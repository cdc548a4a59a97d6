"""SMART scopes narrow what a role may see, and never widen it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sdk.model import SECTION_OF_TYPE
from gateway.caller.scopes import Grants, read_scopes

ALL = frozenset(SECTION_OF_TYPE)
LAB = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"


def types_allowed(scopes: frozenset[str]) -> frozenset[str] | None:
    return read_scopes(scopes).types()


def grants(*scopes: str) -> Grants:
    return read_scopes(frozenset(scopes))


def nothing(_: str) -> None:
    return None


def observation(category: str = LAB, **more: Any) -> dict[str, Any]:
    system, _, code = category.partition("|")
    return {"resourceType": "Observation", "category": [{"coding": [{"system": system, "code": code}]}], **more}


@pytest.mark.parametrize("scopes", ["", "openid profile", "openid fhirUser launch launch/patient offline_access"])
def test_without_a_scope_for_resources_there_is_no_bound(scopes: str) -> None:
    assert types_allowed(frozenset(scopes.split())) is None


@pytest.mark.parametrize(
    "scopes",
    [
        "user/*.read",
        "user/*.*",
        "user/*.rs",
        "user/*.cruds",
        "patient/*.read",
        "patient/*.crus",
        "user/*.r patient/*.s openid",
    ],
)
def test_a_wildcard_allows_what_there_is(scopes: str) -> None:
    assert types_allowed(frozenset(scopes.split())) == ALL


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        ("user/Observation.read", {"Observation"}),
        ("patient/Observation.rs openid", {"Observation"}),
        ("user/Observation.*", {"Observation"}),
        ("user/Observation.r user/Observation.s", {"Observation"}),
        ("user/*.r user/Observation.s", {"Observation"}),
        ("user/Observation.read patient/Condition.cruds", {"Observation", "Condition"}),
        ("user/Observation.read user/Practitioner.read user/Nonsense.read", {"Observation"}),
        ("user/Observation.read user/Condition.write", {"Observation"}),
        ("user/Observation.read system/*.read", {"Observation"}),
        ("user/Observation.read user/Condition.rs?category=problem-list-item", {"Observation", "Condition"}),
        ("user/Observation.r?category=a user/Observation.s?category=b", {"Observation"}),
        ("user/Observation.rs?category=a user/Condition.r?category=b", {"Observation"}),
        ("user/Observation.read user/*.rx", {"Observation"}),
    ],
)
def test_only_what_is_granted_for_reading_and_searching_is_allowed(scopes: str, allowed: set[str]) -> None:
    assert types_allowed(frozenset(scopes.split())) == frozenset(allowed)


@pytest.mark.parametrize(
    "scope",
    [
        "system/*.read",
        "system/*.rs",
        "user/*.write",
        "user/*.r",
        "user/*.s",
        "user/*.cud",
        "user/*.",
        "user/*",
        "user/",
        "user/.read",
        "user/*.sr",
        "user/*.rrs",
        "user/*.READ",
        "User/*.read",
        "PATIENT/*.rs",
        "user/observation.read",
        "user/*.rs?category=x",
        "user/Observation.rs?",
        "user/Observation.rs?category",
        "user/Observation.rs?category=",
        "user/Observation.rs?=laboratory",
        "user/Observation.rs?category=laboratory&",
        "user/Observation.rs?category=laboratory&category=vital-signs",
        "user/Observation.rs?category:in=laboratory",
        "user/Observation.rs?category:not=laboratory",
        "user/Observation.rs?subject.name=smith",
        "user/Observation.rs?subject:Patient.name=smith",
        "user/Observation.rs?_has:Provenance:target:agent=x",
        "user/Observation.rs?_include=Observation:performer",
        "user/Observation.rs?category=laboratory&_include=Observation:performer",
        "user/Observation.rs?_id=abc",
        "user/Observation.rs?_id=Observation/abc",
        "user/Observation.rs?_lastUpdated=ge2020",
        "user/Observation.rs?patient=9990000409",
        "user/Observation.rs?_security=N",
        "user/Observation.rs?_filter=x",
        "user/Observation.rs?class=AMB",
        "user/Observation.rs?date=yesterday",
        "user/Observation.rs?category=a|b|c",
        "user/Observation.rs?category=%zz",
        "user/Observation.rs?category=%ff",
        "user/Observation.rs?category=a,,b",
        "user/Patient.rs?birthdate=1961-03-12",
        "user/Practitioner.rs?name=x",
        "user/Observation.cud?category=laboratory",
        "user/*?.rs",
        "user/*.read\n",
        "user/**.read",
        "user/Observation,Condition.read",
        "patient/../user/*.read",
    ],
)
def test_a_scope_that_is_not_supported_or_not_well_formed_grants_nothing(scope: str) -> None:
    assert types_allowed(frozenset({scope})) == frozenset()
    assert types_allowed(frozenset({scope, "openid"})) == frozenset()


@given(st.frozensets(st.from_regex(r"(user|patient|system)/[ -~]{0,20}", fullmatch=True), min_size=1))
def test_a_token_with_scopes_for_resources_is_always_bounded(scopes: frozenset[str]) -> None:
    allowed = types_allowed(scopes)
    assert allowed is not None
    assert allowed <= ALL


@pytest.mark.parametrize(
    ("scopes", "reads"),
    [
        ({"openid"}, True),
        ({"user/AuditEvent.rs"}, True),
        ({"user/AuditEvent.r", "user/AuditEvent.s"}, True),
        ({"user/*.read"}, True),
        ({"user/AuditEvent.r"}, False),
        ({"user/Observation.rs"}, False),
        ({"system/AuditEvent.rs"}, False),
    ],
)
def test_types_outside_the_record_are_bounded_as_well(scopes: set[str], reads: bool) -> None:
    assert read_scopes(frozenset(scopes)).lets_read("AuditEvent") is reads


def test_a_granular_scope_lets_through_what_its_own_search_would_find() -> None:
    some = grants(f"user/Observation.rs?category={LAB}")
    assert some.types() == {"Observation"}
    assert some.admits(observation(), nothing)
    assert some.admits(observation(LAB.upper().replace(LAB.upper().partition("|")[0], LAB.partition("|")[0])), nothing)
    for other in ("http://example.org|laboratory", LAB.replace("laboratory", "vital-signs"), "|laboratory"):
        assert not some.admits(observation(other), nothing)
    assert not some.admits({"resourceType": "Observation"}, nothing)
    assert not some.admits({"resourceType": "Condition"}, nothing)


def test_granular_scopes_add_up_and_a_whole_one_makes_the_type_whole() -> None:
    vital = LAB.replace("laboratory", "vital-signs")
    both = grants(f"user/Observation.rs?category={LAB}", "user/Observation.rs?category=vital-signs")
    assert both.admits(observation(), nothing)
    assert both.admits(observation(vital), nothing)
    assert not both.admits(observation("|survey"), nothing)
    whole = grants(f"user/Observation.rs?category={LAB}", "user/Observation.rs")
    assert whole.narrowed("Observation") is None
    assert whole.lets_read_whole("Observation")
    assert whole.admits(observation("|survey"), nothing)
    assert grants(f"user/Observation.rs?category={LAB}", "user/*.read").narrowed("Observation") is None


def test_all_parameters_of_one_scope_must_hold_and_any_of_their_alternatives() -> None:
    some = grants("user/Observation.rs?category=laboratory,vital-signs&status=final")
    assert some.admits(observation(status="final"), nothing)
    assert not some.admits(observation(status="amended"), nothing)
    assert not some.admits(observation("|survey", status="final"), nothing)
    dated = grants("user/Observation.rs?date=ge2020")
    assert dated.admits(observation(effectiveDateTime="2021-05-01"), nothing)
    assert not dated.admits(observation(effectiveDateTime="2019-05-01"), nothing)


def test_percent_encoding_is_read_as_the_search_reads_it() -> None:
    some = grants(
        "user/Observation.rs?category=http%3A%2F%2Fterminology.hl7.org%2FCodeSystem%2Fobservation-category%7Claboratory"
    )
    assert some.admits(observation(), nothing)
    assert not some.admits(observation("|laboratory"), nothing)


def test_reading_and_searching_may_come_from_two_scopes_that_both_hold() -> None:
    some = grants("user/*.r", "user/Observation.s?category=laboratory")
    assert some.types() == {"Observation"}
    assert some.admits(observation(), nothing)
    assert not some.admits(observation("|survey"), nothing)
    apart = grants("user/Observation.r?category=laboratory", "user/Observation.s?category=survey")
    assert not apart.admits(observation(), nothing)
    assert not apart.admits(observation("|survey"), nothing)


def test_a_medicine_is_followed_to_what_codes_it() -> None:
    some = grants("user/MedicationRequest.rs?code=http://snomed.info/sct|318135008")
    request = {"resourceType": "MedicationRequest", "medicationReference": {"reference": "Medication/m"}}
    medication = {
        "resourceType": "Medication",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "318135008"}]},
    }
    assert some.admits(request, lambda reference: medication if reference == "Medication/m" else None)
    assert not some.admits(request, nothing)


def test_what_a_token_lets_its_client_read_is_said_in_its_own_words() -> None:
    assert grants("openid").said() is None
    assert grants("user/Observation.rs?_include=x").said() == "nothing"
    said = grants("user/Condition.rs", "user/Observation.rs?category=b", "user/Observation.rs?category=a").said()
    assert said == "Condition, Observation (only category=a or category=b)"
    narrowed = grants("user/Observation.rs?category=a").narrowed("Observation")
    assert [part.said for part in narrowed or ()] == ["category=a"]
    assert grants("user/Observation.rs").narrowed("Condition") == ()


@pytest.mark.parametrize(
    "scopes",
    ["patient/*.rs", "patient/Observation.rs user/*.rs", "patient/*.rs?_include=x user/*.rs", "PATIENT/x user/*.rs"],
)
def test_a_patient_scope_binds_the_whole_token_to_the_patient_in_context(scopes: str) -> None:
    held = replace(grants(*scopes.split()), patient="9990000409")
    assert held.in_context
    assert held.is_about("9990000409")
    assert not held.is_about("9990000476")
    assert not replace(held, patient=None).is_about("9990000409")


def test_a_token_without_patient_scopes_is_about_anybody() -> None:
    assert grants("user/*.rs", "launch/patient").is_about("9990000409")
    assert grants("openid").is_about("9990000409")
