"""A birth date as people type it into a form of ours: day, month and year."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from gateway.web.moments import today

_FIELDS: Final = ("birthdate[day]", "birthdate[month]", "birthdate[year]")
"""As `form-parts.jinja` names them."""
_OLDEST: Final = 1850
"""A year before it is a slip (`61`, `196`). It isn't counted from today, since records of the dead are asked for, too:
ten-digit NHS numbers exist since 1996, and nobody who lived then was born before."""


def birth_date(fields: Mapping[str, str]) -> str:
    """As FHIR writes it. Raises ValueError with what to do, which repeats nothing that was typed.

    Nobody is born tomorrow by the clock in London, whose day is a patient's here: after midnight in summer it is still
    yesterday by UTC, and a child that was just born would be refused.
    """
    day, month, year = typed = [fields.get(name, "").strip() for name in _FIELDS]
    if not any(typed):
        raise ValueError("Enter the date of birth")
    if not all(part.isascii() and part.isdigit() and len(part) <= len("2000") for part in typed):
        raise ValueError("Date of birth must have a day, a month and a year in numbers, such as 15 3 1984")
    try:
        born = date(int(year), int(month), int(day))
    except ValueError:
        raise ValueError("Date of birth must be a real date") from None
    if not born.year >= _OLDEST or born > today():
        raise ValueError("Date of birth must be in the past, with all four digits of the year")
    return born.isoformat()
