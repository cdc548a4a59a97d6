"""References to what is not shown go, in the same way whether it is hidden or the source never had it.

So nothing tells the two apart. What is left is valid R4: a backbone element goes with its mandatory reference, no empty
object or list remains, and a mandatory reference of the resource itself says that its target is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from connectors.sdk.model import Item
from gateway.policy.model import Shown
from gateway.policy.r4 import NAMES_A_PARTY, Element, demanded, elements

DATA_ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_TYPE_IN_REFERENCE: Final = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/[^/#]+(?:/_history/[^/]+)?$")
_WORTH_KEEPING: Final = ("identifier", "display")

Resource = dict[str, Any]
Resolve = Callable[[Resource], Item | None]


def target_type(reference: Mapping[str, Any]) -> str | None:
    """The type that a Reference leads to, by its own words; None where it doesn't say."""
    target = reference.get("reference")
    match = _TYPE_IN_REFERENCE.search(target) if isinstance(target, str) else None
    if match is not None:
        return match[1]
    stated = reference.get("type")
    return stated if isinstance(stated, str) else None


class References:
    """Which references survive, given what is shown. `shown` is by `id()` of the item; what isn't in it is hidden."""

    def __init__(self, resolve: Resolve, shown: Mapping[int, Shown], patient: str) -> None:
        self._resolve = resolve
        self._shown = shown
        self._patient = f"Patient/{patient}"

    def survives(self, reference: Resource, local: Collection[str] = ()) -> bool:
        """True where a Reference with a `reference` may stay exactly as it is. `local`: ids of contained resources."""
        target = reference["reference"]
        if target == self._patient:
            return True
        if isinstance(target, str) and target.startswith("#"):
            return target == "#" or target[1:] in local
        item = self._resolve(reference)
        shown = self._shown.get(id(item), Shown.WITHHELD) if item is not None else Shown.WITHHELD
        if shown is Shown.WHOLE:
            return True
        # The display of an item that is shown in outline could say what the outline leaves out.
        return shown is Shown.OUTLINE and (target_type(reference) in NAMES_A_PARTY or not _named(reference))

    def rewritten(self, reference: Resource, element: Element | None, local: Collection[str]) -> Resource | None:
        """The Reference as it may be shown: itself, without what tells of a hidden target, or None."""
        if "reference" not in reference:
            return reference if self._is_party(reference, element) else None
        if self.survives(reference, local):
            return reference
        item = self._resolve(reference)
        if item is not None and self._shown.get(id(item)) is Shown.OUTLINE:
            return {key: reference[key] for key in ("reference", "type") if key in reference}
        if not self._is_party(reference, element) or not _named(reference):
            return None
        return {key: reference[key] for key in ("type", *_WORTH_KEEPING) if key in reference}

    def pruned(self, resource: Resource, local: Collection[str]) -> Resource | None:
        """The resource with only what survives: the same object where nothing changed, None where R4 forbids what is
        left (it can't be shown then)."""
        return _Pruning(self, local).resource(resource)

    @staticmethod
    def _is_party(reference: Resource, element: Element | None) -> bool:
        kind = target_type(reference)
        if kind is not None:
            return kind in NAMES_A_PARTY or (kind == "Patient" and "reference" not in reference)
        return element is not None and element.names_a_party


class _Pruning:
    """One walk over one resource, copying only where something changes."""

    def __init__(self, references: References, local: Collection[str]) -> None:
        self._references = references
        self._local = local

    def resource(self, resource: Resource) -> Resource | None:
        model = str(resource["resourceType"])
        left = self._parts(resource, model)
        if left is resource:
            return resource
        for group in demanded(model):
            if group & resource.keys() and not group & left.keys():
                name = next(iter(group & resource.keys()))
                if elements(model)[name].model != "Reference" or isinstance(resource[name], list):
                    return None
                left[name] = {"extension": [{"url": DATA_ABSENT, "valueCode": "unknown"}]}
        return left

    def _object(self, node: Resource, model: str | None) -> Resource | None:
        left = self._parts(node, model)
        if left is node:
            return node
        if left.keys() <= {"id"} or (model == "Extension" and left.keys() <= {"id", "url"}):
            return None
        if any(group & node.keys() and not group & left.keys() for group in (demanded(model) if model else ())):
            return None
        return left

    def _parts(self, node: Resource, model: str | None) -> Resource:
        known = elements(model) if model else {}
        left = node
        for name, value in node.items():
            if type(value) is not dict and type(value) is not list:
                continue
            new = self._value(name, value, known.get(name))
            if new is not value:
                if left is node:
                    left = dict(node)
                if new is None:
                    del left[name]
                else:
                    left[name] = new
        return left

    def _value(self, name: str, value: Any, element: Element | None) -> Any:
        if type(value) is list:
            new = [self._value(name, entry, element) for entry in value]
            if all(one is other for one, other in zip(value, new, strict=True)):
                return value
            # A null that the source wrote keeps the place of an absent primitive; it isn't something removed.
            return [one for one, other in zip(new, value, strict=True) if one is not None or other is None] or None
        if type(value) is not dict:
            return value
        if name == "contained":
            return self.resource(value)
        if name == "valueReference" or (element.model == "Reference" if element else "reference" in value):
            return self._references.rewritten(value, element, self._local)
        return self._object(value, element.model if element else None)


def _named(reference: Mapping[str, Any]) -> bool:
    return any(key in reference for key in _WORTH_KEEPING)


def references_in(node: Any) -> list[Resource]:
    """Every Reference with a `reference` in or below a JSON value."""
    found: list[Resource] = []
    waiting = [node]
    while waiting:
        value = waiting.pop()
        if type(value) is dict:
            if "reference" in value:
                found.append(value)
            waiting.extend(value.values())
        elif type(value) is list:
            waiting.extend(value)
    return found
