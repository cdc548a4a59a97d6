"""What a line and the banner say: the source's words, nothing lost that would be dangerous to lose."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from gateway.web.words import NO_NAME, day, has_died, identity_of, line_of, moment, of_one_day

TODAY = date(2026, 5, 1)


@pytest.mark.parametrize(
    ("resource", "line"),
    [
        (
            {
                "resourceType": "AllergyIntolerance",
                "code": {"coding": [{"code": "1"}, {"display": "Penicillin"}]},
                "verificationStatus": {"coding": [{"code": "refuted"}]},
                "recordedDate": "2020-02",
            },
            "Penicillin · Feb-2020 · refuted",
        ),
        ({"resourceType": "Observation", "status": "final", "code": {"text": " Sodium "}}, "Sodium · final"),
        (
            {
                "resourceType": "MedicationStatement",
                "status": "not-taken",
                "medicationReference": {"display": "Aspirin 75 mg"},
                "effectivePeriod": {"start": "2021-12-31T23:59:00Z"},
            },
            "Aspirin 75 mg · 31-Dec-2021 · not-taken",
        ),
        ({"resourceType": "CareTeam", "name": "District nurses"}, "District nurses"),
        ({"resourceType": "Encounter", "type": [{}, {"text": "Visit"}], "period": {"end": "2020"}}, "Visit"),
        ({"resourceType": "Condition", "code": {"coding": "x"}, "clinicalStatus": "x"}, "x · x"),
        ({"resourceType": "Basic"}, NO_NAME),
    ],
)
def test_a_line(resource: dict[str, Any], line: str) -> None:
    assert line_of(resource) == line


def test_days_as_the_common_user_interface_writes_them() -> None:
    assert [day(one) for one in ("1961-03-12", "1961-03", "1961", "1961-13", "x")] == [
        "12-Mar-1961", "Mar-1961", "1961", "1961", "x",
    ]  # fmt: skip


PATIENT: dict[str, Any] = {
    "name": [{"text": "Old"}, {"use": "official", "family": "Smith", "given": ["Ann", "B"], "prefix": ["Mrs"]}],
    "birthDate": "1961-05-02",
    "gender": "female",
}


def test_the_banner_of_the_common_user_interface() -> None:
    assert identity_of(PATIENT, TODAY) == ["SMITH, Ann B (Mrs)", "Born 02-May-1961 (64y)", "Female"]
    assert identity_of({"name": [{"text": "Ann"}], "birthDate": "1961"}, TODAY) == ["Ann", "Born 1961"]
    assert identity_of({}, TODAY) == []


def test_who_has_died_has_no_age() -> None:
    dead = PATIENT | {"deceasedDateTime": "2024-04-03"}
    assert has_died(dead) == "Died 03-Apr-2024"
    assert has_died({"deceasedBoolean": True}) == "Died"
    assert has_died({"deceasedBoolean": False}) == ""
    assert "y)" not in str(identity_of(dead, TODAY))


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("1961-03-12", "12-Mar-1961"),
        ("2026", "2026"),
        ("2026-07-01T23:30:00Z", "02-Jul-2026 00:30"),
        ("2026-01-05T09:00:00.123+00:00", "05-Jan-2026 09:00"),
        ("2026-01-05T09:00", "05-Jan-2026 09:00"),
        ("2026-13-45T99:00:00Z", "2026-13-45T99:00:00Z"),
        ("soon", "soon"),
    ],
)
def test_moments_are_those_of_the_clock_on_the_wall(written: str, told: str) -> None:
    assert moment(written) == told


def test_a_period_of_one_day_names_it_once() -> None:
    assert of_one_day("from 11-Jan-2027 11:00 to 11-Jan-2027 11:30") == "11-Jan-2027 11:00 to 11:30"
    longer = "from 11-Jan-2027 11:00 to 12-Jan-2027 11:30"
    assert of_one_day(longer) == longer
