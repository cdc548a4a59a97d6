"""The element tables of FHIR's releases, made from the models of `fhir.resources`.

`python -m tests.elements` (`make elements`) writes the files that `connectors.sdk.elements` reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Final

import msgspec
from fhir.resources import R4B, STU3
from fhir_core.fhirabstractmodel import FHIRAbstractModel
from pydantic.fields import FieldInfo

from connectors.sdk.elements import Element, Model

ROOT: Final = Path(__file__).parent.parent
FILES: Final = {
    R4B: ROOT / "connectors" / "sdk" / "elements_r4b.json",
    STU3: ROOT / "connectors" / "gp_connect" / "stu3" / "elements_stu3.json",
}
_COMPLEX: Final = re.compile(r"abc\.(\w+)Type\b")
_PRIMITIVE: Final = re.compile(r"\b(?:fhir_core\.types\.)?(\w+)(?: object at |\()")
_SIBLING: Final = "FHIRPrimitiveExtension"
_NOT_CONTENT: Final = frozenset({"fhir_comments", "resourceType"})


@cache
def models(release: ModuleType) -> dict[str, type[FHIRAbstractModel]]:
    """All types of a release, by name."""
    found: dict[str, type[FHIRAbstractModel]] = {}
    for module in iter_modules(release.__path__):
        if not module.ispkg:
            made = import_module(f"{release.__name__}.{module.name}")
            found |= {name: one for name, one in vars(made).items() if _is_model(one, made.__name__)}
    return dict(sorted(found.items()))


def table(model: type[FHIRAbstractModel]) -> dict[str, Element]:
    """All elements of a type, those of its bases among them."""
    return dict(_elements(model))


def tables(release: ModuleType) -> dict[str, Model]:
    """The content of a release's file."""
    every = models(release)
    return {name: _own(model, every) for name, model in every.items()}


def _is_model(one: Any, module: str) -> bool:
    return isinstance(one, type) and issubclass(one, FHIRAbstractModel) and one.__module__ == module


def _own(model: type[FHIRAbstractModel], every: dict[str, type[FHIRAbstractModel]]) -> Model:
    base = next((one for one in model.__mro__[1:] if every.get(one.__name__) is one), None)
    inherited = table(base) if base else {}
    own = {name: element for name, element in _elements(model) if inherited.get(name) != element}
    return Model(base.__name__ if base else "", own)


def _elements(model: type[FHIRAbstractModel]) -> Iterator[tuple[str, Element]]:
    for name, field in model.model_fields.items():
        if name not in _NOT_CONTENT and (kind := _type(field)) != _SIBLING:
            yield field.alias or name, _element(kind, field)


def _element(kind: str, field: FieldInfo) -> Element:
    facts: dict[str, Any] = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    return Element(
        type=kind,
        many="List[" in str(field.annotation),
        required=field.is_required() or bool(facts.get("element_required")),
        choice=facts.get("one_of_many", ""),
        choice_required=bool(facts.get("one_of_many_required")),
        targets=tuple(facts.get("enum_reference_types", ())) if kind == "Reference" else (),
        summary=bool(facts.get("summary_element_property")),
    )


def _type(field: FieldInfo) -> str:
    described = str(field.annotation)
    if complex_type := _COMPLEX.search(described):
        return complex_type[1]
    if "bool" in described:
        return "boolean"
    names = _PRIMITIVE.findall(described)
    name: str = names[-1] if names else "string"
    return "uuid" if name == "UuidVersion" else name[0].lower() + name[1:]


def written(release: ModuleType) -> str:
    """The file of a release: a line an element, so that a newer release reads as a difference."""
    return "{\n" + ",\n".join(_lines(name, model) for name, model in tables(release).items()) + "\n}\n"


def _lines(name: str, model: Model) -> str:
    elements = ",\n".join(f' "{one}": {_json(element)}' for one, element in model.elements.items())
    return f'"{name}": {{"base": "{model.base}", "elements": {{\n{elements}\n}}}}'


def _json(element: Element) -> str:
    return msgspec.json.format(msgspec.json.encode(element), indent=0).decode()


if __name__ == "__main__":
    for release, file in FILES.items():
        file.write_text(written(release), encoding="utf-8")
