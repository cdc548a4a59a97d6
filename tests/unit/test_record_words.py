"""Doses and results as the page says them: the source's digits and units, nothing mixed, nothing cut."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from connectors.sdk.model import Item, Section
from gateway.web.record.entries import Entries, Entry
from gateway.web.record.medicines import doses_of, often_in_words
from gateway.web.record.results import courses_of, reading_of
from gateway.web.record.results import tests_of as grouped_by_test
from gateway.web.record.rows import Rows

TODAY = date(2026, 11, 23)


def entry_of(resource: dict[str, Any], section: Section = Section.RESULTS, number: int = 1) -> Entry:
    item = Item("RJ2", resource, section, str(number))
    item.sealed_id = f"s{number}"
    return Entries({"RJ2": "The trust"}, {}, TODAY).of(item)


def potassium(value: str, day: str, number: int, **more: Any) -> Entry:
    quantity = {"value": Decimal(value), "unit": "mmol/L", **more.pop("quantity", {})}
    coded = {"coding": [{"system": "http://snomed.info/sct", "code": "1", "display": "Potassium"}]}
    resource = {
        "resourceType": "Observation", "status": "final", "code": coded, "effectiveDateTime": day,
        "valueQuantity": quantity, **more,
    }  # fmt: skip
    return entry_of(resource, number=number)


def test_digits_are_the_sources_own() -> None:
    (value,) = reading_of(potassium("4.50", "2026-01-01", 1)).values
    assert value == ("", "4.50 mmol/L")
    (less,) = reading_of(potassium("0.10", "2026-01-01", 1, quantity={"comparator": "<"})).values
    assert less == ("", "<0.10 mmol/L")


def test_units_are_never_in_one_drawing() -> None:
    found = [
        potassium("4.5", "2026-01-01", 1),
        potassium("4.6", "2026-02-01", 2),
        potassium("17.6", "2026-03-01", 3, quantity={"unit": "mg/dL"}),
        potassium("17.9", "2026-04-01", 4, quantity={"unit": "mg/dL"}),
    ]
    (test,) = grouped_by_test(found)
    assert [(course.unit, len(course.points)) for course in test.courses] == [("mmol/L", 2), ("mg/dL", 2)]


@pytest.mark.parametrize(
    "odd",
    [
        {"quantity": {"comparator": ">"}},
        {"quantity": {"value": Decimal("1e999")}},
        {"quantity": {"value": "4.5"}},
        {"quantity": {"value": True}},
        {"status": "entered-in-error"},
        {"effectiveDateTime": "lately"},
        {"valueQuantity": "x"},
    ],
)
def test_what_is_no_plain_number_of_its_time_is_in_the_table_alone(odd: dict[str, Any]) -> None:
    found = [
        potassium("4.5", "2026-01-01", 1),
        potassium("4.6", "2026-02-01", 2),
        potassium("9", "2026-03-01", 3, **odd),
    ]
    (test,) = grouped_by_test(found)
    assert len(test.readings) == 3
    (course,) = test.courses
    assert [point.value for point in course.points] == ["4.5", "4.6"]


def test_the_range_is_drawn_only_where_all_have_the_same() -> None:
    limits = {"low": {"value": Decimal("3.5"), "unit": "mmol/L"}, "high": {"value": Decimal("5.3"), "unit": "mmol/L"}}
    same = [potassium("4.5", f"2026-0{n}-01", n, referenceRange=[limits]) for n in (1, 2)]
    (course,) = courses_of(same)
    assert course.reference == "3.5 to 5.3"
    assert course.band is not None
    (course,) = courses_of([*same, potassium("4.6", "2026-03-01", 3)])
    assert (course.reference, course.band) == ("", None)
    assert "3 values in mmol/L, from 4.5 on 01-Jan-2026 to 4.6 on 01-Mar-2026" in course.title


def test_two_values_of_one_moment_are_no_course() -> None:
    assert list(courses_of([potassium("4.5", "2026-01-01", 1), potassium("4.6", "2026-01-01", 2)])) == []


@pytest.mark.parametrize(
    ("structured", "words"),
    [
        ("1 per 1 d", "once a day"),
        ("2 per 1 d", "twice a day"),
        ("3 per 1 d, MORN", "3 times a day, MORN"),
        ("1 per 8 h", "every 8 hours"),
        ("2 per 3 wk", "twice every 3 weeks"),
        ("1 to 2 per 1 d", "1 to 2 per 1 d"),
        ("1 per 1 d, over 2 h", "once a day, over 2 h"),
        ("1 per 1 dozen", "1 per 1 dozen"),
    ],
)
def test_how_often_in_words(structured: str, words: str) -> None:
    assert often_in_words(structured) == words


def medicine(name: str, **dosage: Any) -> Entry:
    resource = {
        "resourceType": "MedicationStatement", "status": "active", "medicationCodeableConcept": {"text": name},
        "dosage": [dosage],
    }  # fmt: skip
    return entry_of(resource, Section.MEDICINES)


def test_a_dose_is_written_as_it_was_sent_and_names_are_never_cut() -> None:
    name = "Amoxicillin trihydrate and potassium clavulanate " * 12 + "250mg/62mg/5ml oral suspension"
    amount = {"doseQuantity": {"value": Decimal("0.50"), "unit": "mg"}}
    entry = medicine(name, text="as directed", doseAndRate=[amount], asNeededBoolean=True)
    (dose,) = doses_of(entry.item)
    assert (dose.amount, dose.parts, dose.text) == ("0.50 mg", ("as needed",), "as directed")
    row = str(Rows(Entries({}, {}, TODAY)).row(entry))
    assert name in row
    assert '<span class="cc-dose__word">DOSE</span> <b>0.50 mg</b> – as needed' in row


def test_without_a_structured_dose_the_sources_words_stand_alone() -> None:
    (dose,) = doses_of(medicine("X", text="ONE at night").item)
    assert (dose.amount, dose.parts, dose.text) == ("", (), "ONE at night")
    assert doses_of(medicine("X", doseAndRate="broken").item) == ()
    assert "can’t be put into words" in str(Rows(Entries({}, {}, TODAY)).row(medicine("X", doseAndRate=[["broken"]])))


def test_what_was_refuted_is_marked_and_over() -> None:
    refuted = {"coding": [{"code": "refuted", "display": "Refuted"}]}
    allergy = {"resourceType": "AllergyIntolerance", "code": {"text": "Nuts"}, "verificationStatus": refuted}
    entry = entry_of(allergy, Section.ALLERGIES)
    assert [(mark.text, mark.kind) for mark in entry.marks] == [("Refuted", "red")]
    assert entry.is_over
    assert entry.filters == ""
