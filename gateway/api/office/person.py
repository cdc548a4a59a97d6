"""Whom a call is about: NHS number and birth date as the caller on the phone says them."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from gateway.choice.number import nhs_number_of
from gateway.errors import BadRequest

_LONDON: Final = ZoneInfo("Europe/London")
_DIGITS: Final = re.compile(r"[0-9]{1,4}", re.ASCII)
_OLDEST: Final = 130
"""Years. Nobody who can be meant is older; a year in two digits is a slip."""


class Person(NamedTuple):
    """Ten digits, and a birth date as FHIR writes it. `is_checked`: the register says that they go together."""

    nhs_number: str
    birth_date: str
    is_checked: bool = False

    @classmethod
    def of(cls, fields: dict[str, str]) -> Person:
        """From a form. Raises BadRequest with what to mend."""
        number = fields.get("nhsNumber", "")
        if not number.strip():
            raise BadRequest("Enter the NHS number, 10 digits.", rule="form.incomplete", expression="nhsNumber")
        return cls(nhs_number_of(number), birth_date_of(fields))

    @classmethod
    def opened(cls, about: dict[str, Any]) -> Person:
        """From what a page's address was sealed of."""
        return cls(str(about["number"]), str(about["born"]), bool(about["checked"]))

    @property
    def about(self) -> dict[str, Any]:
        """To be sealed into an address."""
        return {"number": self.nhs_number, "born": self.birth_date, "checked": self.is_checked}


def birth_date_of(fields: dict[str, str]) -> str:
    """A day that there was, from three fields. Raises BadRequest."""
    day, month, year = (fields.get(name, "").strip() for name in ("day", "month", "year"))
    if not (day and month and year):
        raise _no_birth_date("Enter the date of birth: day, month and year.")
    if not all(map(_DIGITS.fullmatch, (day, month, year))):
        raise _no_birth_date("Write the date of birth in digits, such as 12 3 1961.")
    today = datetime.now(_LONDON).date()
    try:
        born = date(int(year), int(month), int(day))
    except ValueError as error:
        raise _no_birth_date("There is no such day. Check the date of birth.") from error
    if born > today:
        raise _no_birth_date("The date of birth must be in the past.")
    if today.year - born.year > _OLDEST:
        raise _no_birth_date("Write the year of birth in four digits, and check it.")
    return born.isoformat()


def _no_birth_date(told: str) -> BadRequest:
    return BadRequest(told, rule="form.birth-date", expression="birthDate")
