"""What the sources themselves tie to a problem, a contact or a report: so that a reader can look by each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from connectors.sdk.model import Item, Section
from gateway.web.record.entries import Entry, reference_of

_LOOKED_BY: Final = frozenset({"Condition", "Encounter", "Appointment", "DiagnosticReport"})


def linked(entries: Iterable[Entry]) -> dict[str, tuple[Entry, ...]]:
    """By the reference of each problem, contact and report: what refers to it, and what it refers to."""
    shown = {entry.reference: entry for entry in entries if entry.item.section is not Section.DEMOGRAPHICS}
    found: dict[str, dict[str, Entry]] = defaultdict(dict)
    for reference, entry in shown.items():
        for target in _referred(entry.item):
            if target in shown and target != reference:
                for one, other in ((reference, target), (target, reference)):
                    if shown[one].item.type in _LOOKED_BY:
                        found[one][other] = shown[other]
    return {reference: tuple(others.values()) for reference, others in found.items()}


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
