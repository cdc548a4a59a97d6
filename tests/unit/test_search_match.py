"""Step 10, its second half: what matches, against an oracle that is slow and made another way."""

from __future__ import annotations

import calendar
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.search import find
from gateway.search.dates import span, span_of
from gateway.search.match import date_matches, matching
from gateway.search.parse import parse
from gateway.search.query import DateTest, Prefix, Query
from gateway.search.table import OFFERED
from gateway.search.tokens import TokenTest, parse_token

PATIENT = "9990000018"
SNOMED = "http://snomed.info/sct"


@dataclass
class Shown:
    resource: dict[str, Any]


def search(resource_type: str, *pairs: tuple[str, str]) -> Query:
    query = parse(resource_type, [("patient", PATIENT), *pairs])
    assert isinstance(query, Query)
    return query


def ids(query: Query, *resources: dict[str, Any], library: dict[str, Any] | None = None) -> list[str]:
    found = find(query, [Shown(resource) for resource in resources], (library or {}).get)
    return [item.resource["id"] for item in found]


def concept(code: str, system: str = SNOMED) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def result(name: str, when: Any = None, **more: Any) -> dict[str, Any]:
    dated = {} if when is None else {"effectiveDateTime": when}
    return {"resourceType": "Observation", "id": name, "status": "final", **dated, **more}


# --- dates, by an oracle over sets of elementary intervals ------------------------------------------------

LONDON = ZoneInfo("Europe/London")
Bounds = tuple[Fraction | None, Fraction | None]


def oracle_span(text: str) -> Bounds:
    """The bounds in seconds since 1970, by the calendar and datetime modules."""
    day, _, clock = text.partition("T")
    parts = [int(part) for part in day.split("-")]
    if not clock:
        low = datetime.fromisoformat((day + "-01-01")[:10]).replace(tzinfo=LONDON)
        if len(parts) == 1:
            high = datetime(parts[0] + 1, 1, 1, tzinfo=LONDON)
        else:
            days = calendar.monthrange(parts[0], parts[1])[1] if len(parts) == 2 else 1
            following = low.replace(tzinfo=None) + timedelta(days=days)
            high = following.replace(tzinfo=LONDON)
        return seconds(low), seconds(high)
    zone = re.search(r"(Z|[+-]\d\d:\d\d)$", clock)
    clock = clock[: zone.start()] if zone else clock
    whole, _, fraction = clock.partition(".")
    pieces = [int(piece) for piece in whole.split(":")]
    low = datetime.fromisoformat(f"{day}T{whole}").replace(tzinfo=oracle_zone(zone[1]) if zone else LONDON)
    begin = seconds(low) + Fraction(int(fraction or 0), 10 ** len(fraction))
    size = Fraction(60) if len(pieces) == 2 else Fraction(1, 10 ** len(fraction))
    return begin, begin + size


def oracle_zone(text: str) -> timezone:
    if text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[4:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def seconds(moment: datetime) -> Fraction:
    return Fraction(int((moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)))


def cells(bounds: Bounds, edges: list[Fraction]) -> set[int]:
    """Which of the elementary intervals between the edges it covers; 0 lies before the first edge."""
    low, high = bounds
    begin = 0 if low is None else edges.index(low) + 1
    end = len(edges) if high is None else edges.index(high)
    return set(range(begin, end + 1))


def oracle_matches(prefix: str, asked: Bounds, held: Bounds) -> bool:
    """R4's sentences, word for word, over sets."""
    if prefix == "ap":
        assert asked[0] is not None
        assert asked[1] is not None
        size = asked[1] - asked[0]
        asked = asked[0] - size, asked[1] + size
    edges = sorted({edge for edge in (*asked, *held) if edge is not None})
    search_cells, target = cells(asked, edges), cells(held, edges)
    above = set(range(max(search_cells) + 1, len(edges) + 1))
    below = set(range(min(search_cells)))
    contained = target <= search_cells
    return {
        "eq": contained,
        "ne": not contained,
        "gt": bool(above & target),
        "lt": bool(below & target),
        "ge": bool(above & target) or contained,
        "le": bool(below & target) or contained,
        "sa": target <= above,
        "eb": target <= below,
        "ap": bool(target & search_cells),
    }[prefix]


def two(low: int, high: int) -> st.SearchStrategy[str]:
    return st.integers(low, high).map("{:02d}".format)


days = st.dates(datetime(1995, 1, 1).date(), datetime(2004, 12, 31).date()).map(str)  # noqa: DTZ001
near_days = st.sampled_from(["2001-03-24", "2001-03-25", "2001-10-28", "2000-02-29", "2000-12-31", "2001-01-01"])
day_texts = days | near_days
zones = st.sampled_from(["Z", "+00:00", "+01:00", "-05:30", "+14:00", "-12:00", ""])
fractions = st.text("0123456789", min_size=1, max_size=9)
clocks = st.tuples(
    st.sampled_from(["00", "03", "12", "23"]),
    two(0, 59),
    st.just("") | two(0, 59).map(":{}".format) | st.tuples(two(0, 59), fractions).map(":{0[0]}.{0[1]}".format),
    zones,
).map(lambda four: f"T{four[0]}:{four[1]}{four[2]}{four[3]}")
date_texts = st.one_of(
    day_texts,
    day_texts.map(lambda day: day[:7]),
    day_texts.map(lambda day: day[:4]),
    st.tuples(day_texts, clocks).map("".join),
)


@given(st.sampled_from(list(Prefix)), date_texts, date_texts)
@settings(max_examples=1500, deadline=None)
def test_dates_agree_with_the_oracle(prefix: Prefix, asked: str, held: str) -> None:
    asked_span, held_span = span(asked), span(held)
    assert asked_span is not None
    assert held_span is not None
    expected = oracle_matches(prefix, oracle_span(asked), oracle_span(held))
    assert date_matches(DateTest(prefix, asked_span), held_span) is expected


@given(st.sampled_from(list(Prefix)), date_texts, st.none() | date_texts, st.none() | date_texts)
@settings(max_examples=1500, deadline=None)
def test_periods_agree_with_the_oracle(prefix: Prefix, asked: str, start: str | None, end: str | None) -> None:
    period = {name: text for name, text in (("start", start), ("end", end)) if text}
    low = oracle_span(start)[0] if start else None
    high = oracle_span(end)[1] if end else None
    empty = not period or (low is not None and high is not None and low >= high)
    encounter = {"resourceType": "Encounter", "id": "a", "period": period}
    found = bool(ids(search("Encounter", ("date", f"{prefix}{asked}")), encounter))
    assert found is (not empty and oracle_matches(prefix, oracle_span(asked), (low, high)))


def test_a_day_is_the_united_kingdoms_own_day() -> None:
    night = result("night", "2024-07-01T00:30:00+01:00")
    same_in_utc = result("utc", "2024-06-30T23:30:00Z")
    before = result("before", "2024-06-30T22:59:59Z")
    assert ids(search("Observation", ("date", "2024-07-01")), night, same_in_utc, before) == ["night", "utc"]


def test_precision_reaches_from_years_to_fractions() -> None:
    item = result("a", "2024-05-06T07:08:09.120Z")
    for value in (
        "2024",
        "2024-05",
        "2024-05-06",
        "2024-05-06T07:08Z",
        "2024-05-06T07:08:09Z",
        "2024-05-06T07:08:09.12Z",
    ):
        assert ids(search("Observation", ("date", value)), item) == ["a"]
    assert ids(search("Observation", ("date", "2024-05-06T07:08:09.1200Z")), item) == []


def test_the_last_year_has_an_end() -> None:
    for text in ("9999", "9999-12", "9999-12-31", "0001", "0001-01-01T00:00:00+14:00", "2016-12-31T23:59:60Z"):
        found = span(text)
        assert found is not None
        assert found.low < found.high
    assert span("9999-12-31T23:59:60") is None
    assert span("9999-12-31T23:59:59.9999999999999") == (found_last := span("9999-12-31T23:59:59.999999999"))
    assert found_last is not None


@pytest.mark.parametrize(
    "held",
    [
        "2024-13-01",
        "2024-02-30",
        "20240201",
        "",
        "soon",
        2024,
        Decimal("2024.0"),
        None,
        [],
        ["2024"],
        {},
        {"start": "x"},
        {"start": "2024", "end": "x"},
        {"start": "2025", "end": "2024"},
        {"start": None},
        {"end": []},
        {"event": "2024"},
        {"event": [None, "x", {}]},
        {"repeat": []},
        {"repeat": {"boundsPeriod": {}}},
        {"repeat": {"boundsPeriod": []}},
        True,
    ],
)
def test_malformed_dates_in_data_match_nothing_and_raise_nothing(held: Any) -> None:
    assert span_of(held) is None
    for name in ("effectiveDateTime", "effectivePeriod", "effectiveTiming"):
        item = {"resourceType": "Observation", "id": "a", name: held}
        expected = ["a"] if held == ["2024"] else []
        assert ids(search("Observation", ("date", "ne1900")), item) == expected


def test_timings_count_by_their_outer_limits() -> None:
    events = {"resourceType": "Observation", "id": "a", "effectiveTiming": {"event": ["2024-03-01", "2024-01-01"]}}
    bounds = {"repeat": {"boundsPeriod": {"start": "2024-01-01", "end": "2024-03-01"}}}
    repeated = {"resourceType": "Observation", "id": "b", "effectiveTiming": bounds}
    assert ids(search("Observation", ("date", "2024")), events, repeated) == ["a", "b"]
    assert ids(search("Observation", ("date", "2024-02")), events, repeated) == []
    assert ids(search("Observation", ("date", "ap2024-02-15")), events, repeated) == ["a", "b"]


def test_last_updated_and_ids() -> None:
    one = result("one", meta={"lastUpdated": "2024-05-06T07:08:09.120+01:00"})
    two_ = result("two", meta={})
    assert ids(search("Observation", ("_lastUpdated", "gt2024-05-06T06:08:09Z")), one, two_) == []
    assert ids(search("Observation", ("_lastUpdated", "ge2024-05-06")), one, two_) == ["one"]
    assert ids(search("Observation", ("_id", "two,none")), one, two_) == ["two"]


# --- tokens, by an oracle -----------------------------------------------------------------------------------

SYSTEMS = ["http://a", "http://A", ""]
CODES = ["1", "x", "X", "a,b", "a|b", "\\", "$"]


def escaped(text: str) -> str:
    return re.sub(r"([\\,|$])", r"\\\1", text)


def oracle_token(system: str | None, code: str, held: list[tuple[str | None, str]]) -> bool:
    """`system` None: not stated; empty: stated as none. `code` empty: any."""
    for held_system, held_code in held:
        if code and code.upper() != held_code.upper():
            continue
        if system is None or (held_system or "") == system:
            return True
    return False


codings_held = st.lists(st.tuples(st.none() | st.sampled_from(SYSTEMS), st.sampled_from(CODES)), max_size=3)


@given(st.none() | st.sampled_from(SYSTEMS), st.just("") | st.sampled_from(CODES), codings_held)
@settings(max_examples=600)
def test_tokens_agree_with_the_oracle(system: str | None, code: str, held: list[tuple[str | None, str]]) -> None:
    if not code and not system:
        return
    text = escaped(code) if system is None else f"{escaped(system)}|{escaped(code)}"
    value = {"coding": [{"code": one} if of is None else {"system": of, "code": one} for of, one in held]}
    assert TokenTest.of([parse_token(text)]).holds(value) is oracle_token(system, code, held)
    item = {"resourceType": "Observation", "id": "a", "code": value}
    assert bool(ids(search("Observation", ("code", text)), item)) is oracle_token(system, code, held)


@pytest.mark.parametrize(
    "value", ["final", "FINAL", "|final", "http://hl7.org/fhir/observation-status|final", "amended,final"]
)
def test_a_bare_code_has_the_system_that_fhir_binds(value: str) -> None:
    assert ids(search("Observation", ("status", value)), result("a")) == ["a"]


@pytest.mark.parametrize("value", ["http://elsewhere|final", "http://elsewhere|", "fin", "amended"])
def test_a_bare_code_has_no_other_system(value: str) -> None:
    assert ids(search("Observation", ("status", value)), result("a")) == []


def test_a_coding_and_a_nested_concept() -> None:
    encounter = {"resourceType": "Encounter", "id": "a", "class": {"system": "http://v3", "code": "EMER"}}
    assert ids(search("Encounter", ("category", "emer")), encounter) == ["a"]
    assert ids(search("Encounter", ("class", "http://v3|")), encounter) == ["a"]
    allergy = {"resourceType": "AllergyIntolerance", "id": "b", "reaction": [{}, {"substance": concept("7")}]}
    assert ids(search("AllergyIntolerance", ("code", f"{SNOMED}|7")), allergy) == ["b"]


def test_a_medicine_is_found_through_its_reference() -> None:
    query = search("MedicationStatement", ("code", f"{SNOMED}|7"))
    inline = {"resourceType": "MedicationStatement", "id": "inline", "medicationCodeableConcept": concept("7")}
    pointing = {
        "resourceType": "MedicationStatement",
        "id": "ref",
        "medicationReference": {"reference": "Medication/m"},
    }
    inside = {
        "resourceType": "MedicationStatement",
        "id": "contained",
        "contained": ["odd", {"id": "other"}, {"id": "m", "code": concept("7")}],
        "medicationReference": {"reference": "#m"},
    }
    library = {"Medication/m": {"resourceType": "Medication", "id": "m", "code": concept("7")}}
    assert ids(query, inline, pointing, inside, library=library) == ["inline", "ref", "contained"]
    assert ids(query, inline, pointing, inside) == ["inline", "contained"]
    assert matching(query, [Shown(pointing)]) == []


def test_all_parameters_must_match_and_types_are_kept_apart() -> None:
    query = search("Observation", ("code", "1"), ("status", "final"), ("date", "ge2024"))
    both = result("a", "2024-01-01", code=concept("1"))
    other_type = {**both, "resourceType": "DiagnosticReport", "id": "b"}
    assert ids(query, both, other_type, result("c", "2024-01-01"), result("d", "2023", code=concept("1"))) == ["a"]


def test_an_outline_matches_nothing_that_it_leaves_out() -> None:
    outline = {"resourceType": "Appointment", "id": "a"}
    for name, param in OFFERED["Appointment"].params.items():
        value = "ne1900" if param.kind == "date" else "x"
        assert ids(search("Appointment", (name, value)), outline) == []


_KEYS = "coding code system start end event repeat boundsPeriod value substance reference lastUpdated id text contained"
KEYS = _KEYS.split()
json_values = st.recursive(
    st.sampled_from([None, True, 7, Decimal("0.10"), "x", "", "#x", "2024-01-01"]) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from(list(OFFERED)), st.data())
@settings(max_examples=400, deadline=None)
def test_no_shape_of_data_is_a_fault(resource_type: str, data: st.DataObject) -> None:
    offer = OFFERED[resource_type]
    elements = [path.split(".")[0] for param in offer.params.values() for path in param.paths]
    resource = data.draw(st.dictionaries(st.sampled_from([*elements, "meta", "id", "contained"]), json_values))
    shown = [Shown({**resource, "resourceType": resource_type}), Shown({"resourceType": resource_type, "id": "b"})]
    before = copy.deepcopy(shown)
    for name, param in offer.params.items():
        value = "ne1900" if param.kind == "date" else "x"
        find(search(resource_type, (name, value), ("_lastUpdated", "ge2020"), ("_id", "b")), shown)
    for sort in offer.sorts:
        assert len(find(search(resource_type, ("_sort", f"-{sort}")), shown)) == 2
    assert shown == before


# --- order ----------------------------------------------------------------------------------------------------


class TestSort:
    a = result("a", "2024-02", code=concept("Z"))
    b = result("b", "2024-01-15", code={"text": "apple"}, status="amended")
    c = result("c", code=concept("m"))
    d = result("d", "2024-01-15", meta={"lastUpdated": "2024-05-01T00:00:00Z"})
    e: ClassVar = {"resourceType": "Observation"}

    def order(self, sort: str) -> str:
        found = find(
            search("Observation", ("_sort", sort)), [Shown(one) for one in (self.a, self.b, self.c, self.d, self.e)]
        )
        return "".join(item.resource.get("id", "-") for item in found)

    @pytest.mark.parametrize(
        ("sort", "expected"),
        [
            ("date", "bdac-"),
            ("-date", "abdc-"),
            ("date,-_id", "dbac-"),
            ("-_id", "dcba-"),
            ("code", "bcad-"),
            ("-code", "acbd-"),
            ("status,-date", "badc-"),
            ("_lastUpdated", "dabc-"),
            ("-_lastUpdated", "dabc-"),
        ],
    )
    def test_missing_comes_last_both_ways_and_ties_keep_the_records_order(self, sort: str, expected: str) -> None:
        assert self.order(sort) == expected

    def test_without_a_sort_the_records_order_stays(self) -> None:
        assert ids(search("Observation"), self.c, self.a, self.b) == ["c", "a", "b"]

    def test_medicines_sort_by_what_their_reference_names(self) -> None:
        def medicine(name: str) -> dict[str, Any]:
            return {
                "resourceType": "MedicationRequest",
                "id": name,
                "medicationReference": {"reference": f"Medication/{name}"},
            }

        library = {f"Medication/{name}": {"code": concept(code)} for name, code in (("a", "2"), ("b", "1"))}
        query = search("MedicationRequest", ("_sort", "code"))
        assert ids(query, medicine("a"), medicine("b"), library=library) == ["b", "a"]


def many(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield result(
            f"o{number}",
            f"20{number % 24:02d}-05-{number % 28 + 1:02d}T10:00:00+01:00",
            code={"coding": [{"system": "http://loinc.org", "code": str(number % 7)}] * 3},
            category=[concept("laboratory", "http://category")],
            valueQuantity={"value": Decimal("4.50"), "unit": "mmol/L"},
            note=[{"text": "x" * 900}],
        )
