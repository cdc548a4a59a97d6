"""The fields of the form that finds a patient: as people type them, and what to say where they can't be taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connectors.sdk.nhs_number import parse_nhs_number
from gateway.api.birth_date import birth_date
from gateway.api.staff import Misfilled
from gateway.errors import BadRequest
from gateway.search.parse import RawPairs
from gateway.search.person import Person, parse_person

_RULE: Final = "form.find"
_SAYS: Final = {
    "family": "Enter the whole last name as it is written, without a star or a number",
    "given": "Enter the whole first name as it is written, without a star or a number",
    "birthdate": "Enter a real date of birth",
    "gender": "Choose one of the genders, or leave it open",
    "address-postalcode": "Enter a whole postcode, such as SE13 6LH, or leave it empty",
}
"""By the name of the search's parameter, which is the name of the field too."""


def number_and_birth_date(fields: Mapping[str, str]) -> tuple[str, str]:
    """The ten digits, and the birth date as FHIR writes it. Raises Misfilled with everything that is wrong."""
    errors = []
    number, born = "", ""
    try:
        number = parse_nhs_number(fields.get("nhs-number", ""))
    except ValueError as error:
        errors.append(("nhs-number", str(error)))
    try:
        born = birth_date(fields)
    except ValueError as error:
        errors.append(("birthdate-day", str(error)))
    if errors:
        raise Misfilled(errors, rule=_RULE)
    return number, born


def person(fields: Mapping[str, str]) -> Person:
    """Who is sought. Raises Misfilled with everything that is wrong."""
    typed = {name: " ".join(fields.get(name, "").split()) for name in _SAYS}
    errors = {name: _SAYS[name] for name in ("family", "given") if not typed[name]}
    try:
        typed["birthdate"] = birth_date(fields)
    except ValueError as error:
        errors["birthdate"], typed["birthdate"] = str(error), "1900-01-01"
    for name in _wrong({name: value for name, value in typed.items() if name not in errors}):
        errors[name] = _SAYS[name]
    if errors:
        raise Misfilled([(_field(name), errors[name]) for name in _SAYS if name in errors], rule=_RULE)
    return parse_person(_pairs(typed))


def _field(name: str) -> str:
    return "birthdate-day" if name == "birthdate" else name


def _pairs(typed: Mapping[str, str]) -> RawPairs:
    return [(name, value) for name, value in typed.items() if value]


def _wrong(typed: Mapping[str, str]) -> list[str]:
    """The names of those that the search wouldn't take: each is tried beside others that it takes."""
    right = {"family": "A", "given": "A", "birthdate": "1900-01-01"}
    found = []
    for name, value in typed.items():
        try:
            parse_person(_pairs({**right, name: value}))
        except BadRequest:
            found.append(name)
    return found
