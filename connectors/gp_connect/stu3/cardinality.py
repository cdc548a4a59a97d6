"""One where STU3 has a list, and a list of one where STU3 has one.

GP Connect's own published examples do both (`"generalPractitioner": {…}`, `"address": [{…}]`). Neither changes what is
said, and a Patient must not be lost for it. Which elements are lists is read from STU3's element tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from connectors.sdk.elements import Element, Release
from connectors.sdk.model import Resource

STU3: Final = Release(Path(__file__).with_name("elements_stu3.json"))
_OPEN: Final = frozenset({"Resource", "Extension"})


def fitted(node: Resource, model: str) -> Resource:
    """The object with each element as one or as a list, as STU3 has it; what neither way fits is left as it came."""
    elements = STU3.elements(model)
    return {
        name: _fitted(value, elements[name]) if name in elements and value is not None else value
        for name, value in node.items()
    }


def prepare(models: Iterable[str]) -> None:
    """Read the element tables now, rather than while the first patient is looked up."""
    waiting, read = list(models), set()
    while waiting:
        model = waiting.pop()
        if model not in read:
            read.add(model)
            waiting.extend(element.type for element in STU3.elements(model).values() if _is_known(element))


def _fitted(value: Any, element: Element) -> Any:
    if element.many:
        values = value if isinstance(value, list) else [value]
        return [_inside(one, element) for one in values]
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return _inside(value, element)


def _inside(value: Any, element: Element) -> Any:
    return fitted(value, element.type) if isinstance(value, dict) and _is_known(element) else value


def _is_known(element: Element) -> bool:
    return not element.is_primitive and element.type not in _OPEN
