"""Moments as staff read them: the clock of London, the date as the Common User Interface writes it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from gateway.web.words import day

_LONDON: Final = ZoneInfo("Europe/London")


def moment(at: datetime) -> str:
    """`23-Nov-2026 04:15`"""
    return f"{day(at.astimezone(_LONDON).date().isoformat())} {clock_time(at)}"


def clock_time(at: datetime) -> str:
    """`04:15`"""
    return f"{at.astimezone(_LONDON):%H:%M}"


def today() -> date:
    """The day that it is by the clock in London."""
    return datetime.now(_LONDON).date()
