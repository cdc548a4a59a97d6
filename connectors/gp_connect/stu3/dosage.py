"""Dosage: R4 gathers dose and rate in `doseAndRate`; all else of an instruction is the same."""

from __future__ import annotations

from typing import Any, Final

from connectors.gp_connect.stu3.rules import Draft, Rule, objects
from connectors.sdk.model import Resource

_GATHERED: Final = ("doseQuantity", "doseRange", "rateQuantity", "rateRange", "rateRatio")


def dosages(name: str) -> Rule:
    """The rule of an element that is a list of Dosage."""

    def rule(draft: Draft, value: Any) -> None:
        draft.r4[name] = [_dosage(dosage) for dosage in objects(value, name)]

    return rule


def _dosage(dosage: Resource) -> Resource:
    gathered = {element: dosage[element] for element in _GATHERED if element in dosage}
    rest = {element: value for element, value in dosage.items() if element not in _GATHERED}
    return rest | {"doseAndRate": [gathered]} if gathered else rest
