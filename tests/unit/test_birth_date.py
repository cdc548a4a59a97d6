"""The birth date of every form of ours: one rule, by London's day."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from gateway.api.birth_date import birth_date
from gateway.web import moments


def typed(day: str, month: str, year: str) -> dict[str, str]:
    return {"birthdate[day]": day, "birthdate[month]": month, "birthdate[year]": year}


@pytest.mark.parametrize(
    ("said", "born"),
    [
        (("12", "3", "1961"), "1961-03-12"),
        ((" 01 ", "02", "2004"), "2004-02-01"),
        (("29", "2", "2024"), "2024-02-29"),
        (("1", "1", "1850"), "1850-01-01"),
    ],
)
def test_a_day_that_there_was(said: tuple[str, str, str], born: str) -> None:
    assert birth_date(typed(*said)) == born


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (("", " ", ""), "Enter the date of birth"),
        (("12", "", "1961"), "a day, a month and a year in numbers"),
        (("12", "March", "1961"), "in numbers"),
        (("١٢", "3", "1961"), "in numbers"),
        (("-1", "3", "1961"), "in numbers"),
        (("12", "3", "19610"), "in numbers"),
        (("30", "2", "1961"), "must be a real date"),
        (("0", "0", "0"), "must be a real date"),
        (("12", "3", "61"), "four digits of the year"),
        (("31", "12", "1849"), "four digits of the year"),
        (("12", "3", "2999"), "must be in the past"),
    ],
)
def test_a_slip_is_told_with_what_to_do(said: tuple[str, str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        birth_date(typed(*said))


def test_nothing_that_was_typed_at_all() -> None:
    with pytest.raises(ValueError, match="Enter the date of birth"):
        birth_date({})


class Clock(datetime):
    """A clock that stands still, half an hour into a summer's day in London."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        at = datetime(2026, 6, 30, 23, 30, tzinfo=UTC)
        return at.astimezone(tz)  # type: ignore[arg-type]


def test_it_is_londons_day_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "datetime", Clock)
    assert moments.today() == date(2026, 7, 1)
    assert birth_date(typed("1", "7", "2026")) == "2026-07-01"
    with pytest.raises(ValueError, match="in the past"):
        birth_date(typed("2", "7", "2026"))
