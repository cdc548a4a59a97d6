"""Whom a call is about: NHS number and birth date as the caller on the phone says them."""

from __future__ import annotations

from typing import Any, NamedTuple

from gateway.api.birth_date import birth_date
from gateway.choice.number import nhs_number_of
from gateway.errors import BadRequest


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
        return cls(nhs_number_of(number), _birth_date(fields))

    @classmethod
    def opened(cls, about: dict[str, Any]) -> Person:
        """From what a page's address was sealed of."""
        return cls(str(about["number"]), str(about["born"]), bool(about["checked"]))

    @property
    def about(self) -> dict[str, Any]:
        """To be sealed into an address."""
        return {"number": self.nhs_number, "born": self.birth_date, "checked": self.is_checked}


def _birth_date(fields: dict[str, str]) -> str:
    try:
        return birth_date(fields)
    except ValueError as error:
        raise BadRequest(str(error), rule="form.birth-date", expression="birthDate") from error
