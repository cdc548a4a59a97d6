"""R4's data types in words: the source's own text, digits and units, never rounded, never translated.

What isn't of the shape that R4 gives it raises one of `UNREADABLE`, and the reader is then sent to the entry itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from gateway.compared import joined

Json = Mapping[str, Any]
Moment = Callable[[str], str]
"""How a reader's dates and times are written, from FHIR's own form."""


def digits(value: object) -> str:
    """A number as its source wrote it. Python would write a small one with an exponent that wasn't there."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal) and int(value.as_tuple().exponent) < 0:
        return format(value, "f")
    return "" if value is None else str(value)


def concept(found: Json | None) -> str:
    """The text; else each coding's own words, or its bare code where it has none."""
    if not found:
        return ""
    if text := found.get("text"):
        return str(text)
    codings = (str(coding.get("display") or coding.get("code") or "") for coding in found.get("coding", ()))
    return joined(", ", dict.fromkeys(codings))


def concepts(found: Iterable[Json] | None) -> str:
    """Several, in their order."""
    return joined(", ", map(concept, found or ()))


def reference(found: Json | None) -> str:
    """How a reference names what it leads to; the reference itself is in the entry."""
    return str((found or {}).get("display") or "")


def notes(found: Iterable[Json] | None) -> str:
    """Notes, whole."""
    return joined(" / ", (str(note.get("text") or "") for note in found or ()))


def when(found: object, moment: Moment = str) -> str:
    """A date or time as it was written, or as `moment` writes one; a period from and to; an age or range with its
    units."""
    if isinstance(found, str):
        return moment(found)
    if not isinstance(found, dict):
        return ""
    if "start" in found or "end" in found:
        ends = ((word, found.get(end)) for word, end in (("from", "start"), ("to", "end")))
        return joined(" ", (f"{word} {moment(str(end))}" for word, end in ends if end))
    if "event" in found or "repeat" in found:
        return joined(", ", (*(moment(str(event)) for event in found.get("event", ())), concept(found.get("code"))))
    return _range(found) if "low" in found or "high" in found else _quantity(found)


def choice(resource: Json, name: str, moment: Moment = str) -> str:
    """`value[x]` and its like: whichever type the source chose."""
    for suffix, read in _OF_CHOICE.items():
        if (found := resource.get(name + suffix)) is not None:
            return when(found, moment) if read is when else read(found)
    return ""


def _quantity(found: Json) -> str:
    """With its comparator: `<5` is not 5."""
    amount = f"{found.get('comparator') or ''}{digits(found.get('value'))}"
    return joined(" ", (amount, str(found.get("unit") or found.get("code") or "")))


def _range(found: Json) -> str:
    low, high = (_quantity(found[end]) if found.get(end) else "" for end in ("low", "high"))
    if low and high:
        return f"{low} to {high}"
    return f"at least {low}" if low else f"at most {high}" if high else ""


def _ratio(found: Json) -> str:
    return joined(" / ", (_quantity(found.get(part) or {}) for part in ("numerator", "denominator")))


def _samples(found: Json) -> str:
    """A curve isn't put into words."""
    return f"a series of measurements, origin {_quantity(found.get('origin') or {})} (see the entry)"


_OF_CHOICE: Final[Mapping[str, Callable[[Any], str]]] = {
    "Quantity": _quantity,
    "CodeableConcept": concept,
    "String": str,
    "Boolean": digits,
    "Integer": digits,
    "PositiveInt": digits,
    "Range": _range,
    "Ratio": _ratio,
    "SampledData": _samples,
    "Time": str,
    "DateTime": when,
    "Date": when,
    "Instant": when,
    "Period": when,
    "Timing": when,
    "Age": _quantity,
}
