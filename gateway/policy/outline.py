"""Showing in part: `policies/outlines.yaml` lists the elements that an outline keeps, and everything else goes.

An allow-list, so that an element nobody thought of is hidden. What an outline is made of stays valid R4, and it says of
itself that it is a part: `meta.tag` SUBSETTED.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from connectors.sdk.model import Section
from gateway.policy.files import check_keys, read_yaml, refuse
from gateway.policy.r4 import KNOWN_TYPES, Element, choices, demanded, elements
from gateway.policy.references import DATA_ABSENT, Resource, target_type

SUBSETTED: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "subsetted",
}
_META_KEPT: Final = ("source", "lastUpdated", "security")
_TAG_KEPT: Final = ("system", "code", "display")
_REFERENCE_KEPT: Final = ("reference", "type", "identifier", "display")
_HOLD_REFERENCES: Final = {"Identifier": frozenset({"assigner"})}
"""Data types of kept elements that could hold a reference of their own: it isn't kept."""
# Elements that turn or qualify the meaning of all the rest: without them an outline could say what isn't so.
_CAN_NOT_BE_OUTLINED: Final = ("modifierExtension", "implicitRules")
_ABSENT_REASONS: Final = frozenset(
    {"unknown", "asked-unknown", "temp-unknown", "not-asked", "asked-declined", "masked", "not-applicable"}
    | {"unsupported", "as-text", "error", "not-a-number", "negative-infinity", "positive-infinity"}
    | {"not-performed", "not-permitted"}
)
"""The codes of R4's data-absent-reason: closed, so that this one extension can't carry anything else."""

Tree = dict[str, "Tree"]
Rewrite = Callable[[Resource, Element | None], Resource | None]
"""(Reference, its element) -> the Reference as it may be shown, or None."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One element that is kept: whole where `inside` is None, else those of its parts."""

    name: str
    element: Element
    inside: _Parts | None


@dataclass(frozen=True, slots=True)
class _Parts:
    """The elements that are kept of an object, and those of which R4 demands one."""

    parts: tuple[_Part, ...]
    demanded: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class Outlines:
    """What the outline of each resource type keeps. `told` says it in words, by section."""

    told: Mapping[Section, str]
    _references: frozenset[str]
    _types: Mapping[str, _Parts]

    @classmethod
    def load(cls, path: Path) -> Outlines:
        """Read and check against R4. Raises PolicyProblem: unknown type or element, or a mandatory one left out."""
        node = check_keys(path, read_yaml(path), ("owner", "version", "told", "references", "types"))
        told = check_keys(path, node["told"], [*Section], "told")
        types = check_keys(path, node["types"], KNOWN_TYPES, "types")
        trees = {kind: _tree(path, kind, paths) for kind, paths in types.items()}
        for kind, tree in trees.items():
            _check(path, kind, kind, tree)
        parts = {kind: _parts(kind, tree) for kind, tree in trees.items()}
        return cls({section: str(told[section]) for section in Section}, frozenset(node["references"]), parts)

    @classmethod
    def load_past(cls, path: Path) -> Outlines:
        """Of policies of another day only what their outlines were called: nothing is shown by them any more."""
        told = read_yaml(path).get("told")
        words = told if isinstance(told, dict) else {}
        return cls({section: str(words.get(section, "")) for section in Section}, frozenset(), {})

    def outline(self, resource: Resource, rewrite: Rewrite) -> Resource | None:
        """The outline as a new resource; None where none can be made that is true and valid. Changes nothing."""
        kept_parts = self._types.get(resource["resourceType"])
        if kept_parts is None or any(name in resource for name in _CAN_NOT_BE_OUTLINED):
            return None
        local = [part for part in resource.get("contained", ()) if _is_named_medication(part)]
        keeping = _Keeping(self._references, {f"#{part['id']}" for part in local}, rewrite)
        kept = keeping.parts(resource, kept_parts)
        if kept is None:
            return None
        outlined: Resource = {"resourceType": resource["resourceType"]}
        if "id" in resource:
            outlined["id"] = resource["id"]
        outlined["meta"] = _meta(resource)
        if local and (named := _naming(local, kept)):
            outlined["contained"] = named
        outlined.update(kept)
        return outlined

    def references_kept(self, resource: Resource) -> Iterator[Resource]:
        """The References that an outline of the resource keeps if their targets are shown."""
        kept_parts = self._types.get(resource["resourceType"])
        if kept_parts is not None:
            for reference, element in _references_of(resource, kept_parts):
                if "reference" in reference and may_lead_to(self._references, reference, element):
                    yield reference


def may_lead_to(types: frozenset[str], reference: Resource, element: Element) -> bool:
    """True where the Reference leads to one of the types, or, where it doesn't say, could lead to no other."""
    kind = target_type(reference)
    return kind in types if kind else element.targets <= types or element.names_a_subject


def _references_of(node: Resource, kept: _Parts) -> Iterator[tuple[Resource, Element]]:
    for part in kept.parts:
        if part.name in node and (part.inside or part.element.model == "Reference"):
            value = node[part.name]
            for each in value if isinstance(value, list) else (value,):
                if part.inside:
                    yield from _references_of(each, part.inside)
                else:
                    yield each, part.element


class _Keeping:
    """Copies what is kept of one resource. `local`: references to contained resources that are kept."""

    def __init__(self, types: frozenset[str], local: Collection[str], rewrite: Rewrite) -> None:
        self._types = types
        self._local = local
        self._rewrite = rewrite

    def parts(self, node: Resource, kept_parts: _Parts) -> Resource | None:
        """The kept elements of an object; None where R4 forbids what is left."""
        kept: Resource = {}
        for part in kept_parts.parts:
            name = part.name
            value = self._value(node[name], part) if name in node else None
            if value is not None:
                kept[name] = value
            elif f"_{name}" in node and (reason := _absent(node[f"_{name}"])):
                kept[f"_{name}"] = reason
        for group in kept_parts.demanded:
            if not group & kept.keys() and group & node.keys():
                return None
        return kept

    def _value(self, value: Any, part: _Part) -> Any:
        if type(value) is list:
            return [one for one in (self._value(entry, part) for entry in value) if one is not None] or None
        if type(value) is not dict:
            return value
        if part.inside is not None:
            return None if "modifierExtension" in value else self.parts(value, part.inside) or None
        if part.element.model == "Reference":
            return self._reference(value, part.element) or _absent(value)
        if part.element.model in _HOLD_REFERENCES:
            value = {name: each for name, each in value.items() if name not in _HOLD_REFERENCES[part.element.model]}
        return _bare(value) or _absent(value)

    def _reference(self, reference: Resource, element: Element) -> Resource | None:
        target = reference.get("reference")
        if isinstance(target, str) and target.startswith("#"):
            return {"reference": target} if target in self._local else None
        if not may_lead_to(self._types, reference, element):
            return None
        rewritten = self._rewrite(reference, element)
        return {name: _bare(rewritten[name]) for name in _REFERENCE_KEPT if name in rewritten} if rewritten else None


def _parts(model: str, tree: Tree) -> _Parts:
    known = elements(model)
    parts = [
        _Part(name, known[name], _parts(known[name].model or "", inside) if inside else None)
        for name, inside in tree.items()
    ]
    return _Parts(tuple(parts), demanded(model))


def _naming(medications: Iterable[Resource], kept: Resource) -> list[Resource]:
    """The contained Medication by whose code alone the medicine has a name."""
    target = kept.get("medicationReference", {}).get("reference")
    return [
        {"resourceType": "Medication", "id": medication["id"], "code": _bare(medication["code"])}
        for medication in medications
        if target == f"#{medication['id']}"
    ]


def _is_named_medication(resource: Mapping[str, Any]) -> bool:
    return resource.get("resourceType") == "Medication" and "id" in resource and "code" in resource


def _bare(value: Any) -> Any:
    """A JSON value without extensions: the same object where it has none."""
    if type(value) is list:
        bare = [_bare(entry) for entry in value]
        return value if all(one is other for one, other in zip(value, bare, strict=True)) else bare
    if type(value) is not dict:
        return value
    kept = {name: _bare(part) for name, part in value.items() if name != "extension" and not name.startswith("_")}
    return value if len(kept) == len(value) and all(kept[name] is value[name] for name in kept) else kept


def _absent(node: Any) -> Resource | None:
    """The reason why an element is absent, if that is what its extension says; no other extension survives."""
    for extension in node.get("extension", ()) if isinstance(node, dict) else ():
        if extension.get("url") == DATA_ABSENT and extension.get("valueCode") in _ABSENT_REASONS:
            return {"extension": [{"url": DATA_ABSENT, "valueCode": extension["valueCode"]}]}
    return None


def _meta(resource: Resource) -> Resource:
    meta = resource.get("meta", {})
    kept: Resource = {name: _bare(meta[name]) for name in _META_KEPT if name in meta}
    tags = [{name: tag[name] for name in _TAG_KEPT if name in tag} for tag in meta.get("tag", ())]
    kept["tag"] = [*(tag for tag in tags if tag and tag != SUBSETTED), SUBSETTED]
    return kept


def _tree(path: Path, kind: str, paths: object) -> Tree:
    if not isinstance(paths, list) or not paths or not all(isinstance(step, str) for step in paths):
        refuse(path, f"{kind} must list elements", "Write them as a list; a type that keeps none can't be outlined.")
    tree: Tree = {}
    for step in paths:
        node = tree
        for name in step.split("."):
            node = node.setdefault(name, {})
    return tree


def _check(path: Path, kind: str, model: str, tree: Tree) -> None:
    known = elements(model)
    for name, inside in tree.items():
        if name not in known or name in ("contained", "extension", "modifierExtension", "text", "meta", "id"):
            refuse(
                path, f"{kind} has no element {name} that an outline could keep", "Take it out, or spell it as R4 does."
            )
        if inside:
            _check(path, f"{kind}.{name}", known[name].model or "", inside)
    for group in demanded(model):
        needed = {name for name in group if name in known and not name.startswith("_")}
        missing = needed - tree.keys() if group in choices(model) or len(needed) == 1 else set()
        if missing:
            refuse(path, f"{kind} leaves out {', '.join(sorted(missing))}, which R4 demands", "Add it.")
