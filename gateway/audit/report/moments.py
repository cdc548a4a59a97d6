"""Moments as patients read them: `3 May 2026 at 10:04am`, by the clock on the wall in the United Kingdom."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

_LONDON: Final = ZoneInfo("Europe/London")
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def day_of(moment: datetime) -> str:
    """`3 May 2026` (NHS digital service manual, "Dates and times")."""
    local = moment.astimezone(_LONDON)
    return f"{local.day} {_MONTHS[local.month - 1]} {local.year}"


def time_of(moment: datetime) -> str:
    """`10:04am`; noon and midnight in words, since 12am misleads."""
    local = moment.astimezone(_LONDON)
    if local.minute == 0 and local.hour in (0, 12):
        return "midday" if local.hour else "midnight"
    return f"{local.hour % 12 or 12}:{local.minute:02d}{'pm' if local.hour >= 12 else 'am'}"


def when(moment: datetime) -> str:
    """Day and time."""
    return f"{day_of(moment)} at {time_of(moment)}"


def number_of(nhs_number: str) -> str:
    """An NHS number as people read it: `999 000 0409`."""
    return f"{nhs_number[:3]} {nhs_number[3:6]} {nhs_number[6:]}"
