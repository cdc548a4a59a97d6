"""By when a privacy officer must have looked: within one working day, as England counts them."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

LONDON: Final = ZoneInfo("Europe/London")
_SATURDAY: Final = 5
_LAST_SECOND: Final = time(23, 59, 59)


def due(opened_at: datetime) -> datetime:
    """The last second, in UTC, of the next working day after that of `opened_at` in London.

    What is opened on a Friday evening, or on a Saturday, is due on Monday, and on Tuesday where Monday is a bank
    holiday. Raises ValueError for a time without a zone: nobody could tell which day it was.
    """
    if opened_at.tzinfo is None:
        raise ValueError("a time without a time zone is no moment")
    day = next_working_day(opened_at.astimezone(LONDON).date())
    return datetime.combine(day, _LAST_SECOND, LONDON).astimezone(UTC)


def next_working_day(day: date) -> date:
    """The first working day after `day`."""
    day += timedelta(days=1)
    while not is_working_day(day):
        day += timedelta(days=1)
    return day


def is_working_day(day: date) -> bool:
    """Neither a weekend nor a bank holiday in England, moved ones among them."""
    return day.weekday() < _SATURDAY and day not in _bank_holidays()


@lru_cache(maxsize=1)
def _bank_holidays() -> Container[date]:
    """Made with the first case: the calendars of all the world take 18 MB, and many a worker never has a case."""
    from holidays import country_holidays

    return country_holidays("GB", subdiv="ENG")
