"""Days, as the forms of the office ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from gateway.errors import BadRequest

_LONDON: Final = ZoneInfo("Europe/London")
RULE: Final = "form.period"


def period_of(fields: Mapping[str, str]) -> tuple[str, str]:
    """`since` and `until` as days in the calendar's own order, "" where none is given. Raises BadRequest."""
    since, until = (_day(fields.get(name, "").strip(), name) for name in ("since", "until"))
    if since and until and since > until:
        raise BadRequest("The last day is before the first.", rule=RULE, expression="until")
    return since, until


def begins(day: str) -> datetime | None:
    """The day's first moment in London."""
    return datetime.combine(date.fromisoformat(day), time(), _LONDON) if day else None


def is_over(day: str) -> datetime | None:
    """The moment when the day is over in London: the next one's first."""
    return begins((date.fromisoformat(day) + timedelta(1)).isoformat()) if day else None


def _day(text: str, name: str) -> str:
    try:
        day = date.fromisoformat(text).isoformat() if text else ""
    except ValueError as error:
        raise BadRequest("Write the day like 2026-11-23.", rule=RULE, expression=name) from error
    if day and not "1900" <= day < "3000":
        raise BadRequest("Write a day of our time.", rule=RULE, expression=name)
    return day
