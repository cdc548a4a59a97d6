"""One where STU3 has a list, and a list of one where STU3 has one.

GP Connect's own published examples do both (`"generalPractitioner": {…}`, `"address": [{…}]`). Neither changes what is
said, and a Patient must not be lost for it. Which elements are lists is read from the element tables that
`fhir.resources` carries; no resource is ever passed through its models.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from fhir.resources.STU3 import get_fhir_model_class

from connectors.sdk.model import Resource

_COMPLEX: Final = re.compile(r"abc\.(\w+)Type\b")
_OPEN: Final = frozenset({"Resource", "Extension", "FHIRPrimitiveExtension"})


@dataclass(frozen=True, slots=True)
class _Element:
    is_list: bool
    model: str | None


def fitted(node: Resource, model: str) -> Resource:
    """The object with each element as one or as a list, as STU3 has it; what neither way fits is left as it came."""
    elements = _elements(model)
    return {
        name: _fitted(value, elements[name]) if name in elements and value is not None else value
        for name, value in node.items()
    }


def prepare(models: Iterable[str]) -> None:
    """Read the element tables now (a quarter of a second), rather than while the first patient is looked up."""
    waiting, read = list(models), set()
    while waiting:
        model = waiting.pop()
        if model not in read:
            read.add(model)
            waiting.extend(element.model for element in _elements(model).values() if element.model is not None)


def _fitted(value: Any, element: _Element) -> Any:
    if element.is_list:
        values = value if isinstance(value, list) else [value]
        return [_inside(one, element) for one in values]
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return _inside(value, element)


def _inside(value: Any, element: _Element) -> Any:
    return fitted(value, element.model) if isinstance(value, dict) and element.model is not None else value


@lru_cache(maxsize=256)
def _elements(model: str) -> Mapping[str, _Element]:
    """The elements of a type; not the siblings of primitives, whose lists follow the primitives' own."""
    found = {}
    for field in get_fhir_model_class(model).model_fields.values():
        described = str(field.annotation)
        complex_type = _COMPLEX.search(described)
        name = str(field.alias)
        if not name.startswith("_"):
            inner = complex_type[1] if complex_type and complex_type[1] not in _OPEN else None
            found[name] = _Element("List[" in described, inner)
    return found
