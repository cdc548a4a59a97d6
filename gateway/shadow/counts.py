"""What is remembered of a source in shadow: counts by kind, and how they are made. No patient, no content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from connectors.sdk.model import Item, Section
from gateway.compared import folded
from gateway.same_as import Conflict, Group, same_as

if TYPE_CHECKING:
    from connectors.sdk.model import Answer
    from gateway.audit.row import Alarm
    from gateway.merge import Record

DEMOGRAPHICS: Final = "demographics"
CONFLICTING: Final = "conflicting"
NEW: Final = "new"
SHADOW: Final = "shadow"
KINDS: Final = (DEMOGRAPHICS, CONFLICTING, NEW)
Differences = Mapping[str, "Counter[str]"]
"""Counts by kind: `demographics` by the element that differs; `conflicting` and `new` items by section."""


@dataclass(slots=True)
class Counts:
    """What a source's answers came to since the gateway started.

    `skipped` looks were not watched, since too many were; `faults` are our own.
    """

    asked: int = 0
    skipped: int = 0
    faults: int = 0
    compared: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    alarms: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    items: Counter[str] = field(default_factory=Counter)
    differences: dict[str, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in KINDS})

    def add(self, answer: Answer, alarms: Iterable[Alarm]) -> None:
        """One answer, after the guard; `alarms` are those of its whole look."""
        self.asked += 1
        self.outcomes[answer.outcome.value] += 1
        self.gaps.update(section.value for section in answer.gaps)
        self.items.update(item.section.value for item in answer.items if item.section is not None)
        for alarm in alarms:
            if alarm.source == answer.source:
                self.alarms[alarm.kind] += alarm.count

    def differ(self, found: Differences) -> None:
        """What one answer added to, or said against, the record that was released."""
        self.compared += 1
        for kind, counts in found.items():
            self.differences[kind].update(counts)

    def as_json(self) -> dict[str, Any]:
        """For `GET /sources`."""
        return {
            "asked": self.asked,
            "skipped": self.skipped,
            "faults": self.faults,
            "compared": self.compared,
            "outcomes": _sorted(self.outcomes),
            "alarms": _sorted(self.alarms),
            "gaps": _sorted(self.gaps),
            "items": _sorted(self.items),
            "differences": {kind: _sorted(counts) for kind, counts in self.differences.items()},
        }


def differences(record: Record, shadow: Record) -> Differences:
    """What a source in shadow would have added to a record, or said against it.

    An item is new where no group puts it beside one of the record's; conflicting where a group does and they differ in
    what groups compare (dose, status, an allergy that another denies).
    """
    for place, patient in enumerate(shadow.patients):
        patient.sealed_id = f"{SHADOW}.{place}"  # two records each name their first Patient by the NHS number
    index = {**shadow.index, **record.index}

    def resolve(reference: dict[str, Any]) -> Item | None:
        return index.get(reference.get("reference", ""))

    ours = {id(item) for item in shadow.items}
    grouped: set[int] = set()
    against: dict[int, set[str]] = {}
    for group in same_as([*record.items, *shadow.items], resolve):
        members = {id(member) for member in group.members}
        if not (members & ours and members - ours):
            continue
        grouped |= members
        for conflict in group.conflicts:
            for member in _contradicting(group, conflict, ours):
                against.setdefault(id(member), set()).add(conflict.element)
    clinical = [item for item in shadow.items if item.section not in (None, Section.DEMOGRAPHICS)]
    return {
        DEMOGRAPHICS: Counter(element for item in shadow.patients for element in sorted(against.get(id(item), ()))),
        CONFLICTING: _by_section(item for item in clinical if id(item) in against),
        NEW: _by_section(item for item in clinical if id(item) not in grouped),
    }


def _contradicting(group: Group, conflict: Conflict, ours: Container[int]) -> Iterator[Item]:
    """The shadow's members that say otherwise than some member of the record; those of the record may differ too."""
    said = {id(item): folded(conflict.values.get(f"{item.type}/{item.sealed_id}", "")) for item in group.members}
    theirs = {value for item, value in said.items() if item not in ours and value}
    return (item for item in group.members if id(item) in ours and said[id(item)] and theirs - {said[id(item)]})


def _by_section(items: Iterable[Item]) -> Counter[str]:
    return Counter(item.section.value for item in items if item.section is not None)


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
