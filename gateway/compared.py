"""What is compared between the members of a same-as group, as text that a reader can judge.

A reader gives the source's own words and digits; "" where the resource doesn't say. Letter case and spacing don't make
a conflict: one that isn't teaches readers to overlook those that are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

Resource = dict[str, Any]
Read = Callable[[Resource], str]
UNREADABLE: Final = (AttributeError, LookupError, TypeError, ValueError)
"""What reading a resource of a shape that nobody foresaw raises."""


def folded(text: str) -> str:
    """What two values are compared by."""
    return " ".join(text.casefold().split())


def _plain(name: str) -> Read:
    def read(resource: Resource) -> str:
        value = resource.get(name)
        return value.strip() if isinstance(value, str) else ""

    return read


def _coded(name: str) -> Read:
    def read(resource: Resource) -> str:
        value = resource.get(name)
        codings = value.get("coding", ()) if isinstance(value, dict) else ()
        return ", ".join(sorted({str(coding["code"]) for coding in codings if coding.get("code")}))

    return read


def _dosage(resource: Resource) -> str:
    """The instructions in words, else as far as they are structured."""
    return _joined("; ", ((dosage.get("text") or _structured(dosage)).strip() for dosage in _dosages(resource)))


def _dose(resource: Resource) -> str:
    """The structured dose: the words may agree ("as directed") where this doesn't."""
    return _joined("; ", map(_structured, _dosages(resource)))


def _dosages(resource: Resource) -> Iterable[Resource]:
    return resource.get("dosage") or resource.get("dosageInstruction") or ()


def _structured(dosage: Resource) -> str:
    rates = _joined(", ", (_rate(rate) for rate in dosage.get("doseAndRate", ())))
    return _joined(", ", (rates, _timing(dosage.get("timing", {})), "as needed" if _as_needed(dosage) else ""))


def _rate(rate: Resource) -> str:
    amounts = (
        _quantity(rate.get("doseQuantity", {})),
        _range(rate.get("doseRange", {})),
        _quantity(rate.get("rateQuantity", {})),
        _range(rate.get("rateRange", {})),
    )
    return _joined(" at ", amounts)


def _range(limits: Resource) -> str:
    return _joined(" to ", (_quantity(limits.get("low", {})), _quantity(limits.get("high", {}))))


def _quantity(quantity: Resource) -> str:
    return _joined(" ", (_digits(quantity.get("value")), str(quantity.get("unit") or quantity.get("code") or "")))


def _digits(value: object) -> str:
    """A number with the digits that the source sent: never in the exponent form that Python prefers for small ones."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return "" if value is None else str(value)


def _timing(timing: Resource) -> str:
    code = timing.get("code", {})
    named = code.get("text") or _joined(", ", (str(coding.get("code", "")) for coding in code.get("coding", ())))
    repeat = timing.get("repeat", {})
    often = _joined(" per ", (_digits(repeat.get("frequency")), _period(repeat)))
    return _joined(", ", (named, often, *_texts(repeat.get("when", ())), *_texts(repeat.get("timeOfDay", ()))))


def _period(repeat: Resource) -> str:
    return _joined(" ", (_digits(repeat.get("period")), str(repeat.get("periodUnit", ""))))


def _as_needed(dosage: Resource) -> bool:
    return bool(dosage.get("asNeededBoolean") or dosage.get("asNeededCodeableConcept"))


def _instruction(resource: Resource) -> str:
    """An order not to give a medicine looks like the medicine itself."""
    if resource.get("resourceType") not in ("MedicationRequest", "MedicationStatement"):
        return ""
    return "not to be given" if resource.get("doNotPerform") is True else "to be given"


def _name(part: str) -> Read:
    def read(patient: Resource) -> str:
        names = sorted(patient.get("name", ()), key=lambda name: _USES.get(name.get("use", ""), len(_USES)))
        value = names[0].get(part, "") if names else ""
        return " ".join(_texts(value if isinstance(value, list) else [value]))

    return read


def _deceased(patient: Resource) -> str:
    when, is_deceased = patient.get("deceasedDateTime"), patient.get("deceasedBoolean")
    if when or is_deceased is True:
        return "deceased"
    return "living" if is_deceased is False else ""


def _texts(values: Iterable[object]) -> Iterable[str]:
    """The words among them: R4 allows a null in a list of texts, where an extension beside it says why."""
    return (value for value in values if isinstance(value, str))


def _joined(separator: str, parts: Iterable[str]) -> str:
    return separator.join(part for part in parts if part)


_USES: Final = {"official": 0, "usual": 1, "": 2}

OF_ENTRIES: Final[Mapping[str, Read]] = {
    "status": _plain("status"),
    "doNotPerform": _instruction,
    "dosage": _dosage,
    "dose": _dose,
    "clinicalStatus": _coded("clinicalStatus"),
    "verificationStatus": _coded("verificationStatus"),
    "criticality": _plain("criticality"),
}
"""What may differ between two records of one medicine, allergy, problem or immunisation."""

OF_PATIENTS: Final[Mapping[str, Read]] = {
    "name.family": _name("family"),
    "name.given": _name("given"),
    "birthDate": _plain("birthDate"),
    "gender": _plain("gender"),
    "deceased": _deceased,
}
"""What tells one person from another, and the living from the dead."""
