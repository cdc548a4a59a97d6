"""The shape of FHIR R4 resources, checked at the speed of the JSON decoder.

For each resource type a `TypedDict` is made, once, from R4's element tables; msgspec then decodes straight into plain
dicts and refuses a resource whose known elements have the wrong kind (a list where an object belongs, a number where
text does) or whose mandatory elements are missing. Nothing is converted: text stays text, decimals keep their digits.
Elements that R4 doesn't know are left to the caller (see `bundle.read_resource`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final, Required, TypedDict

import msgspec

from connectors.sdk.elements import R4, Element
from connectors.sdk.model import SECTION_OF_TYPE, SUPPORTING_TYPES
from connectors.sdk.number import Number, as_it_is, read_number

# Real sources break R4's rule for ids (length, characters); only an empty one can't be told from another.
_Id = Annotated[str, msgspec.Meta(min_length=1)]
_OPEN: Final = frozenset({"Resource", "Extension"})
# A Reference holds an Identifier that holds a Reference…: the second time round, anything goes.
_CYCLE: Final = frozenset({"Reference", "Identifier"})
_WHOLE: Final = ("integer", "positiveInt", "unsignedInt")
_PRIMITIVES: Final = {"boolean": bool, "decimal": Number, **dict.fromkeys(_WHOLE, int)}
"""What JSON has for a primitive; for those not named, text."""


class BrokenShape(ValueError):
    """The resource does not have R4's shape; the text names the element, never its value."""


def decode(resource_type: str, raw: bytes | msgspec.Raw) -> dict[str, Any]:
    """The resource as a dict of its known elements. Raises BrokenShape, or msgspec.DecodeError for what isn't JSON."""
    try:
        resource: dict[str, Any] = decoder_for(resource_type).decode(raw)
    except msgspec.ValidationError as error:
        raise BrokenShape(str(error)) from error
    _obey(rule_for(resource_type), resource)
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
    _obey(rule_for(kind), resource)


KNOWN_TYPES: Final = frozenset(SECTION_OF_TYPE) | SUPPORTING_TYPES


@dataclass(frozen=True, slots=True)
class Rule:
    """What a TypedDict can't say about an object: `needed`, one of each of these must be there (a mandatory primitive
    `x`, or the `_x` that says why it is absent; a mandatory `x[1]`); `single`, at most one of each of these (`x[1]`);
    and the same for the elements `inside` it.
    """

    needed: tuple[tuple[str, ...], ...]
    single: tuple[frozenset[str], ...]
    inside: tuple[tuple[str, Rule], ...]


NO_RULE: Final = Rule((), (), ())


def _obey(rule: Rule, node: dict[str, Any]) -> None:
    for names in rule.needed:
        if names[0] not in node and node.keys().isdisjoint(names):
            raise BrokenShape(f"Object missing `{names[0]}`")
    for group in rule.single:
        if len(group.intersection(node)) > 1:
            raise BrokenShape(f"Object with two of `{min(group)}` and its like")
    for name, inner in rule.inside:
        if name in node:
            value = node[name]
            for child in value if type(value) is list else (value,):
                _obey(inner, child)


@lru_cache(maxsize=64)
def rule_for(kind: str) -> Rule:
    """The rule of a resource type in `KNOWN_TYPES`."""
    return _rule(kind, frozenset()) or NO_RULE


def _rule(kind: str, around: frozenset[str]) -> Rule | None:
    """The rule of a type, or None where it has none: most have none."""
    if kind in _OPEN or kind in around:
        return None
    needed: list[tuple[str, ...]] = []
    choices: dict[str, list[str]] = {}
    inside: list[tuple[str, Rule]] = []
    for name, element in R4.elements(kind).items():
        if element.required and element.is_primitive:
            needed.append((name, f"_{name}"))
        if element.choice:
            choices.setdefault(element.choice, []).append(name)
            if element.choice_required:
                needed.append((element.choice,))
        if not element.is_primitive and (inner := _rule(element.type, around | {kind})):
            inside.append((name, inner))
    whole = tuple(_members(names, choices) for names in dict.fromkeys(needed))
    single = tuple(frozenset(names) for names in choices.values())
    return Rule(whole, single, tuple(inside)) if whole or single or inside else None


def _members(names: tuple[str, ...], choices: dict[str, list[str]]) -> tuple[str, ...]:
    """A mandatory choice stands for all its members; each may be absent where its `_sibling` says why."""
    members = choices.get(names[0], []) if len(names) == 1 else []
    return (*members, *(f"_{name}" for name in members)) or names


def prepare() -> None:
    """Make every decoder and rule now (half a second), rather than while the first patient is looked up."""
    for kind in sorted(KNOWN_TYPES):
        decoder_for(kind)
        rule_for(kind)


@lru_cache(maxsize=64)
def decoder_for(resource_type: str) -> msgspec.json.Decoder[Any]:
    """The decoder of a resource type in `KNOWN_TYPES`."""
    return msgspec.json.Decoder(type_for(resource_type), float_hook=read_number, dec_hook=as_it_is)


@lru_cache(maxsize=64)
def type_for(resource_type: str) -> Any:
    """The TypedDict of a resource type."""
    return _typed_dict(resource_type, {}, frozenset())


def _typed_dict(name: str, made: dict[tuple[str, frozenset[str]], Any], inside: frozenset[str]) -> Any:
    if name in _OPEN or name in inside:
        return dict[str, Any]
    key = (name, inside & _CYCLE)
    if key not in made:
        fields: dict[str, Any] = {"resourceType": Required[str], "id": Required[_Id]} if not inside else {}
        for field, element in R4.elements(name).items():
            fields.setdefault(field, _annotation(element, made, inside | {name}))
            if element.has_sibling(field):
                fields[f"_{field}"] = list[dict[str, Any] | None] if element.many else dict[str, Any]
        made[key] = TypedDict(f"R4{name}", fields, total=False)  # type: ignore[operator]
    return made[key]


def _annotation(element: Element, made: dict[tuple[str, frozenset[str]], Any], inside: frozenset[str]) -> Any:
    if element.is_primitive:
        # A mandatory one may be absent where its `_sibling` says why: `Rule` has those.
        kind: Any = _PRIMITIVES.get(element.type, str)
        return list[kind | None] if element.many else kind
    kind = _typed_dict(element.type, made, inside)
    kind = list[kind] if element.many else kind
    return Required[kind] if element.required else kind
