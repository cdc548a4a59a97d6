"""The few pieces of R4 that every mapping writes, each in one place."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from connectors.sdk.model import NHS_NUMBER_SYSTEM

SNOMED: Final = "http://snomed.info/sct"
UCUM: Final = "http://unitsofmeasure.org"
ALLERGY_STATUS: Final = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"


def concept(system: str, code: str, text: str = "") -> dict[str, Any]:
    """A CodeableConcept of one code, with the words that the source shows for it."""
    coding = {"system": system, "code": code, **given(display=text or None)}
    return {"coding": [coding], **given(text=text or None)}


def nhs_number(value: str) -> list[dict[str, str]]:
    """The identifiers of a Patient who has the NHS number as the only one."""
    return [{"system": NHS_NUMBER_SYSTEM, "value": value}]


def quantity(value: Decimal | int, unit: str) -> dict[str, Any]:
    """A Quantity in a unit of UCUM; the value keeps the digits that it came with."""
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def note(text: str | None) -> list[dict[str, str]] | None:
    """What somebody wrote beside it, or None where nobody did."""
    return [{"text": text}] if text else None


def address(text: str | None) -> list[dict[str, str]] | None:
    """An address as the one text that the source has, or None."""
    return [{"text": text}] if text else None


def given(**elements: Any) -> dict[str, Any]:
    """Those elements that the source gave: R4 has no empty ones."""
    return {name: value for name, value in elements.items() if value is not None}
