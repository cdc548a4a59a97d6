"""A medicine's dose, as the NHS Common User Interface writes it: name – form – DOSE 5 mg – route – frequency.

Digits and units are the source's own. Where it sent no structured dose its own words stand alone; where it sent both,
both are shown, since they may differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from connectors.sdk.model import Item
from gateway.compared import UNREADABLE, as_needed, dosages, folded, joined, limits, rate, timing
from gateway.summary.values import concept
from gateway.summary.words import Reader, medication_of

TOLD_AS_DOSE: Final = frozenset({"Dosage", "Dose", "Route"})
"""The facts that a dose line says instead."""
_TIMES: Final = {"1": "once", "2": "twice"}
_UNITS: Final = {
    "s": "second", "min": "minute", "h": "hour", "d": "day", "wk": "week", "mo": "month", "a": "year",
}  # fmt: skip
_OFTEN: Final = re.compile(rf"(?<![\w.] to )(?<![\w.])([0-9]+) per ([0-9.]+) ({'|'.join(_UNITS)})(?![\w])")


@dataclass(frozen=True, slots=True)
class Dose:
    """One instruction. `parts` are route, frequency and what else is structured; `text` is the source's own words."""

    amount: str
    parts: tuple[str, ...]
    text: str


def doses_of(item: Item) -> tuple[Dose, ...]:
    """In the source's order; nothing where they can't be read: the facts then say what there is."""
    try:
        return tuple(filter(None, map(_dose, dosages(item.resource))))
    except UNREADABLE:
        return ()


def form_of(item: Item, reader: Reader) -> str:
    """Tablet, solution…: where the medicine is a resource of its own that says so."""
    try:
        return concept(medication_of(item.resource, reader).get("form"))
    except UNREADABLE:
        return ""


def _dose(dosage: dict[str, Any]) -> Dose | None:
    amount = joined(", ", (rate(one) for one in dosage.get("doseAndRate", ())))
    often = often_in_words(timing(dosage.get("timing") or {}))
    parts = [concept(dosage.get("route")), often, "as needed" if as_needed(dosage) else "", *limits(dosage)]
    text = str(dosage.get("text") or "").strip()
    said = tuple(part for part in parts if part)
    if not (amount or said or text):
        return None
    return Dose(amount, said, "" if folded(text) == folded(joined(" ", (amount, *said))) else text)


def often_in_words(structured: str) -> str:
    """`once a day` for R4's `1 per 1 d`, in what is structured; what isn't as simple stays in its parts."""
    return _OFTEN.sub(lambda found: _in_words(found[1], found[2], _UNITS[found[3]]), structured)


def _in_words(times: str, period: str, unit: str) -> str:
    often = _TIMES.get(times, f"{times} times")
    if period == "1":
        return f"{often} {'an' if unit == 'hour' else 'a'} {unit}"
    every = f"every {period} {unit}s"
    return every if times == "1" else f"{often} {every}"
