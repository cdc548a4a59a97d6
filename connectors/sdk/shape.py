"""The shape of FHIR R4 resources, checked at the speed of the JSON decoder.

For each resource type a `TypedDict` is made, once, from the element tables that `fhir.resources` carries; msgspec then
decodes straight into plain dicts and refuses a resource whose known elements have the wrong kind (a list where an
object belongs, a number where text does) or whose mandatory elements are missing. Nothing is converted: text stays
text, decimals keep their digits. Elements that R4 doesn't know are left to the caller (see `bundle.read_resource`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any, Final, Required, TypedDict

import msgspec
from fhir.resources.R4B import get_fhir_model_class
from pydantic.fields import FieldInfo

from connectors.sdk.model import SECTION_OF_TYPE, SUPPORTING_TYPES
from connectors.sdk.number import Number, as_it_is, read_number

# Real sources break R4's rule for ids (length, characters); only an empty one can't be told from another.
_Id = Annotated[str, msgspec.Meta(min_length=1)]
_OPEN: Final = frozenset({"Resource", "Extension", "FHIRPrimitiveExtension"})
_COMPLEX: Final = re.compile(r"abc\.(\w+)Type\b")
# `x[1]` of these must be present: R4's 1..1 choice elements, which the element tables mark only on the group.
_ONE_OF: Final = {
    "MedicationStatement": ("medicationCodeableConcept", "medicationReference"),
    "MedicationRequest": ("medicationCodeableConcept", "medicationReference"),
    "Immunization": ("occurrenceDateTime", "occurrenceString", "_occurrenceDateTime", "_occurrenceString"),
}


class BrokenShape(ValueError):
    """The resource does not have R4's shape; the text names the element, never its value."""


def decode(resource_type: str, raw: bytes | msgspec.Raw) -> dict[str, Any]:
    """The resource as a dict of its known elements. Raises BrokenShape, or msgspec.DecodeError for what isn't JSON."""
    try:
        resource: dict[str, Any] = decoder_for(resource_type).decode(raw)
    except msgspec.ValidationError as error:
        raise BrokenShape(str(error)) from error
    _check_choice(resource_type, resource)
    return resource


def check(resource: dict[str, Any]) -> None:
    """The same check for a resource that is a dict already (a contained one, or a mapped one). Raises BrokenShape."""
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or kind not in KNOWN_TYPES:
        return
    try:
        msgspec.convert(resource, type_for(kind), dec_hook=as_it_is)
    except msgspec.ValidationError as error:
        raise BrokenShape(str(error)) from error
    _check_choice(kind, resource)


KNOWN_TYPES: Final = frozenset(SECTION_OF_TYPE) | SUPPORTING_TYPES


def _check_choice(kind: str, resource: dict[str, Any]) -> None:
    for names in _mandatory(kind):
        if not any(name in resource for name in names):
            raise BrokenShape(f"Object missing `{names[0]}`")


@lru_cache(maxsize=64)
def _mandatory(kind: str) -> tuple[tuple[str, ...], ...]:
    """For each mandatory primitive or choice, the members of which one must be there (`_x` says why x is absent)."""
    primitives = [
        (str(field.alias), f"_{field.alias}")
        for field in get_fhir_model_class(kind).model_fields.values()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("element_required")
    ]
    return (*primitives, *([_ONE_OF[kind]] if kind in _ONE_OF else []))


@lru_cache(maxsize=64)
def decoder_for(resource_type: str) -> msgspec.json.Decoder[Any]:
    """The decoder of a resource type in `KNOWN_TYPES`."""
    return msgspec.json.Decoder(type_for(resource_type), float_hook=read_number, dec_hook=as_it_is)


@lru_cache(maxsize=64)
def type_for(resource_type: str) -> Any:
    """The TypedDict of a resource type."""
    return _typed_dict(resource_type, {}, frozenset())


def _typed_dict(name: str, made: dict[str, Any], inside: frozenset[str]) -> Any:
    if name in _OPEN or name in inside:
        return dict[str, Any]
    if name not in made:
        fields: dict[str, Any] = {"resourceType": Required[str], "id": Required[_Id]} if not inside else {}
        for field in get_fhir_model_class(name).model_fields.values():
            if field.alias and field.alias not in fields and field.alias != "fhir_comments":
                fields[field.alias] = _annotation(field, made, inside | {name})
        made[name] = TypedDict(f"R4{name}", fields, total=False)  # type: ignore[operator]
    return made[name]


def _annotation(field: FieldInfo, made: dict[str, Any], inside: frozenset[str]) -> Any:
    described = str(field.annotation)
    is_list = "List[" in described
    complex_type = _COMPLEX.search(described)
    kind: Any
    if complex_type is None:
        kind = _primitive(described)
        kind = list[kind | None] if is_list else kind
    elif complex_type[1] == "FHIRPrimitiveExtension":
        kind = list[dict[str, Any] | None] if is_list else dict[str, Any]
    else:
        kind = _typed_dict(complex_type[1], made, inside)
        kind = list[kind] if is_list else kind
    return Required[kind] if _is_required(field) else kind


def _is_required(field: FieldInfo) -> bool:
    # A mandatory primitive may be absent where its `_sibling` says why: `_mandatory` has those.
    return field.is_required()


def _primitive(described: str) -> Any:
    if "bool" in described:
        return bool
    if "Decimal" in described:
        return Number
    return int if re.search(r"\bint\b", described) else str
