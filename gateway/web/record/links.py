"""What the sources themselves tie to a problem, a contact or a report: so that a reader can look by each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from connectors.sdk.model import Item, Section
from gateway.web.record.entries import Entry, reference_of

Links = Mapping[str, tuple[Entry, ...]]
"""Entries by the reference of the one that they belong to."""
_LOOKED_BY: Final = frozenset({"Condition", "Encounter", "Appointment", "DiagnosticReport"})


def linked(entries: Iterable[Entry]) -> dict[str, tuple[Entry, ...]]:
    """By the reference of each problem, contact and report: what refers to it, and what it refers to, in the order of
    `entries`."""
    shown = {entry.reference: entry for entry in entries if entry.item.section is not Section.DEMOGRAPHICS}
    found: dict[str, dict[str, Entry]] = defaultdict(dict)
    for reference, entry in shown.items():
        for target in _referred(entry.item):
            if target in shown and target != reference:
                for one, other in ((reference, target), (target, reference)):
                    if shown[one].item.type in _LOOKED_BY:
                        found[one][other] = shown[other]
    order = {reference: place for place, reference in enumerate(shown)}
    return {
        reference: tuple(others[other] for other in sorted(others, key=order.__getitem__))
        for reference, others in found.items()
    }


def gathered(links: Links) -> Links:
    """Of those the results that a report gathers, which go with it wherever it stands."""
    reports = {reference: others for reference, others in links.items() if reference.startswith("DiagnosticReport/")}
    return {
        reference: tuple(entry for entry in others if entry.item.type == "Observation")
        for reference, others in reports.items()
    }


def _referred(item: Item) -> Iterator[str]:
    """Every reference in it, wherever it stands: GP Connect ties things to a problem in an extension."""
    own = reference_of(item)
    nodes: list[Any] = [item.resource]
    while nodes:
        node = nodes.pop()
        if isinstance(node, Mapping):
            target = node.get("reference")
            if isinstance(target, str) and target != own:
                yield target
            nodes += node.values()
        elif isinstance(node, list):
            nodes += node
