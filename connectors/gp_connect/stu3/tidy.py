"""What holds for every resource, wherever in it: one walk, and the result is a copy.

Empty text goes (R4 forbids it). References follow R4's names of types, code systems and extensions R4's or UK Core's.
Blanks around a code or a system go, and a Quantity's value that came as text becomes the number with the same digits:
both are in published examples of GP Connect, and neither is legal in any version. Nothing else changes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from connectors.gp_connect.stu3 import naming
from connectors.gp_connect.stu3.reasons import COMMENTS, EMPTY_TEXT, EXTENSION_WITHOUT_CONTENT
from connectors.sdk.model import Resource

MAX_DEPTH: Final = 40
"""Well under the gateway's own bound, which refuses a whole answer; no real resource has more than fifteen levels."""

_NOTHING: Final = object()
_NUMBERS: Final = frozenset({int, bool, Decimal})
_TRIMMED: Final = frozenset({"code", "system"})
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?")
_QUANTITIES: Final = frozenset(
    {"quantity", "expectedSupplyDuration", "low", "high", "numerator", "denominator", "length"}
)
_EXTENSIONS: Final = frozenset({"extension", "modifierExtension"})


class NotStu3(ValueError):
    """The resource doesn't have STU3's shape. The text names the element, never its value."""


class Tidier:
    """The walk. `moved` has the relative reference in place of a `urn:uuid:` (in lower case), or of a contained one."""

    def __init__(self, moved: Mapping[str, str], left_out: Counter[str]) -> None:
        self._moved = moved
        self._left_out = left_out

    def resource(self, resource: Resource) -> Resource:
        """The same resource, tidied. Raises NotStu3 for what isn't FHIR's JSON, or is nested absurdly."""
        tidied = self._object(resource, 1)
        return {} if tidied is _NOTHING else tidied

    def _value(self, name: str, value: Any, depth: int, keeps_places: bool) -> Any:
        kind = type(value)
        if kind is str:
            return self._text(name, value)
        if depth > MAX_DEPTH:
            raise NotStu3("nested too deeply")
        if name in _EXTENSIONS:
            return self._extensions(name, value, depth)
        if kind is dict:
            return self._object(value, depth, name)
        if kind is list:
            return self._list(name, value, depth, keeps_places)
        if value is not None and kind not in _NUMBERS:
            raise NotStu3(f"{name} is no value of JSON")
        return _NOTHING if value is None else value

    def _object(self, node: dict[str, Any], depth: int, parent: str = "") -> Any:
        tidied: dict[str, Any] = {}
        for name, value in node.items():
            if name == COMMENTS:
                self._left_out[COMMENTS] += 1
                continue
            keeps_places = name.startswith("_") or f"_{name}" in node
            found = self._value(name, value, depth + 1, keeps_places)
            if found is not _NOTHING:
                tidied[name] = found
        if (parent in _QUANTITIES or parent.endswith("Quantity")) and isinstance(tidied.get("value"), str):
            tidied["value"] = _number(tidied["value"])
        return tidied or _NOTHING

    def _list(self, name: str, values: list[Any], depth: int, keeps_places: bool) -> Any:
        """In a list that has a sibling with extensions, a null keeps the place of what is empty."""
        if any(isinstance(value, list) for value in values):
            raise NotStu3(f"{name} has a list in a list")
        found = [self._value(name, value, depth + 1, keeps_places=False) for value in values]
        kept = [None if one is _NOTHING else one for one in found if keeps_places or one is not _NOTHING]
        return kept if any(one is not None for one in kept) else _NOTHING

    def _text(self, name: str, text: str) -> Any:
        if not text.strip():
            self._left_out[EMPTY_TEXT] += 1
            return _NOTHING
        if name in _TRIMMED:
            text = text.strip()
        if name == "system":
            return naming.code_system(text)
        return self._reference(text) if name == "reference" else text

    def _reference(self, text: str) -> str:
        """Absolute references stay: whose server they mean is for the gateway's guard to judge, not for us."""
        return self._moved.get(text) or self._moved.get(text.lower()) or naming.target(text)

    def _extensions(self, name: str, values: Any, depth: int) -> Any:
        values = [values] if isinstance(values, dict) else values
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            raise NotStu3(f"{name} is no list of extensions")
        found = [self._extension(value, depth + 1) for value in values]
        kept = [extension for extension in found if extension is not _NOTHING]
        if name == "modifierExtension" and len(kept) < len(found):
            raise NotStu3("a modifier that can't be kept")
        return kept or _NOTHING

    def _extension(self, node: dict[str, Any], depth: int) -> Any:
        tidied = self._object(node, depth)
        url = None if tidied is _NOTHING else tidied.get("url")
        if not isinstance(url, str) or not any(key.startswith("value") or key == "extension" for key in tidied):
            self._left_out[EXTENSION_WITHOUT_CONTENT] += 1
            return _NOTHING
        tidied["url"] = naming.extension_url(url)
        return _REVALUED.get(naming.extension_name(url), _as_it_is)(tidied)


def _number(text: str) -> Decimal | int:
    if not _NUMBER.fullmatch(text):
        raise NotStu3("a quantity's value is no number")
    return Decimal(text) if "." in text else int(text)


def _as_it_is(extension: Resource) -> Resource:
    return extension


def _description(extension: Resource) -> Resource:
    """SNOMED's description of a coding: UK Core has its id as an Identifier. Some sources write a capital D."""
    for part in extension.get("extension", ()):
        url = str(part.get("url"))
        if url in ("descriptionId", "DescriptionID"):
            part["url"] = "descriptionId"
            if "valueId" in part:
                part["valueIdentifier"] = {"system": naming.SNOMED, "value": part.pop("valueId")}
        elif url == "DescriptionDisplay":
            part["url"] = "descriptionDisplay"
    return extension


def _delivery_channel(extension: Resource) -> Resource:
    """A code in STU3, a CodeableConcept with the same code in UK Core."""
    if "valueCode" in extension:
        coding = {"system": f"{naming.UK_CORE_CODES}DeliveryChannel", "code": extension.pop("valueCode")}
        extension["valueCodeableConcept"] = {"coding": [coding]}
    return extension


_REVALUED: Final = {"coding-sctdescid": _description, "DeliveryChannel": _delivery_channel}
