"""Step 9: show each item whole, in outline, or not at all; then leave no trace of what is not shown.

Items with a section are decided one by one. Supporting items (a medicine's code, a place, a person) have no section:
they are shown as far as an item that they explain is. Then references to whatever is not shown go, the same way
whether it is hidden here or absent at the source, and narratives that could tell of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from connectors.sdk.model import SECTION_OF_TYPE, SUPPORTING_TYPES, Item
from gateway.policy.decide import Policy
from gateway.policy.model import Circumstances, Shown
from gateway.policy.narrative import narrative
from gateway.policy.r4 import NAMES_A_PARTY, clinical_elements
from gateway.policy.references import References, Resolve, Resource, references_in

CircumstancesOf = Callable[[Item], Circumstances]
Admits = Callable[[Resource, Callable[[str], Resource | None]], bool]
"""(resource as the policy left it, what a medicine's reference leads to) -> whether the token's scopes let it by."""

MISPLACED: Final = "filter.misplaced"
"""The item's section isn't that of its type: a connector's fault, and nothing that a rule could judge."""
UNSHOWABLE: Final = "filter.unshowable"
"""What may be shown of it would not be valid R4, or would not be true (an outline of a resource with a modifier)."""
SCOPE: Final = "filter.scope"
"""The policy would show it, and the scopes of the application's token leave it out."""


@dataclass(slots=True)
class Filtered:
    """What is shown, in the order in which it came; how many items each rule withheld or outlined is for the audit."""

    items: list[Item] = field(default_factory=list)
    withheld: Counter[str] = field(default_factory=Counter)
    outlined: Counter[str] = field(default_factory=Counter)


def everything(_resource: Resource, _resolve: Callable[[str], Resource | None]) -> bool:
    """An `Admits` for where no scopes narrow."""
    return True


def apply(
    items: Sequence[Item],
    circumstances_of: CircumstancesOf,
    policy: Policy,
    resolve: Resolve,
    *,
    patient: str,
    admits: Admits = everything,
) -> Filtered:
    """Filter one record, or one part of it.

    `circumstances_of` is asked for items with a section only. `resolve` finds the item that a Reference means, by its
    sealed reference. `patient` is the NHS number, the only id by which a `Patient/…` reference may stay without an
    item. `admits` narrows what the policy shows, and never widens it. No item and no resource that came in is changed:
    where something goes, the answer holds a new one.
    """
    return _Filter(items, circumstances_of, policy, resolve, patient, admits).run()


@dataclass(frozen=True, slots=True)
class _Look:
    """How far an item is shown, in whose circumstances, by which rule."""

    shown: Shown
    rule: str
    circumstances: Circumstances


class _Filter:
    def __init__(
        self,
        items: Sequence[Item],
        circumstances_of: CircumstancesOf,
        policy: Policy,
        resolve: Resolve,
        patient: str,
        admits: Admits,
    ) -> None:
        self._items = items
        self._admits = admits
        self._circumstances_of = circumstances_of
        self._policy = policy
        self._resolve = resolve
        self._looks: dict[int, _Look] = {}
        self._alike: dict[int, _Look] = {}
        self._shown: dict[int, Shown] = {}
        self._given_up: set[int] = set()
        self._references = References(resolve, self._shown, patient)
        self._filtered = Filtered()

    def run(self) -> Filtered:
        self._decide_items()
        while True:
            self._reach_supporting()
            built = [(item, self._built(item)) for item in self._items if self._shown.get(id(item))]
            unshowable = [item for item, resource in built if resource is None]
            if not unshowable:
                break
            # Others may refer to them, so everything is looked at again without them. Rare, and each round ends some.
            self._give_up(unshowable)
        for item, resource in built:
            if resource is not None:
                self._keep(item, resource)
        return self._filtered

    def _give_up(self, unshowable: Iterable[Item]) -> None:
        self._filtered.withheld[UNSHOWABLE] += len(gone := {id(item) for item in unshowable})
        self._given_up |= gone
        for item in self._items:
            if id(item) in gone or item.section is None:
                self._shown.pop(id(item), None)
                self._looks.pop(id(item), None)

    def _decide_items(self) -> None:
        for item in self._items:
            if item.section is None and item.type in SUPPORTING_TYPES:
                continue
            if SECTION_OF_TYPE.get(item.type) is not item.section or item.section is None:
                self._filtered.withheld[MISPLACED] += 1
                continue
            look = self._look_in(self._circumstances_of(item))
            if look.shown is Shown.WITHHELD:
                self._filtered.withheld[look.rule] += 1
            elif not self._is_granted(item, look):
                look = _Look(Shown.WITHHELD, SCOPE, look.circumstances)
                self._filtered.withheld[SCOPE] += 1
            self._looks[id(item)] = look
            self._shown[id(item)] = look.shown

    def _look_in(self, circumstances: Circumstances) -> _Look:
        """The same for the very same circumstances: a record has hundreds of items and few kinds of them."""
        look = self._alike.get(id(circumstances))
        if look is None:
            decision = self._policy.decide(circumstances)
            # The look holds its circumstances, so no others can come to stand at their address.
            look = self._alike[id(circumstances)] = _Look(decision.shown, decision.rule, circumstances)
        return look

    def _is_granted(self, item: Item, look: _Look) -> bool:
        """Judged by what the policy leaves of it: by what an outline leaves out, nobody may tell it from others."""
        if self._admits is everything:
            return True
        left = self._left(item.resource, look.shown)
        return left is not None and self._admits(left, lambda reference: self._medication(reference, look))

    def _left(self, resource: Resource, shown: Shown) -> Resource | None:
        if shown is Shown.WHOLE:
            return resource
        return self._policy.outlines.outline(resource, lambda reference, _: reference) if shown else None

    def _medication(self, reference: str, by: _Look) -> Resource | None:
        """What a medicine's reference leads to, as far as it would be shown beside the item that refers to it."""
        target = self._resolve({"reference": reference})
        if target is None or target.type not in SUPPORTING_TYPES:
            return None
        return self._left(target.resource, self._as_far_as(target, by).shown)

    def _reach_supporting(self) -> None:
        """A supporting item is shown as far as the most open item that refers to it, and no further than its own
        labels allow there. An item that gains is looked at again, so this ends: there are three steps to gain."""
        waiting = [item for item in self._items if self._shown.get(id(item))]
        while waiting:
            referrer = waiting.pop()
            look = self._looks[id(referrer)]
            for reference in self._live_references(referrer, look.shown):
                target = self._resolve(reference)
                if target is not None and target.section is None and self._gains(target, look):
                    waiting.append(target)

    def _gains(self, target: Item, by: _Look) -> bool:
        if target.type not in SUPPORTING_TYPES or id(target) in self._given_up:
            return False
        offered = self._as_far_as(target, by)
        known = self._looks.get(id(target))
        if known is not None and offered.shown <= known.shown:
            return False
        self._looks[id(target)] = offered
        self._shown[id(target)] = offered.shown
        return offered.shown is not Shown.WITHHELD

    def _as_far_as(self, target: Item, by: _Look) -> _Look:
        labels = by.circumstances.labels | target.labels
        if labels == by.circumstances.labels:
            return by
        circumstances = replace(by.circumstances, labels=labels)
        decision = self._policy.decide(circumstances)
        return _Look(min(by.shown, decision.shown), decision.rule, circumstances)

    def _live_references(self, item: Item, shown: Shown) -> Iterable[Resource]:
        if shown is Shown.OUTLINE:
            return self._policy.outlines.references_kept(item.resource)
        if "contained" in item.resource:
            rest = {name: value for name, value in item.resource.items() if name != "contained"}
            return references_in([rest, *self._contained(item, self._looks[id(item)])])
        return item.findings.references if item.findings else references_in(item.resource)

    def _built(self, item: Item) -> Resource | None:
        look = self._looks[id(item)]
        return self._outline(item) if look.shown is Shown.OUTLINE else self._whole(item, look)

    def _keep(self, item: Item, resource: Resource) -> None:
        look = self._looks[id(item)]
        if look.shown is Shown.OUTLINE and item.section is not None:
            self._filtered.outlined[look.rule] += 1
        self._filtered.items.append(item if resource is item.resource else _with(item, resource))

    def _outline(self, item: Item) -> Resource | None:
        return self._policy.outlines.outline(
            item.resource, lambda reference, element: self._references.rewritten(reference, element, ())
        )

    def _whole(self, item: Item, look: _Look) -> Resource | None:
        resource = item.resource
        if "text" in resource:
            text = narrative(resource)
            resource = {name: value for name, value in resource.items() if name != "text" or text}
            if text:
                resource["text"] = text
        local: frozenset[str] = frozenset()
        if "contained" in resource:
            contained = self._contained(item, look)
            resource = {**resource, "contained": contained}
            local = frozenset(str(part.get("id")) for part in contained)
            return _without_orphans(self._references.pruned(resource, local))
        return self._references.pruned(resource, local) if self._needs_pruning(item) else resource

    def _needs_pruning(self, item: Item) -> bool:
        """False where every reference certainly stays: most items, and then nothing needs to be walked or copied."""
        if item.findings is None:
            return True
        if item.findings.states_type:
            return True
        survives = self._references.survives
        for reference in item.findings.references:
            if not survives(reference):
                return True
        resource = item.resource
        for name in _present(resource):
            if _may_name(resource[name]):
                return True
        if "extension" not in resource:
            return False
        return any("valueReference" in extension or "extension" in extension for extension in resource["extension"])

    def _contained(self, item: Item, look: _Look) -> list[Resource]:
        """The contained resources that this caller may see, each as far as its own section is shown.

        Their codes count among the item's, so the item's labels are theirs.
        """
        parts = (self._contained_part(part, look) for part in item.resource.get("contained", ()))
        return [part for part in parts if part is not None]

    def _contained_part(self, part: Resource, look: _Look) -> Resource | None:
        kind = part.get("resourceType", "")
        bare = {name: value for name, value in part.items() if name not in ("text", "contained")}
        if kind in NAMES_A_PARTY:
            return bare
        section = SECTION_OF_TYPE.get(kind)
        if section is None:
            return None
        left = self._left(bare, self._policy.decide(replace(look.circumstances, section=section)).shown)
        granted = left is not None and self._admits(left, lambda reference: self._medication(reference, look))
        return left if granted else None


def _with(item: Item, resource: Resource) -> Item:
    """The item with another resource. What was found in the old one says nothing of the new one, so it stays behind."""
    return Item(
        source=item.source,
        resource=resource,
        section=item.section,
        original_id=item.original_id,
        full_url=item.full_url,
        sealed_id=item.sealed_id,
        labels=item.labels,
    )


def _present(resource: Resource) -> Iterable[str]:
    return clinical_elements(resource["resourceType"]).intersection(resource)


def _may_name(value: Any) -> bool:
    """True for a value at a clinical element that isn't plainly a Reference with a `reference`: it may name its target
    by display alone."""
    if type(value) is dict:
        return "reference" not in value
    nodes = value if isinstance(value, list) else (value,)
    return any(not isinstance(node, dict) or "reference" not in node for node in nodes)


def _without_orphans(resource: Resource | None) -> Resource | None:
    """R4 (dom-3): a contained resource is there because the resource refers to it, or it to the resource."""
    if resource is None or "contained" not in resource:
        return resource
    by_id = {str(part.get("id")): part for part in resource["contained"]}
    rest = {name: value for name, value in resource.items() if name != "contained"}
    wanted = {key for key, part in by_id.items() if any(r["reference"] == "#" for r in references_in(part))}
    waiting: list[Any] = [rest, *(by_id[key] for key in wanted)]
    while waiting:
        for reference in references_in(waiting.pop()):
            key = str(reference["reference"]).removeprefix("#")
            if key in by_id and key not in wanted and str(reference["reference"]).startswith("#"):
                wanted.add(key)
                waiting.append(by_id[key])
    kept = [part for key, part in by_id.items() if key in wanted]
    return {**rest, "contained": kept} if kept else rest
