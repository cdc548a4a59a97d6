"""What a line and the banner say: the source's words, nothing lost that would be dangerous to lose."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from connectors.sdk.model import Section
from gateway.web import page, viewer
from gateway.web.words import NO_NAME, day, has_died, identity_of, line_of

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


HOSTILE = "<script>alert(1)</script>\"'&"


def test_whatever_a_source_wrote_is_escaped() -> None:
    frame = viewer.Frame(HOSTILE, "9990000409", True, HOSTILE)
    resource = {"resourceType": "Condition", "code": {"text": HOSTILE}}
    patient = {"resourceType": "Patient", "name": [{"family": HOSTILE, "given": [HOSTILE]}], "gender": HOSTILE}
    lines = [
        viewer.Line(Section.PROBLEMS, resource, HOSTILE),
        viewer.Line(Section.DEMOGRAPHICS, patient | {"deceasedBoolean": True}, HOSTILE),
    ]
    opened = viewer.Opened(
        lines, [(True, HOSTILE)], frozenset(Section), {Section.RESULTS: (HOSTILE,)}, patient | {"deceasedBoolean": True}
    )
    pages = [
        viewer.record(frame, opened, TODAY), viewer.ask(frame), viewer.said_no(frame),
        viewer.refused(frame, HOSTILE, HOSTILE), page.problem(HOSTILE, HOSTILE), page.page(HOSTILE, []),
    ]  # fmt: skip
    for one in pages:
        assert b"<script" not in one
        assert b"alert(1)&lt;/" in one
        assert b'""' not in one.replace(b'class=""', b"")


def test_an_empty_section_says_why() -> None:
    opened = viewer.Opened([], [], frozenset({Section.RESULTS, Section.ALLERGIES}), {Section.RESULTS: ("RJ2",)}, None)
    told = viewer.record(viewer.Frame("x", "9990000409", False, "c"), opened, TODAY).decode()
    assert "May be incomplete: RJ2 could not be read whole." in told
    assert "Nothing could be read." in told
    assert "Nothing is shown to you here by those who answered." in told
    assert "In context: NHS No. 999 000 0409" in told
    assert "Medicines" not in told
