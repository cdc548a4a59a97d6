"""Results: one test with all that is known of it, the latest first, and its course over time.

A course is of one test, one part of it and one unit: units are never mixed, nothing is converted, and what isn't a
plain number (`<5`) is in the table alone. Drawn as the NHS Common User Interface wants it: points, straight lines
between them, the reference range behind them, and a table beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from gateway.compared import UNREADABLE, digits_of, joined
from gateway.merge import clinical_date
from gateway.search.dates import beginning
from gateway.summary.values import choice, concept, concepts
from gateway.summary.words import reference_range
from gateway.web.record.entries import Entry
from gateway.web.words import day, moment

_SYSTEMS: Final = ("http://snomed.info/sct", "http://loinc.org")
_FLAGS: Final[Mapping[str, str]] = {
    "H": "High", "HH": "Critically high", "HU": "Significantly high", "L": "Low", "LL": "Critically low",
    "LU": "Significantly low", "A": "Abnormal", "AA": "Critically abnormal", "N": "Normal",
}  # fmt: skip
_INTERPRETATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_MOST_DIGITS: Final = 15
"""Before the point: what is larger isn't drawn."""
_NOT_SO: Final = frozenset({"entered-in-error", "cancelled"})
WIDTH, HEIGHT, _EDGE = 320, 96, 10
"""The drawing's own units."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One result. `values` are (part, value), "" where the test has no parts; `ranges` and `flags` are beside them."""

    entry: Entry
    values: tuple[tuple[str, str], ...]
    ranges: tuple[str, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A plain number, where it is in the drawing, and when it was."""

    x: float
    y: float
    value: str
    when: str


@dataclass(frozen=True, slots=True)
class Course:
    """One drawing. `band` is the reference range, as (y, height), where all its points have the same."""

    part: str
    unit: str
    points: tuple[Point, ...]
    band: tuple[float, float] | None
    reference: str

    @property
    def line(self) -> str:
        """As SVG writes a line."""
        return " ".join(f"{point.x:.1f},{point.y:.1f}" for point in self.points)

    @property
    def title(self) -> str:
        """The drawing in words."""
        first, last = self.points[0], self.points[-1]
        return (
            f"{self.part + ': ' if self.part else ''}{len(self.points)} values in {self.unit or 'no unit'}, from "
            f"{first.value} on {first.when} to {last.value} on {last.when}. All of them are in the table."
        )


@dataclass(frozen=True, slots=True)
class Test:
    """One test, the latest reading first."""

    name: str
    readings: tuple[Reading, ...]
    courses: tuple[Course, ...]


@dataclass(frozen=True, slots=True)
class _Number:
    value: Decimal
    at: int
    when: str
    limits: tuple[Decimal | None, Decimal | None]


def tests_of(entries: Iterable[Entry]) -> list[Test]:
    """In the order of their latest readings. `entries` are Observations, newest first."""
    by_code: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        by_code.setdefault(_key(entry), []).append(entry)
    return [
        Test(_name(found[0]), tuple(map(reading_of, found)), tuple(courses_of(found))) for found in by_code.values()
    ]


def reading_of(entry: Entry) -> Reading:
    """The values, ranges and flags; what can't be read is told in the entry's own words."""
    try:
        parts = list(_parts(entry.item.resource))
        values = tuple((name, _value(part)) for name, part in parts)
        ranges = tuple(text for _, part in parts if (text := _range(part)))
        flags = tuple(dict.fromkeys(flag for _, part in parts for flag in _flags(part)))
    except UNREADABLE:
        return Reading(entry, (("", joined("; ", (said for _, said in entry.facts))),), (), ())
    return Reading(entry, tuple(one for one in values if one[1]), ranges, flags)


def courses_of(entries: Iterable[Entry]) -> Iterable[Course]:
    """One for each part and unit of which there are two numbers or more."""
    numbers: dict[tuple[str, str], list[_Number]] = {}
    for entry in entries:
        if entry.item.resource.get("status") not in _NOT_SO:
            for key, number in _numbers(entry):
                numbers.setdefault(key, []).append(number)
    for (part, unit), found in numbers.items():
        if len({number.at for number in found}) > 1:
            yield _drawn(part, unit, sorted(found, key=lambda number: number.at))


def _name(entry: Entry) -> str:
    """In the words of the system by which it's known; else as its source says it."""
    code = entry.item.resource.get("code")
    if not isinstance(code, dict) or code.get("text"):
        return entry.what
    system, known = _key(entry)
    codings = (one for one in code.get("coding") or () if isinstance(one, dict))
    return next((str(c["display"]) for c in codings if (c.get("system"), str(c.get("code"))) == (system, known)
                 and c.get("display")), entry.what)  # fmt: skip


def _key(entry: Entry) -> tuple[str, str]:
    """The test's code in a national or international system; else its source's own words, with its source."""
    code = entry.item.resource.get("code")
    codings = code.get("coding") if isinstance(code, dict) else None
    by_system = {one.get("system"): str(one.get("code")) for one in codings or () if isinstance(one, dict)}
    for system in _SYSTEMS:
        if system in by_system:
            return system, by_system[system]
    return entry.source, entry.what


def _parts(resource: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """The result itself, where it has a value or says why not; and its components by name."""
    yield "", resource
    for component in resource.get("component", ()):
        yield concept(component.get("code")), component


def _value(part: Mapping[str, Any]) -> str:
    absent = concept(part.get("dataAbsentReason"))
    return choice(part, "value", moment) or (f"No value: {absent}" if absent else "")


def _range(part: Mapping[str, Any]) -> str:
    return joined(", ", map(reference_range, part.get("referenceRange", ())))


def _flags(part: Mapping[str, Any]) -> Iterable[str]:
    """HL7's codes in words; what has none in its source's."""
    for interpretation in part.get("interpretation", ()):
        codes = [one.get("code") for one in interpretation.get("coding", ()) if one.get("system") == _INTERPRETATION]
        known = next((_FLAGS[code] for code in codes if code in _FLAGS), "")
        yield known or concepts([interpretation])


def _numbers(entry: Entry) -> Iterable[tuple[tuple[str, str], _Number]]:
    written = clinical_date(entry.item)
    at = beginning(written)
    if at is None:
        return
    try:
        for name, part in _parts(entry.item.resource):
            quantity = part.get("valueQuantity") or {}
            value = _number(quantity.get("value"))
            if value is not None and not quantity.get("comparator"):
                unit = str(quantity.get("unit") or quantity.get("code") or "")
                yield (name, unit), _Number(value, at, day(written), _limits(part, unit))
    except UNREADABLE:
        return


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    return number if number.is_finite() and number.adjusted() < _MOST_DIGITS else None


def _limits(part: Mapping[str, Any], unit: str) -> tuple[Decimal | None, Decimal | None]:
    """Of the one reference range that there is, where it's in the same unit."""
    ranges = part.get("referenceRange", ())
    if len(ranges) != 1:
        return None, None
    ends = (ranges[0].get("low") or {}, ranges[0].get("high") or {})
    low, high = (_number(end.get("value")) if _unit(end) in ("", unit) else None for end in ends)
    return low, high


def _unit(quantity: Mapping[str, Any]) -> str:
    return str(quantity.get("unit") or quantity.get("code") or "")


def _drawn(part: str, unit: str, numbers: Sequence[_Number]) -> Course:
    low, high = numbers[0].limits if len({number.limits for number in numbers}) == 1 else (None, None)
    values = [float(number.value) for number in numbers]
    least = min([*values, *(float(end) for end in (low, high) if end is not None)])
    most = max([*values, *(float(end) for end in (low, high) if end is not None)])
    since, until = numbers[0].at, numbers[-1].at

    def x(at: int) -> float:
        return _EDGE + (WIDTH - 2 * _EDGE) * (at - since) / (until - since)

    def y(value: float) -> float:
        return HEIGHT / 2 if most == least else _EDGE + (HEIGHT - 2 * _EDGE) * (most - value) / (most - least)

    points = tuple(
        Point(x(number.at), y(value), digits_of(number.value), number.when)
        for number, value in zip(numbers, values, strict=True)
    )
    top, bottom = (y(float(high)) if high is not None else 0.0), (y(float(low)) if low is not None else float(HEIGHT))
    band = (top, bottom - top) if (low, high) != (None, None) and most > least else None
    ends = joined(" to ", (digits_of(end) for end in (low, high) if end is not None))
    return Course(part, unit, points, band, ends if low is not None and high is not None else "")
