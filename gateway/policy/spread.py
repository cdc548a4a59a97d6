"""A label spreads to whatever tells of the labelled item.

Three ways, by what the reference says of the two items (never by the mere fact that one mentions the other: a reference
that can simply be removed when its target is hidden spreads nothing):

- *tells of*: the contact whose reason is a labelled condition, the medicine given for it, the item that was done at a
  labelled place or with a labelled medicine. The referrer takes the target's labels.
- *gathers*: a report or panel and its results. The gatherer takes the labels of what it gathers; what it gathers takes
  the gatherer's own labels (a result of an HIV panel tells of HIV), but not those that the gatherer got from another
  member: one labelled result does not hide a whole blood count.
- *is the same*: an appointment and the attendance that came of it, a medicine and the order that it is based on. Each
  takes the other's labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from connectors.sdk.model import Item, Section
from gateway.policy.references import target_type

TELLS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "MedicationRequest": ("medicationReference", "reasonReference"),
    "MedicationStatement": ("medicationReference", "reasonReference"),
    "Encounter": (
        "reasonReference",
        "diagnosis.condition",
        "location.location",
        "participant.individual",
        "serviceProvider",
    ),
    "Appointment": ("reasonReference", "supportingInformation", "participant.actor"),
    "Observation": ("focus", "partOf"),
    "Condition": ("evidence.detail", "stage.assessment"),
    "Immunization": ("reasonReference", "reaction.detail"),
    "CareTeam": ("reasonReference",),
    "Medication": ("ingredient.itemReference",),
    "Location": ("partOf",),
    "PractitionerRole": ("location",),
}
GATHERS: Final[Mapping[str, tuple[str, ...]]] = {
    "DiagnosticReport": ("result",),
    "Observation": ("hasMember", "derivedFrom"),
}
IS_THE_SAME: Final[Mapping[str, tuple[str, ...]]] = {
    "Encounter": ("appointment",),
    "MedicationRequest": ("basedOn", "priorPrescription"),
    "MedicationStatement": ("basedOn", "derivedFrom"),
}
THINGS: Final = frozenset({"Medication", "Location", "Device", "Specimen"})
"""Supporting types that tell of whoever refers to them, from whatever element. People and organisations don't: that a
psychiatrist recorded an allergy says little, and would hide the allergy."""

Resolve = Callable[[dict[str, Any]], Item | None]
_Edges = dict[int, list[int]]


def spread(items: Sequence[Item], own: Sequence[frozenset[str]], resolve: Resolve) -> None:
    """Set `labels` on every item: its own (by position) and those that reach it. Linear in the references."""
    if not any(own):
        for item in items:
            item.labels = frozenset()
        return
    graph = _Graph(items, own, resolve)
    labels = _one_patient(items, own)
    labels = _flow(labels, graph.down)
    labels = _flow(labels, graph.up)
    for item, reached in zip(items, labels, strict=True):
        item.labels = reached


def unresolved(item: Item, resolve: Resolve) -> Iterator[str | None]:
    """The types of what the item tells of and the record lacks; None for a reference that says no type."""
    resource = item.resource
    for head, rest, _ in _WAYS.get(resource["resourceType"], ()):
        if head in resource:
            for reference in _below(resource[head], rest):
                target = reference.get("reference", "#")
                if not target.startswith("#") and resolve(reference) is None:
                    yield target_type(reference)


def _below(value: Any, path: str) -> Iterator[dict[str, Any]]:
    """The objects at `path` (empty, or one step) in a value, whichever of the steps are lists."""
    for node in value if isinstance(value, list) else (value,):
        if isinstance(node, dict):
            if not path:
                yield node
            elif path in node:
                yield from _below(node[path], "")


class _Graph:
    """Which labels flow where. `up`: towards what tells of an item. `down`: from gatherer to gathered."""

    def __init__(self, items: Sequence[Item], own: Sequence[frozenset[str]], resolve: Resolve) -> None:
        self.up: _Edges = {}
        self.down: _Edges = {}
        self._place = {id(item): index for index, item in enumerate(items)}
        self._resolve = resolve
        # A thing takes labels from things alone, so where none has any of its own, none will.
        things = any(labels and item.type in THINGS for item, labels in zip(items, own, strict=True))
        for index, item in enumerate(items):
            self._add_stated(index, item)
            if things:
                for target in self._things(item):
                    self._edge(self.up, target, index)

    def _add_stated(self, index: int, item: Item) -> None:
        resource = item.resource
        for head, rest, add in _WAYS.get(resource["resourceType"], ()):
            if head in resource:
                for reference in _below(resource[head], rest):
                    target = self._index_of(reference)
                    if target is not None:
                        add(self, index, target)

    def _index_of(self, reference: dict[str, Any]) -> int | None:
        target = self._resolve(reference) if "reference" in reference else None
        # Everything is about the patient: a restriction on the patient's address is no label of the appointment.
        if target is None or target.section is Section.DEMOGRAPHICS:
            return None
        return self._place.get(id(target))

    def _things(self, item: Item) -> Iterator[int]:
        for reference in item.findings.references if item.findings else ():
            target = self._resolve(reference)
            if target is not None and target.section is None and target.type in THINGS and id(target) in self._place:
                yield self._place[id(target)]

    def tells_of(self, teller: int, target: int) -> None:
        self._edge(self.up, target, teller)

    def gathers(self, gatherer: int, target: int) -> None:
        self._edge(self.up, target, gatherer)
        self._edge(self.down, gatherer, target)

    def is_the_same(self, one: int, other: int) -> None:
        for edges in (self.up, self.down):
            self._edge(edges, one, other)
            self._edge(edges, other, one)

    @staticmethod
    def _edge(edges: _Edges, giver: int, taker: int) -> None:
        edges.setdefault(giver, []).append(taker)


_Way = tuple[str, str, Callable[[_Graph, int, int], None]]


def _ways() -> dict[str, tuple[_Way, ...]]:
    """For each type: top-level element, the path below it, and what to make of a reference that stands there."""
    ways: dict[str, list[_Way]] = {}
    for table, add in ((TELLS_OF, _Graph.tells_of), (GATHERS, _Graph.gathers), (IS_THE_SAME, _Graph.is_the_same)):
        for kind, paths in table.items():
            for path in paths:
                head, _, rest = path.partition(".")
                ways.setdefault(kind, []).append((head, rest, add))
    return {kind: tuple(found) for kind, found in ways.items()}


_WAYS: Final = _ways()


def _one_patient(items: Sequence[Item], own: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """A restriction that one source puts on the patient's details holds for every source's copy of them."""
    shared: frozenset[str] = frozenset().union(
        *(labels for item, labels in zip(items, own, strict=True) if item.section is Section.DEMOGRAPHICS)
    )
    return [
        labels | shared if item.section is Section.DEMOGRAPHICS else labels
        for item, labels in zip(items, own, strict=True)
    ]


def _flow(labels: Sequence[frozenset[str]], edges: _Edges) -> list[frozenset[str]]:
    """The least fixpoint: each item is visited again only when it gains a label."""
    reached = list(labels)
    waiting = [index for index, found in enumerate(reached) if found and index in edges]
    while waiting:
        giver = waiting.pop()
        for taker in edges.get(giver, ()):
            together = reached[taker] | reached[giver]
            if together != reached[taker]:
                reached[taker] = together
                waiting.append(taker)
    return reached
