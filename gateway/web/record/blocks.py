"""What belongs together in a section: one thing as several organisations have it, and a medicine with its orders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.same_as import Group, told_by_statements
from gateway.web.record.entries import Entry, reference_of
from gateway.web.record.medicines import often_in_words

_ELEMENTS: Final[Mapping[str, str]] = {
    "status": "Status",
    "doNotPerform": "Instruction",
    "dosage": "Dosage",
    "dose": "Dose",
    "clinicalStatus": "Status",
    "verificationStatus": "Verification",
    "criticality": "Criticality",
    "code": "What is recorded",
}


@dataclass(frozen=True, slots=True)
class Differing:
    """An element in which organisations differ: (organisation, its own value)."""

    element: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Entries that stand side by side. `reasons` say why, "" where there is one alone; `under` are, by reference, the
    entries that an entry is told by: the orders of a medicine."""

    entries: tuple[Entry, ...]
    reasons: tuple[str, ...] = ()
    differing: tuple[Differing, ...] = ()
    under: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """True where none of it holds any more."""
        return all(entry.is_over for entry in self.entries)

    @property
    def every(self) -> Iterator[Entry]:
        """The entries, each with those beneath it."""
        for entry in self.entries:
            yield entry
            yield from self.under.get(entry.reference, ())

    @property
    def sources(self) -> int:
        """How many organisations have it."""
        return len({entry.item.source for entry in self.entries})


def blocks_of(entries: Sequence[Entry], groups: Iterable[Group]) -> list[Block]:
    """In the order of their first entries; what holds now before what doesn't. Every entry is in exactly one block:
    groups that share a member become one."""
    under = _under(entries)
    beneath = {entry.reference for each in under.values() for entry in each}
    apart = [entry for entry in entries if entry.reference not in beneath]
    joined = _joined(apart, groups)
    blocks, placed = [], set[str]()
    for entry in apart:
        if entry.reference not in placed:
            together, of = joined.get(entry.reference, ((entry,), ()))
            placed |= {each.reference for each in together}
            blocks.append(_block(together, of, under))
    return sorted(blocks, key=lambda block: block.is_over)


def _under(entries: Sequence[Entry]) -> dict[str, tuple[Entry, ...]]:
    told = told_by_statements(entry.item for entry in entries)
    under: dict[str, tuple[Entry, ...]] = {}
    for entry in entries:
        if entry.reference in told:
            under[told[entry.reference]] = (*under.get(told[entry.reference], ()), entry)
    return under


_Joined = tuple[tuple[Entry, ...], tuple[Group, ...]]


def _joined(entries: Sequence[Entry], groups: Iterable[Group]) -> dict[str, _Joined]:
    """By reference: the entries of the groups that it's in, or that share a member with those, and these groups."""
    members: dict[str, set[str]] = {}
    of: dict[str, list[Group]] = {}
    for group in groups:
        here = {reference_of(item) for item in group.members}
        together = here.union(*(members.get(one, set()) for one in here))
        known = [each for one in together for each in of.get(one, ())]
        unique = list({each.id: each for each in (*known, group)}.values())
        for one in together:
            members[one], of[one] = together, unique
    return {
        reference: (tuple(entry for entry in entries if entry.reference in together), tuple(of[reference]))
        for reference, together in members.items()
    }


def _block(entries: tuple[Entry, ...], groups: tuple[Group, ...], under: Mapping[str, tuple[Entry, ...]]) -> Block:
    here = {entry.reference: entry for entry in entries}
    differing = []
    for group in groups:
        for conflict in group.conflicts:
            told = often_in_words if conflict.element == "dose" else str
            said = [(here[who].source, told(value)) for who, value in conflict.values.items() if who in here]
            differing.append(Differing(_ELEMENTS.get(conflict.element, conflict.element), tuple(dict.fromkeys(said))))
    own = {reference: under[reference] for reference in here if reference in under}
    return Block(entries, tuple(group.reason for group in groups), tuple(dict.fromkeys(differing)), own)
