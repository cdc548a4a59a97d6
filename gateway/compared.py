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


def joined(separator: str, parts: Iterable[str]) -> str:
    """Those parts that say something."""
    return separator.join(part for part in parts if part)


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
    return joined("; ", ((dosage.get("text") or _structured(dosage)).strip() for dosage in dosages(resource)))


def _dose(resource: Resource) -> str:
    """The structured dose: the words may agree ("as directed") where this doesn't."""
    return joined("; ", map(_structured, dosages(resource)))


def dosages(resource: Resource) -> Iterable[Resource]:
    """Of a MedicationStatement or MedicationRequest, which R4 has under two names."""
    return resource.get("dosage") or resource.get("dosageInstruction") or ()


def _structured(dosage: Resource) -> str:
    rates = joined(", ", (rate(one) for one in dosage.get("doseAndRate", ())))
    needed = "as needed" if as_needed(dosage) else ""
    return joined(", ", (rates, timing(dosage.get("timing", {})), needed, *limits(dosage)))


def rate(of: Resource) -> str:
    """How much, and how fast."""
    amounts = (
        _quantity(of.get("doseQuantity", {})),
        _range(of.get("doseRange", {})),
        _quantity(of.get("rateQuantity", {})),
        _range(of.get("rateRange", {})),
        _ratio(of.get("rateRatio", {}), " per "),
    )
    return joined(" at ", amounts)


def _ratio(ratio: Resource, between: str) -> str:
    return joined(between, (_quantity(ratio.get("numerator", {})), _quantity(ratio.get("denominator", {}))))


def limits(dosage: Resource) -> Iterable[str]:
    """What is the most, in words."""
    most = (
        _ratio(dosage.get("maxDosePerPeriod", {}), " in "),
        joined(" ", (_quantity(dosage.get("maxDosePerAdministration", {})), "at once")),
        joined(" ", (_quantity(dosage.get("maxDosePerLifetime", {})), "in all")),
    )
    return (f"at most {each}" for each in most if each not in ("", "at once", "in all"))


def _range(ends: Resource) -> str:
    return joined(" to ", (_quantity(ends.get("low", {})), _quantity(ends.get("high", {}))))


def _quantity(quantity: Resource) -> str:
    number = str(quantity.get("comparator") or "") + digits_of(quantity.get("value"))
    return joined(" ", (number, str(quantity.get("unit") or quantity.get("code") or "")))


def digits_of(value: object) -> str:
    """A number with the digits that the source sent: never in the exponent form that Python prefers for small ones."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return "" if value is None else str(value)


def timing(of: Resource) -> str:
    """How often, when and for how long, as far as it is structured."""
    code = of.get("code", {})
    named = code.get("text") or joined(", ", (str(coding.get("code", "")) for coding in code.get("coding", ())))
    repeat = of.get("repeat", {})
    often = joined(" per ", (_span(repeat, "frequency"), _with_unit(repeat, "period")))
    when = (*_texts(repeat.get("dayOfWeek", ())), *_texts(repeat.get("when", ())), *_texts(repeat.get("timeOfDay", ())))
    times, long = _span(repeat, "count"), _with_unit(repeat, "duration")
    more = (
        f"{digits_of(repeat.get('offset'))} min from it" if "offset" in repeat else "",
        f"over {long}" if long else "",
        _bounds(repeat),
        f"{times} times in all" if times else "",
        *_texts(of.get("event", ())),
    )
    return joined(", ", (named, often, *when, *more))


def _span(repeat: Resource, name: str) -> str:
    """A number, or from one to another."""
    return joined(" to ", (digits_of(repeat.get(name)), digits_of(repeat.get(f"{name}Max"))))


def _with_unit(repeat: Resource, name: str) -> str:
    return joined(" ", (_span(repeat, name), str(repeat.get(f"{name}Unit", ""))))


def _bounds(repeat: Resource) -> str:
    """For how long, as a duration, a range, or from one day to another."""
    long = _quantity(repeat.get("boundsDuration", {})) or _range(repeat.get("boundsRange", {}))
    period = repeat.get("boundsPeriod", {})
    dates = (f"{word} {period[name]}" for word, name in (("from", "start"), ("until", "end")) if name in period)
    return f"for {long}" if long else joined(" ", dates)


def as_needed(dosage: Resource) -> bool:
    """Whether it is taken only when it is needed."""
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
