"""SMART scopes narrow what a role may see, and never widen it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sdk.model import SECTION_OF_TYPE
from gateway.caller.scopes import lets_read, types_allowed

ALL = frozenset(SECTION_OF_TYPE)


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
        ("user/Observation.read user/Condition.rs?category=problem-list-item", {"Observation"}),
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
    assert lets_read(frozenset(scopes), "AuditEvent") is reads
