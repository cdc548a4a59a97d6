"""`$everything` with a range: dates of care, what changed since, and what a reader is told of either."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import BadRequest, GatewayError
from gateway.search import find
from gateway.search.care import CARE_DATES, care_span
from gateway.search.dates import END
from gateway.search.everything import pairs_of_parameters, parse_everything
from gateway.search.query import Query
from gateway.search.table import OFFERED
from gateway.search.told import limits

PATIENT = "9990000018"


class Held:
    def __init__(self, resource: dict[str, Any]) -> None:
        self.resource = resource


def asked(*pairs: tuple[str, str], **more: Any) -> Query:
    query = parse_everything(PATIENT, pairs, **more)
    assert isinstance(query, Query)
    return query


def found(query: Query, *resources: dict[str, Any]) -> list[str]:
    return [held.resource["id"] for held in find(query, [Held(one) for one in resources])]


def one(kind: str, id_: str, **elements: Any) -> dict[str, Any]:
    return {"resourceType": kind, "id": id_, **elements}


RECORD = (
    one("Patient", "who", meta={"lastUpdated": "2019-01-01T00:00:00Z"}),
    one("AllergyIntolerance", "old-allergy", recordedDate="1998-05-01", meta={"lastUpdated": "2024-03-01T09:00:00Z"}),
    one("Condition", "old-and-standing", onsetDateTime="2001"),
    one("Condition", "old-and-over", onsetDateTime="2001", abatementDateTime="2003-02"),
    one("Condition", "over-who-knows-when", onsetDateTime="2001", abatementString="as a child"),
    one("MedicationStatement", "still-taken", status="active", effectivePeriod={"start": "2015-01-01"}),
    one("MedicationStatement", "taken-once", status="completed", effectiveDateTime="2015-01-01"),
    one("MedicationRequest", "repeat", status="active", authoredOn="2016-01-01"),
    one("MedicationRequest", "stopped", status="stopped", authoredOn="2016-01-01"),
    one(
        "Observation", "result", effectiveDateTime="2024-02-29T10:00:00Z", meta={"lastUpdated": "2024-03-01T10:00:00Z"}
    ),
    one("Observation", "issued-only", issued="2016-06-01T10:00:00Z"),
    one("Observation", "undated"),
    one("Encounter", "stay", period={"start": "2023-12-28", "end": "2024-01-04"}),
    one("Appointment", "seen", start="2016-05-01T09:00:00Z", end="2016-05-01T09:10:00Z"),
    one("CareTeam", "team", period={"start": "2014"}),
    one("Immunization", "jab", occurrenceDateTime="2012-10-01"),
    one("Immunization", "jab-in-words", occurrenceString="last winter"),
    one("DiagnosticReport", "malformed", effectiveDateTime="the other day", issued=7),
)
ALWAYS = {"who", "undated", "jab-in-words", "malformed"}
STANDING = {"old-allergy", "old-and-standing", "over-who-knows-when", "still-taken", "repeat", "team"}


def test_a_range_of_care_keeps_what_stands_and_what_has_no_date() -> None:
    this_year = set(found(asked(("start", "2024-01-01")), *RECORD))
    assert this_year == ALWAYS | STANDING | {"result", "stay"}
    assert set(found(asked(("end", "2000")), *RECORD)) == ALWAYS | {"old-allergy"}
    in_2016 = set(found(asked(("start", "2016"), ("end", "2016")), *RECORD))
    assert in_2016 == ALWAYS | STANDING | {"stopped", "issued-only", "seen"}
    assert "old-and-over" in found(asked(("start", "2003-02-28"), ("end", "2003-03")), *RECORD)
    assert set(found(asked(), *RECORD)) == {one["id"] for one in RECORD}


def test_since_keeps_the_patient_and_what_does_not_say_when_it_changed() -> None:
    kept = set(found(asked(("_since", "2024-03-01T09:30:00Z")), *RECORD))
    assert {one["id"] for one in RECORD} - kept == {"old-allergy"}
    assert "old-allergy" in found(asked(("_since", "2024-03-01T09:00:00Z")), *RECORD)


def test_an_end_is_never_before_its_beginning() -> None:
    held = one("MedicationRequest", "x", status="completed", authoredOn="2024-03-01")
    held["dispenseRequest"] = {"validityPeriod": {"start": "2020", "end": "2021"}}
    span, authored = (
        care_span(held),
        care_span(one("MedicationRequest", "x", status="stopped", authoredOn="2024-03-01")),
    )
    assert span == authored
    standing = care_span(one("AllergyIntolerance", "x", onsetPeriod={"start": "2001", "end": "2002"}))
    assert standing is not None
    assert standing.high == END
    assert care_span(one("Medication", "x")) is None


def test_every_searchable_type_has_its_date_of_care() -> None:
    assert set(CARE_DATES) == set(OFFERED)


@pytest.mark.parametrize(
    "pairs",
    [
        [("start", "2024"), ("end", "2023")],
        [("start", "ge2024")],
        [("end", "tomorrow")],
        [("_since", "2024-02-30")],
        [("_since", "")],
        [("start", "2024"), ("start", "2024")],
    ],
)
def test_a_range_that_is_none_is_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_everything(PATIENT, pairs)
    assert "2024-02-30" not in caught.value.told


def test_what_limits_the_answer_is_told() -> None:
    assert list(limits(asked())) == []
    care, since, types = limits(asked(("start", "2024-01"), ("_since", "2023"), ("_type", "Observation,Condition")))
    assert "start 2024-01" in care
    assert "gives no date" in care
    assert "2023" in since
    assert types == "Limited to these types: Condition, Observation."


def test_the_parameters_of_a_body_are_those_of_the_address() -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_type", "valueCode": "Observation"},
            {"name": "_count", "valueInteger": 10},
            {"name": "start", "valueDate": "2024-01-01"},
            {"name": "_since", "valueInstant": "2024-01-01T00:00:00Z"},
            {"name": "_type", "valueCode": "Condition"},
        ],
    }
    query = asked(*pairs_of_parameters(json.dumps(body).encode()))
    assert query.types == frozenset({"Observation", "Condition"})
    assert (query.count, len(query.filters)) == (10, 2)
    assert pairs_of_parameters(b"") == []
    assert pairs_of_parameters(b'{"resourceType":"Parameters"}') == []


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"resourceType":"Parameters","resourceType":"Parameters"}',
        b"[" * 9999,
        b"\xff",
        [],
        {},
        None,
        "start=2024",
        {"resourceType": "Bundle"},
        {"resourceType": "Parameters", "parameter": {}},
        {"resourceType": "Parameters", "parameter": [None]},
        {"resourceType": "Parameters", "parameter": [{"name": "start"}]},
        {"resourceType": "Parameters", "parameter": [{"name": 1, "valueDate": "2024"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "start", "value": "2024"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "start", "valueDate": "2024", "valueInstant": "2024"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "start", "valueBoolean": True}]},
        {"resourceType": "Parameters", "parameter": [{"name": "start", "valuePeriod": {"start": "2024"}}]},
        {"resourceType": "Parameters", "parameter": [{"name": "start", "valueDate": "2024", "part": []}]},
        {"resourceType": "Parameters", "parameter": [{"name": "_count", "valueInteger": 1}] * 25},
    ],
)
def test_a_body_that_is_no_parameters_is_refused(body: Any) -> None:
    with pytest.raises(GatewayError) as caught:
        pairs_of_parameters(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert caught.value.status == 400


def test_lenient_leaves_out_what_is_not_known_and_nothing_else() -> None:
    query = asked(("_elements", "id"), ("_type", "Observation"), ("_revinclude", "x"), lenient=True)
    assert query.ignored == ("`_elements`", "`_revinclude`")
    assert query.pairs == (("_type", "Observation"),)
    for pair in (("patient", PATIENT), ("_type:not", "x"), ("start", "soon")):
        with pytest.raises(BadRequest):
            parse_everything(PATIENT, [pair], lenient=True)
