"""Due within one working day: weekends, bank holidays in England, and clocks that change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.desk.working_days import LONDON, due, is_working_day, next_working_day


def london(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=LONDON)


@pytest.mark.parametrize(
    ("opened", "last_second"),
    [
        ("2026-03-02T09:00", "2026-03-03T23:59:59"),  # Monday: Tuesday
        ("2026-03-02T23:59", "2026-03-03T23:59:59"),
        ("2026-03-03T00:00", "2026-03-04T23:59:59"),
        ("2026-03-06T17:30", "2026-03-09T23:59:59"),  # Friday: Monday
        ("2026-03-07T12:00", "2026-03-09T23:59:59"),  # Saturday
        ("2026-03-08T23:59", "2026-03-09T23:59:59"),  # Sunday
        ("2026-04-02T15:00", "2026-04-07T23:59:59"),  # Maundy Thursday: the Tuesday after Easter
        ("2026-12-24T18:00", "2026-12-29T23:59:59"),  # Boxing Day is a Saturday: Monday stands in for it
        ("2027-12-24T18:00", "2027-12-29T23:59:59"),  # Christmas at a weekend: two days stand in
        ("2026-12-31T20:00", "2027-01-04T23:59:59"),
        ("2026-08-28T10:00", "2026-09-01T23:59:59"),  # the late summer bank holiday of England, not of Scotland
        ("2026-03-27T10:00", "2026-03-30T23:59:59"),  # the clocks go forward on the Sunday between
        ("2026-10-23T10:00", "2026-10-26T23:59:59"),  # and back
    ],
)
def test_due_is_the_last_second_of_the_next_working_day_in_london(opened: str, last_second: str) -> None:
    assert due(london(opened)) == london(last_second).astimezone(UTC)


def test_which_day_it_is_is_a_matter_of_london() -> None:
    assert due(datetime(2026, 6, 8, 23, 30, tzinfo=UTC)) == london("2026-06-10T23:59:59"), "half past midnight there"
    honolulu = timezone(timedelta(hours=-10))
    assert due(datetime(2026, 3, 2, 20, 0, tzinfo=honolulu)) == london("2026-03-04T23:59:59")
    assert due(london("2026-06-08T12:00")).isoformat() == "2026-06-09T22:59:59+00:00", "summer time"


def test_a_scottish_holiday_is_a_working_day_in_england() -> None:
    assert is_working_day(date(2026, 1, 2))
    assert is_working_day(date(2026, 11, 30))


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        due(datetime(2026, 3, 2, 9, 0))  # noqa: DTZ001


MOMENTS = st.integers(min_value=946_684_800, max_value=4_070_908_800).map(lambda at: datetime.fromtimestamp(at, UTC))


@given(MOMENTS, MOMENTS)
def test_due_is_later_is_a_working_day_and_never_turns_the_order_round(one: datetime, other: datetime) -> None:
    first, second = sorted((one, other))
    assert first < due(first) <= due(second)
    day = due(first).astimezone(LONDON).date()
    assert is_working_day(day)
    opened = first.astimezone(LONDON).date()
    between = (opened + timedelta(days=n) for n in range(1, (day - opened).days))
    assert not any(map(is_working_day, between))
    assert next_working_day(opened) == day
