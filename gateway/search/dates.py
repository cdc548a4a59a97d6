"""FHIR dates as spans of time, and how two spans compare (FHIR R4, Search, date).

A date is the whole span that its precision covers: `2024-05` is all of May. Spans are half open, in nanoseconds since
0001-01-01T00:00Z, so that they compare as plain integers. A date or time without a zone is in the United Kingdom's own
time, as R4 wants of a server: `date=2024-07-01` finds what happened at 00:30 that night in London.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

_SECOND: Final = 10**9
_DAY: Final = 86_400
_LAST_DAY: Final = date.max.toordinal()
_LOCAL: Final = ZoneInfo("Europe/London")
_DATE: Final = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)
_FRACTION_DIGITS: Final = 9

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)", re.ASCII)
_FIRST_DAY: Final = datetime.min.replace(tzinfo=UTC)

BEGINNING: Final = -(10**30)
END: Final = 10**30


class Span(NamedTuple):
    """From `low` up to, but not including, `high`."""

    low: int
    high: int

    def contains(self, other: Span) -> bool:
        return self.low <= other.low and other.high <= self.high

    def overlaps(self, other: Span) -> bool:
        return self.low < other.high and other.low < self.high


def span(text: object) -> Span | None:
    """What a FHIR date, dateTime or instant covers; None where it is none. Never raises: data may hold anything."""
    match = _DATE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    try:
        if match[4]:
            return _time_span(match)
        return _date_span(match)
    except (ValueError, OverflowError):
        return None


def beginning(text: str) -> int | None:
    """`span(text).low`, and in a fraction of the time for an instant with its zone, as most of a record's dates are.

    None where it is no date. Never raises.
    """
    if _INSTANT.fullmatch(text):
        try:
            passed = datetime.fromisoformat(text) - _FIRST_DAY
        except ValueError:  # a leap second, which `span` knows; or no such day
            pass
        else:
            return ((passed.days + 1) * _DAY + passed.seconds) * _SECOND + passed.microseconds * 1000
    found = span(text)
    return found.low if found else None


def _date_span(match: re.Match[str]) -> Span:
    year = int(match[1])
    if match[3]:
        first = date(year, int(match[2]), int(match[3])).toordinal()
        return Span(_midnight(first), _midnight(first + 1))
    if match[2]:
        month = int(match[2])
        return Span(
            _midnight(date(year, month, 1).toordinal()), _midnight(_first_of(year + month // 12, month % 12 + 1))
        )
    return Span(_midnight(_first_of(year, 1)), _midnight(_first_of(year + 1, 1)))


def _first_of(year: int, month: int) -> int:
    return _LAST_DAY + 1 if year > date.max.year else date(year, month, 1).toordinal()


@lru_cache(maxsize=4096)
def _midnight(ordinal: int) -> int:
    """When the day begins in the United Kingdom."""
    if ordinal > _LAST_DAY:
        return ordinal * _DAY * _SECOND
    return (ordinal * _DAY - _local_offset(datetime.fromordinal(ordinal))) * _SECOND


def _local_offset(moment: datetime) -> int:
    offset = moment.replace(tzinfo=_LOCAL).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def _time_span(match: re.Match[str]) -> Span:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    seconds = _ordinal(year, month, day) * _DAY + _clock(hour, minute, second or "00")
    seconds -= _offset(zone) if zone else _local_offset(_naive(seconds))
    low = seconds * _SECOND
    if fraction is not None:
        digits = fraction[:_FRACTION_DIGITS]
        low += int(digits.ljust(_FRACTION_DIGITS, "0"))
        return Span(low, low + 10 ** (_FRACTION_DIGITS - len(digits)))
    return Span(low, low + (_SECOND if second else 60 * _SECOND))


# The same few thousand days, and few offsets, come again and again; they say nothing about anyone.
@lru_cache(maxsize=4096)
def _ordinal(year: str, month: str, day: str) -> int:
    return date(int(year), int(month), int(day)).toordinal()


def _clock(hour: str, minute: str, second: str) -> int:
    """Seconds since midnight. FHIR allows the second 60 (a leap second) and forbids the hour 24."""
    if hour > "23" or minute > "59" or second > "60":
        raise ValueError("no such time of day")
    return int(hour) * 3600 + int(minute) * 60 + int(second)


def _naive(seconds: int) -> datetime:
    return datetime.fromordinal(1) + timedelta(seconds=seconds - _DAY)


@lru_cache(maxsize=128)
def _offset(zone: str) -> int:
    if zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 14 or minutes > 59:
        raise ValueError("no such time zone")
    return (hours * 3600 + minutes * 60) * (-1 if zone[0] == "-" else 1)


def span_of(value: object) -> Span | None:
    """The span of a date, dateTime, instant, Period or Timing; None where it is malformed or none of these."""
    if isinstance(value, str):
        return span(value)
    if isinstance(value, dict):
        return _period(value) if "start" in value or "end" in value else _timing(value)
    return None


def _period(period: dict[str, Any]) -> Span | None:
    """A missing end is open: it began, and may go on. A malformed or inverted Period covers nothing."""
    low, high = BEGINNING, END
    if "start" in period:
        start = span(period["start"])
        if start is None:
            return None
        low = start.low
    if "end" in period:
        end = span(period["end"])
        if end is None:
            return None
        high = end.high
    return Span(low, high) if low < high else None


def _timing(timing: dict[str, Any]) -> Span | None:
    """The outer limits of a Timing, as R4 says: its events, else the bounds of its repetition."""
    events = timing.get("event")
    found = [one for one in map(span, events) if one] if isinstance(events, list) else []
    if found:
        return Span(min(one.low for one in found), max(one.high for one in found))
    repeat = timing.get("repeat")
    bounds = repeat.get("boundsPeriod") if isinstance(repeat, dict) else None
    return _period(bounds) if isinstance(bounds, dict) and bounds.keys() & {"start", "end"} else None
