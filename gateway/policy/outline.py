"""Showing in part: `policies/outlines.yaml` lists the elements that an outline keeps, and everything else goes.

An allow-list, so that an element nobody thought of is hidden. What an outline is made of stays valid R4, and it says of
itself that it is a part: `meta.tag` SUBSETTED.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
class Outlines:
    """What the outline of each resource type keeps. `told` says it in words, by section."""

    told: Mapping[Section, str]
    _references: frozenset[str]
    _types: Mapping[str, Tree]

    @classmethod
    def load(cls, path: Path) -> Outlines:
        """Read and check against R4. Raises PolicyProblem: unknown type or element, or a mandatory one left out."""
        node = check_keys(path, read_yaml(path), ("owner", "version", "told", "references", "types"))
        told = check_keys(path, node["told"], [*Section], "told")
        types = check_keys(path, node["types"], KNOWN_TYPES, "types")
        trees = {kind: _tree(path, kind, paths) for kind, paths in types.items()}
        for kind, tree in trees.items():
            _check(path, kind, kind, tree)
        return cls({section: str(told[section]) for section in Section}, frozenset(node["references"]), trees)

    def outline(self, resource: Resource, rewrite: Rewrite) -> Resource | None:
        """The outline as a new resource; None where none can be made that is true and valid. Changes nothing."""
        kind = str(resource["resourceType"])
        tree = self._types.get(kind)
        if tree is None or any(name in resource for name in _CAN_NOT_BE_OUTLINED):
            return None
        kept = _Keeping(resource, self._references, rewrite).parts(resource, tree, kind)
        if kept is None:
            return None
        head: Resource = {name: resource[name] for name in ("resourceType", "id") if name in resource}
        contained = self._named_by_contained(resource, kept)
        return {**head, "meta": _meta(resource), **({"contained": contained} if contained else {}), **kept}

    def references_kept(self, resource: Resource) -> list[Resource]:
        """The References of the resource that its outline would keep if all their targets were shown."""
        kept: list[Resource] = []

        def note(reference: Resource, _: Element | None) -> Resource:
            kept.append(reference)
            return reference

        self.outline(resource, note)
        return kept

    @staticmethod
    def _named_by_contained(resource: Resource, kept: Resource) -> list[Resource]:
        """The contained Medication by whose code alone the medicine has a name."""
        target = kept.get("medicationReference", {}).get("reference", "")
        return [
            {"resourceType": "Medication", "id": medication["id"], "code": _plain(medication["code"])}
            for medication in resource.get("contained", ())
            if _is_named_medication(medication) and target == f"#{medication['id']}"
        ]


class _Keeping:
    """Copies what a tree of elements allows of one resource."""

    def __init__(self, resource: Resource, types: frozenset[str], rewrite: Rewrite) -> None:
        self._types = types
        self._rewrite = rewrite
        self._local = {
            f"#{medication['id']}" for medication in resource.get("contained", ()) if _is_named_medication(medication)
        }

    def parts(self, node: Resource, tree: Tree, model: str) -> Resource | None:
        """The allowed elements of an object; None where R4 forbids what is left."""
        kept: Resource = {}
        for name, inside in tree.items():
            element = elements(model)[name]
            value = self._value(node[name], inside, element) if name in node else None
            if value is not None:
                kept[name] = value
            elif f"_{name}" in node and (reason := _absent(node[f"_{name}"])):
                kept[f"_{name}"] = reason
        for group in demanded(model):
            if group & node.keys() and not group & kept.keys():
                return None
        return kept or None

    def _value(self, value: Any, inside: Tree, element: Element) -> Any:
        if isinstance(value, list):
            return [one for one in (self._value(entry, inside, element) for entry in value) if one is not None] or None
        if element.model is None:
            return value
        if not isinstance(value, dict) or "modifierExtension" in value:
            return None
        if element.model == "Reference":
            return self._reference(value, element) or _absent(value)
        if inside:
            return self.parts(value, inside, element.model)
        return self._whole(value, element.model) or _absent(value)

    def _whole(self, node: Resource, model: str) -> Resource | None:
        tree = {name: Tree() for name in elements(model) if name in node and name != "extension"}
        return self.parts(node, tree, model)

    def _reference(self, reference: Resource, element: Element) -> Resource | None:
        target = reference.get("reference")
        if isinstance(target, str) and target.startswith("#"):
            return {"reference": target} if target in self._local else None
        kind = target_type(reference)
        if not ({kind} <= self._types if kind else element.targets <= self._types or element.names_a_subject):
            return None
        rewritten = self._rewrite(reference, element)
        return _plain(rewritten) if rewritten else None


def _is_named_medication(resource: Mapping[str, Any]) -> bool:
    return resource.get("resourceType") == "Medication" and "id" in resource and "code" in resource


def _plain(value: Any) -> Any:
    """A copy of a JSON value without extensions."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items() if name != "extension" and not name.startswith("_")}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def _absent(node: Any) -> Resource | None:
    """The reason why an element is absent, if that is what its extension says; no other extension survives."""
    for extension in node.get("extension", ()) if isinstance(node, dict) else ():
        if extension.get("url") == DATA_ABSENT and extension.get("valueCode") in _ABSENT_REASONS:
            return {"extension": [{"url": DATA_ABSENT, "valueCode": extension["valueCode"]}]}
    return None


def _meta(resource: Resource) -> Resource:
    meta = resource.get("meta", {})
    kept = {name: _plain(meta[name]) for name in _META_KEPT if name in meta}
    tags = [{name: tag[name] for name in _TAG_KEPT if name in tag} for tag in meta.get("tag", ())]
    return {**kept, "tag": [*(tag for tag in tags if tag), dict(SUBSETTED)]}


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
