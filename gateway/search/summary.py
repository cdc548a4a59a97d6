"""`_summary` and `_elements`: which top-level elements of a resource are sent.

What belongs to a summary, and what is mandatory, is read from R4's element tables. Whatever the client asks
for, a resource keeps the elements that change what the rest means: an allergy that was refuted, a medicine not to be
given and a death must not be lost to `_elements=code`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from connectors.sdk.elements import R4
from connectors.sdk.model import Resource
from gateway.search.query import Summary
from gateway.search.references import references_in
from gateway.search.supporting import READABLE

SUBSETTED: Final = MappingProxyType(
    {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
)
_ALWAYS: Final = frozenset({"resourceType", "id", "meta", "implicitRules", "modifierExtension"})
# Elements that R4 marks as modifiers ("?!") on the offered types; the tables carry no such mark.
_MODIFIERS: Final = frozenset(
    {
        "active",
        "clinicalStatus",
        "deceasedBoolean",
        "deceasedDateTime",
        "doNotPerform",
        "intent",
        "isSubpotent",
        "link",
        "status",
        "verificationStatus",
    }
)


@dataclass(frozen=True, slots=True)
class _Shape:
    """Names of top-level elements. `named` maps what `_elements` takes (`effective` too) to the elements it means."""

    kept: frozenset[str]
    summary: frozenset[str]
    named: Mapping[str, frozenset[str]]


def _shape(resource_type: str) -> _Shape:
    every, kept = R4.elements(resource_type), set(_ALWAYS)
    named: dict[str, set[str]] = {name: {name} for name in every}
    for name, element in every.items():
        if element.required or element.choice_required:
            kept.add(name)
        if element.choice:
            named.setdefault(element.choice, set()).add(name)
    kept |= _MODIFIERS & every.keys()
    return _Shape(
        frozenset(kept),
        frozenset(kept).union(name for name, element in every.items() if element.summary),
        MappingProxyType({name: frozenset(names) for name, names in named.items()}),
    )


_SHAPES: Final = MappingProxyType({resource_type: _shape(resource_type) for resource_type in READABLE})


def element_names(resource_type: str) -> frozenset[str]:
    """The names that `_elements` takes for an offered type: its elements, and choices by their common name."""
    return frozenset(_SHAPES[resource_type].named)


def shaped(resource: Resource, summary: Summary = Summary.FALSE, elements: tuple[str, ...] = ()) -> Resource:
    """The resource with only what was asked for, tagged SUBSETTED; the very same dict where nothing was.

    The input is never changed. A type that isn't offered by itself (a supporting one) passes whole.
    """
    if summary is Summary.FALSE and not elements:
        return resource
    shape = _SHAPES.get(str(resource.get("resourceType")))
    if shape is None:
        return resource
    if summary is Summary.DATA:
        return _tagged({name: value for name, value in resource.items() if name != "text"})
    wanted = _wanted(shape, summary, elements)
    # A primitive's extensions stand beside it, under its name with an underscore.
    left = {name: value for name, value in resource.items() if name.removeprefix("_") in wanted}
    return _tagged(left if "contained" in left else _with_contained(left, resource.get("contained", ())))


def _with_contained(left: Resource, contained: Any) -> Resource:
    """With what it still refers to within itself: else a prescription would have lost the name of its medicine."""
    parts = {f"#{part.get('id')}": part for part in contained if isinstance(part, dict)}
    wanted: set[str] = set()
    waiting: list[Any] = [left]
    while waiting and parts:
        for reference in references_in(waiting.pop()):
            if reference in parts and reference not in wanted:
                wanted.add(reference)
                waiting.append(parts[reference])
    return {**left, "contained": [parts[name] for name in parts if name in wanted]} if wanted else left


def _wanted(shape: _Shape, summary: Summary, elements: tuple[str, ...]) -> frozenset[str]:
    if elements:
        return shape.kept.union(*(shape.named.get(name, frozenset()) for name in elements))
    return shape.summary if summary is Summary.TRUE else shape.kept | {"text"}


def _says_subsetted(tag: Any) -> bool:
    """Whatever its display: what came in part already says so once."""
    return isinstance(tag, dict) and SUBSETTED.items() <= tag.items()


def _tagged(resource: Resource) -> Resource:
    held = resource.get("meta")
    meta: dict[str, Any] = held if isinstance(held, dict) else {}
    tags = meta.get("tag")
    others = [tag for tag in tags if not _says_subsetted(tag)] if isinstance(tags, list) else []
    marked = {**meta, "tag": [*others, dict(SUBSETTED)]}
    if "meta" in resource:
        return {**resource, "meta": marked}
    head: Resource = {name: resource[name] for name in ("resourceType", "id") if name in resource}
    return {**head, "meta": marked, **resource}
